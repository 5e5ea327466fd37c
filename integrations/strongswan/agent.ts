import {
  type AbortOptions,
  type Closable,
  ConfigError,
  type Kms,
  type Logger,
  type MessageChannel,
  type Telemetry,
  type Unsubscribe,
} from '../../lib/index.ts'
import type { IpsecAgentConfig, IpsecPeerConfig } from './agent-config.ts'
import type { IpsecAgentEvent } from './agent-event.ts'
import type { IpsecAgentStatus } from './agent-status.ts'
import { CharonAgent } from './charon-agent.ts'
import { checkAgentConfig } from './load-agent-config.ts'
import type { UpdownEvent } from './updown-event.ts'

/** Options of `createIpsecAgent`. */
export interface IpsecAgentOptions {
  /** As `loadIpsecAgentConfig` gives it. */
  readonly config: IpsecAgentConfig
  /** The host's face of its KMS; stays the caller's to close. */
  readonly kms: Kms
  /** Opens a channel to the agent of a peer. The agent closes what it was given. */
  readonly dial: (peer: IpsecPeerConfig, options: Required<AbortOptions>) => Promise<MessageChannel>
  /** Gets a `rotation` event for each key, and the alarms. */
  readonly telemetry?: Telemetry
  /** Default: silent unless NODE_DEBUG=qkd:ipsec asks for it. */
  readonly logger?: Logger
  /** Wall clock in milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

/** What `reconcile` found that charon did not have, and gave it again. */
export interface ReconcileReport {
  /** Connections that were loaded again. */
  readonly connections: readonly string[]
  /** Keys of ours in charon that nobody uses; they were unloaded. */
  readonly unloaded: readonly string[]
}

/**
 * Keeps the IPsec connections of one gateway on fresh keys. It talks to charon over VICI, to its KMS, and to the agents of
 * the other gateways; for the channels that those open, the host calls `accept`.
 */
export interface IpsecAgent extends Closable {
  /**
   * Provisions charon and meets the peers that can be reached. What is down now is tried again for as long as the agent runs.
   * @throws {ConfigError} a connection has the same role at both ends
   */
  start(options?: AbortOptions): Promise<void>
  /** Takes a channel that a peer's agent has opened. */
  accept(channel: MessageChannel): void
  /** Everything there is to know, with charon's own list of SAs. */
  status(options?: AbortOptions): Promise<IpsecAgentStatus>
  /**
   * Brings a new key into use now; a responder asks the initiator to. Without a name: on every connection.
   * @throws {InvalidArgumentError} there is no such connection, or it rotates at the gateway of a vendor
   * @throws {QkdError} why the first rotation that failed did
   */
  rotate(connection?: string, options?: AbortOptions): Promise<void>
  /** Compares charon with what it should have, and mends it. Runs by itself every `reconcileSeconds`. */
  reconcile(options?: AbortOptions): Promise<ReconcileReport>
  /** Takes a call of the updown hook, in the order in which they were made. */
  handleUpdown(event: UpdownEvent): void
  /** Calls `listener` for each event from now on, in order. */
  onEvent(listener: (event: IpsecAgentEvent) => void): Unsubscribe
}

/**
 * An agent that does nothing before `start()`.
 * @throws {ConfigError} the configuration contradicts itself
 */
export function createIpsecAgent(options: IpsecAgentOptions): IpsecAgent {
  const faults = checkAgentConfig(options.config)
  if (faults.length > 0) throw new ConfigError(faults.map(({ path, message }) => `${path}: ${message}`).join('\n'))
  return new CharonAgent(options)
}

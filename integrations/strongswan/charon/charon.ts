import { type AbortOptions, type SecretKey, Slots, type ViciError, withDeadline } from '../../../lib/index.ts'
import type { IpsecConnectionConfig } from '../agent-config.ts'
import {
  charonVersion,
  initiate,
  type ListedConnection,
  type ListedSa,
  listConnections,
  listSas,
  loadConnection,
  rekeyIke,
  sharedIds,
  terminateIke,
  unloadShared,
} from '../vici/commands.ts'
import { loadShared } from '../vici/load-shared.ts'
import { ViciSession } from '../vici/session.ts'
import { type ConnectionVariant, connectionBody } from './connection-body.ts'
import { parseSharedId, sharedId } from './names.ts'
import { SaWatch, WATCHED_EVENTS } from './sa-watch.ts'

/** How long charon may wait for the other gateway to bring up one child, in milliseconds. */
const INITIATE_TIMEOUT_MS = 5_000
/** How long the other gateway may take to rekey an IKE_SA, in milliseconds. */
const REKEY_TIMEOUT_MS = 5_000
/** How long the other gateway may take to agree that an IKE_SA is over, in milliseconds. */
const TERMINATE_TIMEOUT_MS = 1_000
/** Commands at a time that wait for gateways far away; the session keeps connections for those that do not. */
const MAX_WAITING = 4

/** Options of `Charon`. */
export interface CharonOptions {
  /** Path of the VICI socket. */
  readonly path: string
  /** Called on each new contact, with charon as it was found; must give it what it should have. */
  readonly onConnect: (options: Required<AbortOptions>) => Promise<void>
  /** Called once it has that. */
  readonly onReady: () => void
  readonly onDisconnect: (error: ViciError) => void
}

/** A key as charon is given it. */
export interface CharonKey {
  readonly connection: string
  readonly keyId: string
  readonly type: 'ppk' | 'ike'
  readonly owners: readonly string[]
  readonly secret: SecretKey
}

/** The charon of this gateway, in the words of the agent. */
export class Charon {
  readonly path: string
  /** What it has told of its IKE_SAs. */
  readonly watch = new SaWatch()
  readonly #session: ViciSession
  readonly #far = new Slots(MAX_WAITING)
  #version: string | undefined

  constructor({ path, onConnect, onReady, onDisconnect }: CharonOptions) {
    this.path = path
    this.#session = new ViciSession({
      path,
      events: WATCHED_EVENTS,
      onConnect: async options => {
        this.#version = await charonVersion(this.#session, options)
        await onConnect(options)
      },
      onReady,
      onDisconnect: error => {
        this.watch.clear()
        onDisconnect(error)
      },
    })
    this.#session.onEvent(event => this.watch.take(event))
  }

  get connected(): boolean {
    return this.#session.connected
  }

  get version(): string | undefined {
    return this.#version
  }

  /** Begins to connect; resolves with what went wrong at the first try, or undefined. */
  start(options?: AbortOptions): Promise<unknown> {
    return this.#session.start(options)
  }

  close(): Promise<void> {
    return this.#session.close()
  }

  async loadKey({ connection, keyId, ...key }: CharonKey, options?: AbortOptions): Promise<void> {
    await loadShared(this.#session, { ...key, id: sharedId(connection, keyId) }, options)
  }

  async unloadKey(connection: string, keyId: string, options?: AbortOptions): Promise<void> {
    await unloadShared(this.#session, sharedId(connection, keyId), options)
  }

  /** Every key of ours that charon has. */
  async keys(options?: AbortOptions): Promise<{ connection: string; keyId: string }[]> {
    return (await sharedIds(this.#session, options)).map(parseSharedId).filter(key => key !== undefined)
  }

  async loadConnection(
    config: IpsecConnectionConfig,
    variant: ConnectionVariant,
    options?: AbortOptions,
  ): Promise<void> {
    await loadConnection(this.#session, config.name, connectionBody(config, variant), options)
  }

  /** Connections, one or all. */
  connections(name?: string, options?: AbortOptions): Promise<ListedConnection[]> {
    return listConnections(this.#session, name, options)
  }

  /** IKE_SAs, of one connection or of all. */
  sas(connection?: string, options?: AbortOptions): Promise<ListedSa[]> {
    return listSas(this.#session, connection, options)
  }

  async initiate(connection: string, child: string | undefined, { signal }: AbortOptions = {}): Promise<void> {
    const options = { signal, timeoutMs: INITIATE_TIMEOUT_MS }
    await this.#await(signal, () => initiate(this.#session, { ike: connection, child }, options))
  }

  /** Rekeys an IKE_SA and gives its new number. */
  async rekeyIke(uniqueId: string, { signal }: AbortOptions = {}): Promise<string> {
    const waiting = withDeadline(signal, REKEY_TIMEOUT_MS)
    const rekeyed = this.watch.rekeyed(uniqueId, { signal: waiting })
    rekeyed.catch(() => {})
    await rekeyIke(this.#session, uniqueId, { signal: waiting })
    return await rekeyed
  }

  async terminate(uniqueId: string, { signal }: AbortOptions = {}): Promise<void> {
    const options = { signal, timeoutMs: TERMINATE_TIMEOUT_MS }
    await this.#await(signal, () => terminateIke(this.#session, uniqueId, options))
  }

  /** Gateways that are gone hold up no more than a few commands, and none to charon itself. */
  async #await(signal: AbortSignal | undefined, command: () => Promise<void>): Promise<void> {
    await this.#far.acquire({ signal })
    await command().finally(() => this.#far.release())
  }
}

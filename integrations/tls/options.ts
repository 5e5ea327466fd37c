import { constants } from 'node:crypto'
import type { TlsOptions } from 'node:tls'
import { InvalidArgumentError, type Kms, type Logger, requireInteger, type Telemetry } from '../../lib/index.ts'
import { pskCallback } from './admitted-connection.ts'
import { requireKnownGroup } from './groups.ts'
import { requireSaeId } from './identity.ts'
import type { PskBinding } from './psk.ts'
import { type TlsVersionOptions, type TlsVersions, tlsVersions } from './suites.ts'

/** A peer that may connect. */
export interface PskPeer {
  /** 1 to 88 characters out of A-Z a-z 0-9 . _ @ / - */
  readonly saeId: string
  /** `role` (default) for peers that use this toolkit, `raw` for others such as openssl. */
  readonly binding?: PskBinding
}

/** Options of `attach`. */
export interface GateOptions extends TlsVersionOptions {
  /** Every SAE that may connect to this port; at least one, each once. */
  readonly peers: readonly PskPeer[]
  /** From a connection's begin until its key is there, in milliseconds; 1 to 600000, default 5000. The handshake itself gets as much again. */
  readonly deadlineMs?: number
  /** KMS look-ups under way at once; further ones are refused. 1 to 65536, default 256. */
  readonly maxPending?: number
  /** Of these, for one IPv4 address or one /64 of IPv6, and besides those that found no key in the last second; 1 to 65536, default 64. */
  readonly maxPendingPerAddress?: number
  /**
   * What becomes of a client that offers no key of the KMS: refused (`forbid`, the default), or let through to the
   * server's certificate (`allow`). `qkdInfo` tells the application which one it has.
   */
  readonly certificate?: 'forbid' | 'allow'
  /** The one key exchange group to accept, for example `X25519MLKEM768` (Node 24). Default: all that OpenSSL has on. */
  readonly requireGroup?: string
  readonly telemetry?: Telemetry
  /** Default: silent unless NODE_DEBUG=qkd:tls asks for it. */
  readonly logger?: Logger
}

/** What the gate works with, checked. */
export interface GateSettings extends TlsVersions {
  readonly peers: ReadonlyMap<string, PskBinding>
  readonly deadlineMs: number
  readonly maxPending: number
  readonly maxPendingPerAddress: number
  readonly certificate: 'forbid' | 'allow'
  readonly requireGroup: string | undefined
  readonly telemetry: Telemetry | undefined
}

const DEFAULT_DEADLINE_MS = 5000

/** Checks the options of a server once; every fault names its field. */
export function gateSettings(kms: Kms, options: GateOptions): GateSettings {
  requireSaeId('kms.saeId', kms.saeId)
  const { certificate = 'forbid', requireGroup, telemetry, maxPending = 256, maxPendingPerAddress = 64 } = options
  if (certificate !== 'forbid' && certificate !== 'allow') {
    throw new InvalidArgumentError(`certificate must be 'forbid' or 'allow'`)
  }
  return Object.freeze({
    peers: peerBindings(kms, options.peers),
    deadlineMs: requireDeadline(options.deadlineMs),
    maxPending: requireInteger('maxPending', maxPending, { min: 1, max: 65_536 }),
    maxPendingPerAddress: requireInteger('maxPendingPerAddress', maxPendingPerAddress, { min: 1, max: 65_536 }),
    certificate,
    requireGroup,
    telemetry,
    ...tlsVersions(options),
  })
}

function peerBindings(kms: Kms, peers: unknown): Map<string, PskBinding> {
  if (!Array.isArray(peers) || peers.length === 0) {
    throw new InvalidArgumentError('peers must list the SAEs that may connect, as [{ saeId }]')
  }
  const bindings = new Map<string, PskBinding>()
  for (const [i, { saeId, binding = 'role' }] of peers.entries() as Iterable<[number, PskPeer]>) {
    requireSaeId(`peers[${i}].saeId`, saeId)
    requireBinding(`peers[${i}].binding`, binding)
    if (saeId === kms.saeId) throw new InvalidArgumentError(`peers[${i}].saeId is this SAE itself, ${saeId}`)
    if (bindings.has(saeId)) throw new InvalidArgumentError(`peers[${i}].saeId names ${saeId} a second time`)
    bindings.set(saeId, binding)
  }
  return bindings
}

/** `binding` if it is one; otherwise throws, naming the option. */
export function requireBinding(name: string, binding: unknown): PskBinding {
  if (binding === 'role' || binding === 'raw') return binding
  throw new InvalidArgumentError(`${name} must be 'role' or 'raw'`)
}

function requireDeadline(deadlineMs: number = DEFAULT_DEADLINE_MS): number {
  return requireInteger('deadlineMs', deadlineMs, { min: 1, max: 600_000 })
}

/** What `serverOptions` takes. */
export type ServerOptionsInput = Pick<GateOptions, 'deadlineMs' | 'requireGroup' | keyof TlsVersionOptions> &
  Pick<TlsOptions, 'secureOptions'>

/**
 * The options of node:tls without which a server can't be attached to; spread them in last:
 * `https.createServer({ key, cert, ...serverOptions({}) })`.
 */
export function serverOptions(options: ServerOptionsInput) {
  const { deadlineMs, requireGroup, secureOptions = 0 } = options
  const { ciphers, minVersion } = tlsVersions(options)
  return {
    pskCallback,
    ciphers,
    minVersion,
    // A ticket would resume the session without the key, and after the key was erased.
    secureOptions: secureOptions | constants.SSL_OP_NO_TICKET,
    handshakeTimeout: requireDeadline(deadlineMs),
    ...(requireGroup === undefined ? {} : { ecdhCurve: requireKnownGroup(requireGroup) }),
  } as const satisfies TlsOptions
}

/** Throws if an option is given that would undo what `why` says. */
export function forbidOptions(options: object, names: readonly string[], why: string): void {
  for (const name of names) {
    if (Reflect.get(options, name) !== undefined) throw new InvalidArgumentError(`${name} can't be set: ${why}`)
  }
}

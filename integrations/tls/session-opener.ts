import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import {
  type AbortOptions,
  eitherSignal,
  InvalidArgumentError,
  type Kms,
  requireInteger,
  type SecurityLevel,
  withDeadline,
} from '../../lib/index.ts'
import { connect } from './connect.ts'
import { requireKnownGroup } from './groups.ts'
import { failureOf } from './handshake-failure.ts'
import { requireSaeId } from './identity.ts'
import { requireBinding } from './options.ts'
import { createPrefetchingKms, type PrefetchingKms, type PrefetchOptions } from './prefetching-kms.ts'
import type { PskBinding } from './psk.ts'
import { HandshakeRefusal } from './refusal.ts'
import { type TlsVersionOptions, tlsVersions } from './suites.ts'

/**
 * The SAE of the server at `hostname` and `port`, the same at every call; undefined for a server that is none, to which
 * nothing is then sent.
 */
export type PeerOf = (endpoint: { readonly hostname: string; readonly port: number }) => string | undefined

/** What a client that opens several connections needs to know about their keys. */
export interface SessionOpenerOptions extends TlsVersionOptions {
  /** The SAE that every server is, or what says it for each. */
  readonly peerSaeId: string | PeerOf
  /** `role` (default) for servers that use this toolkit, `raw` for others such as openssl. */
  readonly binding?: PskBinding
  /** Level of the keys; default the policy's. */
  readonly level?: SecurityLevel
  /** The one key exchange group to accept, for example `X25519MLKEM768` (Node 24). Default: the hybrid first where Node has it. */
  readonly requireGroup?: string
  /** From the begin of a connection to its proven session, in milliseconds; 1 to 600000, default 5000. */
  readonly timeoutMs?: number
  /** Keys that are drawn ahead of need. Default none: each connection waits for its own. */
  readonly prefetch?: PrefetchOptions
}

/** Where a session goes, and what it says of itself. */
export interface SessionTarget extends AbortOptions, Pick<ConnectionOptions, 'servername' | 'ALPNProtocols'> {
  /** As `peerOf` gave it; undefined is refused. */
  readonly peerSaeId: string | undefined
}

/** One number for each Kms of this process, so that a name can tell them apart. */
const numbers = new WeakMap<Kms, number>()
let lastNumber = 0

/** Opens sessions with whichever peer stands behind a host name, all on the same terms. */
export class SessionOpener {
  readonly #kms: Kms
  readonly #prefetching: PrefetchingKms | undefined
  readonly #options: SessionOpenerOptions
  readonly #number: number
  readonly #ciphers: string

  /** @throws {InvalidArgumentError} an option is wrong */
  constructor(kms: Kms, options: SessionOpenerOptions) {
    const { peerSaeId, binding = 'role', requireGroup, timeoutMs = 5000, prefetch } = options
    requireSaeId('kms.saeId', kms.saeId)
    if (typeof peerSaeId !== 'function') requirePeer(kms, peerSaeId)
    requireBinding('binding', binding)
    if (requireGroup !== undefined) requireKnownGroup(requireGroup)
    this.#ciphers = tlsVersions(options).ciphers
    requireInteger('timeoutMs', timeoutMs, { min: 1, max: 600_000 })
    this.#options = Object.freeze({ ...options, binding, timeoutMs })
    this.#prefetching = prefetch && createPrefetchingKms(kms, prefetch)
    this.#kms = this.#prefetching ?? kms
    this.#number = numbers.get(kms) ?? ++lastNumber
    numbers.set(kms, this.#number)
  }

  /** Who the server at this endpoint is. Asked once for each connection: whatever else concerns it goes by that answer. */
  peerOf(endpoint: { hostname: string; port: number }): string | undefined {
    const { peerSaeId } = this.#options
    return typeof peerSaeId === 'function' ? peerSaeId(endpoint) : peerSaeId
  }

  /** What two connections must have in common to stand for each other: KMS, peer, binding, level, group and versions. */
  nameOf(peerSaeId: string | undefined): string {
    const { binding, level, requireGroup } = this.#options
    return ['qkd', this.#number, peerSaeId, binding, level, requireGroup, this.#ciphers].join(':')
  }

  /**
   * A session with a peer over `raw`, which may still be connecting; the key is taken once it stands. Takes `raw` over and
   * destroys it where nothing comes of it.
   * @throws what `connect` throws
   */
  async open(raw: Socket, { peerSaeId: named, signal: outer, ...offer }: SessionTarget): Promise<TLSSocket> {
    const { binding, level, requireGroup, minVersion, tls12Suites, timeoutMs = 5000 } = this.#options
    // Nobody takes this one off: an error that comes after the first must not end the process.
    raw.on('error', () => {})
    const signal = withDeadline(outer, timeoutMs)
    try {
      const peerSaeId = requirePeer(this.#kms, named)
      if (raw.connecting) await connected(raw, signal)
      const terms = { peerSaeId, binding, level, requireGroup, minVersion, tls12Suites, timeoutMs }
      return await connect(this.#kms, { ...offer, ...terms, socket: raw, signal })
    } catch (error) {
      raw.destroy()
      throw error instanceof HandshakeRefusal ? failureOf(error, { peerSaeId: String(named) }) : error
    }
  }

  /** Wipes every key that was drawn ahead. What was opened stays, and more can be opened. */
  clear(): void {
    this.#prefetching?.clear()
  }
}

function requirePeer(kms: Kms, saeId: unknown): string {
  if (saeId === undefined) throw new InvalidArgumentError('peerSaeId names no SAE for this server')
  const peer = requireSaeId('peerSaeId', saeId)
  if (peer === kms.saeId) throw new InvalidArgumentError(`peerSaeId is this SAE itself, ${peer}`)
  return peer
}

async function connected(raw: Socket, signal: AbortSignal): Promise<void> {
  const over = new AbortController()
  const onClose = () => over.abort(new HandshakeRefusal('closed', 'The connection was given up'))
  raw.once('close', onClose)
  try {
    await once(raw, 'connect', { signal: eitherSignal(signal, over.signal) })
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw over.signal.aborted ? over.signal.reason : error
  } finally {
    raw.off('close', onClose)
  }
}

import { randomBytes } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import {
  type AbortOptions,
  abortable,
  InvalidArgumentError,
  KeyNotFoundError,
  type Kms,
  requireInteger,
} from '../../lib/index.ts'
import { PskConnection } from './admitted-connection.ts'
import { canonicalKeyId, type PskIdentity, parseIdentity } from './identity.ts'
import { type FetchedPsk, KeyQuarantine, type QuarantinedKey } from './key-quarantine.ts'
import { type GateOptions, gateSettings, serverOptions } from './options.ts'
import { derivePsk, MIN_PSK_BYTES } from './psk.ts'

/** Keys that wait at once, and for how long unless said. */
const MAX_EXPECTED = 1024
const DEFAULT_WAIT_MS = 30_000

/** Options of `createPskCallbacks`. */
export interface PskCallbacksOptions extends Pick<GateOptions, 'peers' | 'deadlineMs'> {
  /** How long a key waits for its client before it is wiped, in milliseconds; 1 to 600000, default 30000. */
  readonly waitMs?: number
}

/** What a server needs that makes its own TLS options. */
export interface PskCallbacks extends Disposable {
  /** To be spread in last; the `pskCallback` answers at once, from the keys that are expected. */
  readonly options: Pick<ReturnType<typeof serverOptions>, 'pskCallback' | 'ciphers' | 'minVersion' | 'secureOptions'>
  /**
   * Fetches the key that a peer is about to connect with: it told its key_ID by another way. Resolves when its connection
   * can come. Each key makes one session; at most 1,024 wait.
   * @throws {InvalidArgumentError} the peer is none of this server's
   * @throws {PskHandshakeError} the key was used before, or too many wait
   * @throws what the Kms throws
   */
  expect(identity: PskIdentity, options?: AbortOptions): Promise<void>
  /** Wipes the keys that nobody came for. */
  [Symbol.dispose](): void
}

/**
 * Gives `pskCallback` and the options that belong to it, for a server whose TLS options are made elsewhere. Node's callback can't
 * wait, so each key must be there before its client: `expect` it. Where the server can be reached at all, use `attach`,
 * which reads the identity itself, keeps keys from clients that can't prove them, refuses those that bring none, and needs no
 * other way for the key_ID. Here all that is left to node:tls: a server with a certificate also serves clients without a
 * key, so look at `qkdInfo(socket)`; whoever knows an expected key_ID can hold its key up for the time of a handshake.
 * @throws {InvalidArgumentError} an option is wrong
 */
export function createPskCallbacks(kms: Kms, options: PskCallbacksOptions): PskCallbacks {
  const { peers, deadlineMs } = gateSettings(kms, options)
  const { waitMs = DEFAULT_WAIT_MS } = options
  requireInteger('waitMs', waitMs, { min: 1, max: 600_000 })
  const slaveSaeId = kms.saeId
  const ready = new Map<string, QuarantinedKey>()
  const connections = new WeakMap<TLSSocket, PskConnection>()

  async function fetch({ masterSaeId, keyId }: PskIdentity, { signal }: { signal: AbortSignal }): Promise<FetchedPsk> {
    const [key, ...others] = await kms.getKeyWithIds(masterSaeId, [keyId], { signal, timeoutMs: deadlineMs })
    for (const { secret } of others) secret.wipe()
    if (key === undefined) throw new KeyNotFoundError()
    const binding = peers.get(masterSaeId) ?? 'role'
    return { psk: derivePsk(key.secret, { masterSaeId, slaveSaeId, keyId, binding }), level: key.level }
  }

  const quarantine = new KeyQuarantine({
    fetch,
    acquire: () => () => {},
    capacity: MAX_EXPECTED,
    ttlMs: waitMs,
    fetchTimeoutMs: deadlineMs,
  })

  /** The connection of `socket` under the key that it names; undefined where it may not have it. */
  function begin(socket: TLSSocket, identity: string): PskConnection | undefined {
    const names = parseIdentity(Buffer.from(identity, 'latin1'))
    const key = names && ready.get(nameOf(names))
    if (names === undefined || key?.claim() !== true) return undefined
    const binding = peers.get(names.masterSaeId) ?? 'role'
    const connection = new PskConnection({ ...names, key, identity, slaveSaeId, binding, group: undefined })
    connections.set(socket, connection)
    // Before the server's own listener, which announces the session.
    socket.prependOnceListener('secure', () => {
      try {
        connection.confirm(socket)
        ready.delete(nameOf(names))
      } catch (error) {
        socket.destroy(error as Error)
      }
    })
    socket.once('close', () => connection.end())
    return connection
  }

  const { ciphers, minVersion, secureOptions } = serverOptions({})
  return {
    options: {
      ciphers,
      minVersion,
      secureOptions,
      // A key that nobody has, where there is none: what fails then looks like a wrong key, and no certificate steps in.
      pskCallback: (socket, identity) =>
        (connections.get(socket) ?? begin(socket, identity))?.pskFor(socket, identity) ?? randomBytes(MIN_PSK_BYTES),
    },
    expect: async ({ masterSaeId, keyId }, { signal } = {}) => {
      signal?.throwIfAborted()
      if (!peers.has(masterSaeId))
        throw new InvalidArgumentError(`masterSaeId ${masterSaeId} is no peer of this server`)
      const names = { masterSaeId, keyId: canonicalKeyId(keyId) }
      for (const [name, { psk }] of ready) if (psk.wiped) ready.delete(name)
      ready.set(nameOf(names), await abortable(quarantine.get(names, undefined), { signal }))
    },
    [Symbol.dispose]: () => {
      quarantine.clear()
      ready.clear()
    },
  }
}

function nameOf({ masterSaeId, keyId }: PskIdentity): string {
  return `${masterSaeId}~${keyId}`
}

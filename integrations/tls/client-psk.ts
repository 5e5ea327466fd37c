import { constants } from 'node:crypto'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import {
  type AbortOptions,
  InvalidArgumentError,
  type Kms,
  negotiatedGroup,
  requireInteger,
  type SecurityLevel,
} from '../../lib/index.ts'
import { canonicalKeyId, formatIdentity, requireSaeId } from './identity.ts'
import { requireBinding } from './options.ts'
import { derivePsk, LentPsk, MIN_PSK_BYTES, type PskBinding } from './psk.ts'
import { requirePskSession, setQkdInfo } from './session.ts'
import { CIPHERS } from './suites.ts'

/** Options of `drawClientPsk`. */
export interface ClientPskOptions extends AbortOptions {
  /** The SAE that the server is. */
  readonly peerSaeId: string
  /** `role` (default) for a server that uses this toolkit, `raw` for another such as openssl. */
  readonly binding?: PskBinding
  /** Level of the key; default the policy's. */
  readonly level?: SecurityLevel
  /** How long the KMS may take, in milliseconds; 1 to 600000, default 5000. */
  readonly timeoutMs?: number
  /** How long the key waits for its session before it is wiped, in milliseconds; 1 to 600000, default 30000. */
  readonly waitMs?: number
}

/** A key for one session, for code that calls `tls.connect` itself. */
export interface ClientPsk extends Disposable {
  /** What a server with `createPskCallbacks` has to expect. */
  readonly masterSaeId: string
  readonly keyId: string
  /** To be spread in last. After `confirm`, or when the time is over, a connection with them fails. */
  readonly options: Required<
    Pick<ConnectionOptions, 'pskCallback' | 'ciphers' | 'minVersion' | 'secureOptions' | 'ca' | 'rejectUnauthorized'>
  >
  /**
   * To be called at `secureConnect`: checks that the session stands on this key, says so in `qkdInfo(socket)`, and wipes it.
   * @throws {PskHandshakeError} it does not; the socket is destroyed
   */
  confirm(socket: TLSSocket): void
  /** Wipes the key. */
  [Symbol.dispose](): void
}

/**
 * Draws a key and gives the options with which `tls.connect` uses it, where `connect` can't be called in its stead. The key
 * is drawn whether or not a connection follows, and makes one session: options for the next one are drawn anew.
 * @throws {InvalidArgumentError} an option is wrong; nothing was consumed
 * @throws what the Kms throws
 */
export async function drawClientPsk(kms: Kms, options: ClientPskOptions): Promise<ClientPsk> {
  const { peerSaeId, binding = 'role', level, timeoutMs = 5000, waitMs = 30_000, signal } = options
  requireSaeId('kms.saeId', kms.saeId)
  requireSaeId('peerSaeId', peerSaeId)
  if (peerSaeId === kms.saeId) throw new InvalidArgumentError(`peerSaeId is this SAE itself, ${peerSaeId}`)
  requireBinding('binding', binding)
  requireInteger('timeoutMs', timeoutMs, { min: 1, max: 600_000 })
  requireInteger('waitMs', waitMs, { min: 1, max: 600_000 })
  const [key] = await kms.getKey(peerSaeId, { sizeBits: MIN_PSK_BYTES * 8, level, timeoutMs, signal })
  if (key === undefined) throw new InvalidArgumentError('The KMS gave no key')
  const names = { masterSaeId: kms.saeId, slaveSaeId: peerSaeId, keyId: canonicalKeyId(key.keyId) }
  using psk = derivePsk(key.secret, { ...names, binding })
  const identity = formatIdentity(names)
  const lent = new LentPsk(psk)
  let over = false

  function end(): void {
    clearTimeout(timer)
    over = true
    lent.wipe()
  }

  const timer = setTimeout(end, waitMs).unref()
  return {
    masterSaeId: names.masterSaeId,
    keyId: names.keyId,
    options: {
      pskCallback: () => (over ? null : { psk: lent.bytes, identity }),
      ciphers: CIPHERS,
      minVersion: 'TLSv1.3',
      secureOptions: constants.SSL_OP_NO_TICKET,
      ca: [],
      rejectUnauthorized: true,
    },
    confirm: socket => {
      try {
        requirePskSession(socket)
      } catch (error) {
        socket.destroy()
        throw error
      } finally {
        end()
      }
      setQkdInfo(socket, {
        ...names,
        level: key.level,
        group: negotiatedGroup(socket),
        cipher: socket.getCipher().name,
      })
    },
    [Symbol.dispose]: end,
  }
}

import { connect as connectTcp, type NetConnectOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import {
  type AbortOptions,
  abortable,
  InvalidArgumentError,
  type Kms,
  requireInteger,
  type SecurityLevel,
  startDeadline,
} from '../../lib/index.ts'
import { clientHandshake } from './client-handshake.ts'
import { requireKnownGroup } from './groups.ts'
import { failureOf } from './handshake-failure.ts'
import { canonicalKeyId, formatIdentity, requireSaeId } from './identity.ts'
import { forbidOptions, requireBinding } from './options.ts'
import { derivePsks, MIN_PSK_BYTES, type PskBinding } from './psk.ts'
import { HandshakeRefusal } from './refusal.ts'
import type { QkdInfo } from './session.ts'
import { type TlsVersionOptions, tlsVersions } from './suites.ts'

/** Options that would undo what this module promises; the rest of node:tls has no meaning under a pre-shared key. */
export const FORCED = [
  'pskCallback',
  'session',
  'secureContext',
  'secureProtocol',
  'ciphers',
  'maxVersion',
  'ca',
  'cert',
  'key',
  'pfx',
  'rejectUnauthorized',
  'checkServerIdentity',
  'ecdhCurve',
] as const

type PassedOn = 'host' | 'port' | 'path' | 'socket' | 'servername' | 'ALPNProtocols'

/** Options of `connect`: what is not listed here is not passed on to node:tls. */
export interface ConnectOptions extends AbortOptions, TlsVersionOptions, Pick<ConnectionOptions, PassedOn> {
  /** The SAE that the server is. */
  readonly peerSaeId: string
  /** `role` (default) for a server that uses this toolkit, `raw` for another such as openssl. */
  readonly binding?: PskBinding
  /** Level of the key; default the policy's. */
  readonly level?: SecurityLevel
  /** The one key exchange group to accept, for example `X25519MLKEM768` (Node 24). Default: the hybrid first where Node has it. */
  readonly requireGroup?: string
  /** Leaves our half open when the server ends its own. Default false. */
  readonly allowHalfOpen?: boolean
  /** For everything from the TCP connection to the proven session, in milliseconds; 1 to 600000, default 5000. */
  readonly timeoutMs?: number
}

/**
 * A TLS session with `peerSaeId` under a fresh key from the KMS, proven at this end: if the promise resolves, the
 * session stands on that key and on (EC)DHE. There is no fall-back of any kind. The key is taken once TCP stands, so a
 * server that is not there costs none; errors of TCP (ECONNREFUSED, ...) and of the KMS come through as they are.
 * @throws {InvalidArgumentError} an option is wrong, or an SAE ID can't stand in a TLS identity; nothing was consumed
 * @throws {HandshakeFailure} the server refused the key or is another one; the key is spent, retry with a new call
 */
export async function connect(kms: Kms, options: ConnectOptions): Promise<TLSSocket> {
  const { binding = 'role', peerSaeId, requireGroup, timeoutMs = 5000 } = options
  requireSaeId('kms.saeId', kms.saeId)
  requireSaeId('peerSaeId', peerSaeId)
  if (peerSaeId === kms.saeId) throw new InvalidArgumentError(`peerSaeId is this SAE itself, ${peerSaeId}`)
  requireBinding('binding', binding)
  forbidOptions(options, FORCED, 'the pre-shared key needs its own value')
  if (requireGroup !== undefined) requireKnownGroup(requireGroup)
  const versions = tlsVersions(options)
  requireInteger('timeoutMs', timeoutMs, { min: 1, max: 600_000 })
  using call = startDeadline(options.signal, timeoutMs)
  const { signal } = call
  signal.throwIfAborted()

  const raw = options.socket ?? (await openTcp(options, signal))
  try {
    const { keyId, level, secret } = await drawKey(kms, raw, { ...options, signal, timeoutMs })
    const names = { masterSaeId: kms.saeId, slaveSaeId: peerSaeId, keyId: canonicalKeyId(keyId) }
    const psks = derivePsks(secret, { ...names, binding }, versions.minVersion)
    using _psk = psks.psk
    using _tls12Psk = psks.tls12Psk
    const session: Omit<QkdInfo, 'group' | 'cipher'> = { ...names, level }
    return await clientHandshake(raw, { ...options, psks, versions, session, identity: formatIdentity(names), signal })
  } catch (error) {
    // A socket that was passed in and has not begun TLS is still its owner's.
    if (options.socket === undefined) raw.destroy()
    throw error instanceof HandshakeRefusal ? failureOf(error, { peerSaeId }) : error
  }
}

function openTcp(options: ConnectOptions, signal: AbortSignal): Promise<Duplex> {
  const { host, port, path, allowHalfOpen } = options
  const raw = connectTcp({ host, port, path, allowHalfOpen } as NetConnectOpts)
  const connected = new Promise<Duplex>((resolve, reject) => {
    raw.once('connect', () => resolve(raw)).on('error', reject)
  })
  return abortable(connected, { signal }).catch(error => {
    raw.destroy()
    throw error
  })
}

async function drawKey(kms: Kms, raw: Duplex, options: ConnectOptions & { signal: AbortSignal; timeoutMs: number }) {
  const { peerSaeId, level, timeoutMs } = options
  const over = new AbortController()
  const onGone = () => over.abort(new HandshakeRefusal('closed', `${peerSaeId} closed before the handshake`))
  const onAbort = () => over.abort(options.signal.reason)
  raw.on('error', onGone).on('close', onGone)
  options.signal.addEventListener('abort', onAbort, { once: true })
  if (raw.destroyed) onGone()
  const { signal } = over
  try {
    options.signal.throwIfAborted()
    signal.throwIfAborted()
    const drawing = kms.getKey(peerSaeId, { sizeBits: MIN_PSK_BYTES * 8, level, signal, timeoutMs })
    // Whatever comes after we have stopped waiting is wiped unused.
    drawing.then(
      keys => {
        for (const { secret } of keys.slice(signal.aborted ? 0 : 1)) secret.wipe()
      },
      () => {},
    )
    const [key] = await abortable(drawing, { signal })
    if (key === undefined) throw new InvalidArgumentError('The KMS gave no key')
    return key
  } finally {
    raw.off('error', onGone).off('close', onGone)
    options.signal.removeEventListener('abort', onAbort)
  }
}

import { connect, createSecureContext, type TLSSocket } from 'node:tls'
import { KmeUnreachableError } from '../errors.ts'
import type { CertificateIdentity } from '../interface/http.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import { certificateIdentity } from '../util/certificate-identity.ts'
import { abortable, requireInteger, withDeadline } from '../util/deadline.ts'
import { mutualTlsOptions, type TlsCredentials } from '../util/tls-credentials.ts'
import { negotiatedGroup } from '../util/tls-groups.ts'
import { SocketChannel, type TlsChannel } from './tls-channel.ts'

/** Options of `dialTlsChannel`. */
export interface DialTlsChannelOptions extends TlsCredentials, AbortOptions {
  readonly host: string
  readonly port: number
  /** Who must answer. */
  readonly expectedPeerId: string
  /** The peer that a verified certificate stands for; undefined for none. */
  readonly identify: (identity: CertificateIdentity) => string | undefined
  /** How long it may take until the channel is ready, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number
  /** How often the channel lets hear of itself, in milliseconds, 1 to 60,000. Default 10,000. */
  readonly heartbeatMs?: number
}

/**
 * A channel to `expectedPeerId` over mutual TLS 1.3. Resolves when both ends have accepted each other, so a peer that refuses
 * this end's certificate is heard of here. The name in the certificate is `identify`'s matter, not the host's.
 * @throws {KmeUnreachableError} nobody answers, TLS fails, it is somebody else, or it refuses this end
 */
export async function dialTlsChannel(options: DialTlsChannelOptions): Promise<TlsChannel> {
  const { host, port, expectedPeerId, identify, signal, timeoutMs = 5_000, heartbeatMs = 10_000 } = options
  requireInteger('heartbeatMs', heartbeatMs, { min: 1, max: 60_000 })
  const secureContext = createSecureContext(mutualTlsOptions(options, { minVersion: 'TLSv1.3', server: false }))
  const deadline = withDeadline(signal, requireInteger('timeoutMs', timeoutMs, { min: 1, max: 2 ** 31 - 1 }))
  deadline.throwIfAborted()
  const socket = connect({ host, port, secureContext, minVersion: 'TLSv1.3', checkServerIdentity: () => undefined })
  try {
    await abortable(secured(socket), { signal: deadline })
    const certificate = socket.getPeerX509Certificate()
    const peerId = certificate === undefined ? undefined : identify(certificateIdentity(certificate))
    if (peerId !== expectedPeerId) throw new Error(`it is ${peerId ?? 'nobody that is known'}`)
    const channel = new SocketChannel(socket, { peerId, heartbeatMs })
    await channel.greet({ group: negotiatedGroup(socket), signal: deadline })
    return channel
  } catch (error) {
    socket.on('error', () => {}).destroy()
    signal?.throwIfAborted()
    const reason = error instanceof Error ? error.message : String(error)
    throw new KmeUnreachableError(`No channel to ${expectedPeerId} at ${host} port ${port}: ${reason}`, {
      cause: error,
    })
  }
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed during the handshake')))
  })
}

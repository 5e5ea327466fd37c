import type { TLSSocket } from 'node:tls'
import {
  InvalidArgumentError,
  type Kms,
  requireInteger,
  SocketChannel,
  startDeadline,
  type TlsChannel,
} from '../../lib/index.ts'
import { type ConnectOptions, connect } from './connect.ts'
import { type QkdInfo, qkdInfo } from './session.ts'
import type { TlsVersionOptions } from './suites.ts'

/** A message channel over a TLS session of its own: its peer is authenticated by the key of the KMS that both hold. */
export interface PskChannel extends TlsChannel {
  /** What the session stands on. */
  readonly session: QkdInfo
}

/** Options of `connectChannel`: those of `connect`, but for what both ends of a channel have settled. */
export interface ConnectChannelOptions
  extends Omit<ConnectOptions, 'binding' | 'allowHalfOpen' | 'ALPNProtocols' | keyof TlsVersionOptions> {
  /** How often this end lets hear of itself, in milliseconds, 1 to 60,000. Default 10,000. */
  readonly heartbeatMs?: number
}

/**
 * A channel to `peerSaeId`, who runs a `createChannelListener`, over TLS under a fresh key of the KMS. Resolves when both
 * ends have accepted each other; for programs that agree on keys, or on anything else, in messages.
 * @throws {ClosedError} the other end is the right SAE but does not speak as a channel
 * @throws what `connect` throws
 */
export async function connectChannel(kms: Kms, options: ConnectChannelOptions): Promise<PskChannel> {
  const { heartbeatMs, timeoutMs = 5000, ...rest } = options
  requireHeartbeat(heartbeatMs)
  requireInteger('timeoutMs', timeoutMs, { min: 1, max: 600_000 })
  using call = startDeadline(options.signal, timeoutMs)
  const { signal } = call
  const socket = await connect(kms, { ...rest, binding: 'role', timeoutMs, signal })
  return await openChannel(socket, { saeId: kms.saeId, heartbeatMs, signal })
}

/** What `openChannel` needs besides the session. */
export interface OpenChannelOptions {
  /** This end. */
  readonly saeId: string
  readonly heartbeatMs: number | undefined
  readonly signal: AbortSignal
}

/** Makes a proven session into a channel; destroys it where the other end does not greet. To be called before it is read. */
export async function openChannel(socket: TLSSocket, options: OpenChannelOptions): Promise<PskChannel> {
  const { saeId, heartbeatMs, signal } = options
  const session = qkdInfo(socket)
  if (session === undefined) throw new InvalidArgumentError('The session does not stand on a key of the KMS')
  const client = session.masterSaeId === saeId
  const channel = new PskSocketChannel(socket, {
    peerId: client ? session.slaveSaeId : session.masterSaeId,
    heartbeatMs: requireHeartbeat(heartbeatMs),
    session,
  })
  try {
    await channel.greet({ group: client ? session.group : undefined, signal })
    return channel
  } catch (error) {
    channel.abort(error as Error)
    throw error
  }
}

/** `heartbeatMs`, or the default for none. */
export function requireHeartbeat(heartbeatMs = 10_000): number {
  return requireInteger('heartbeatMs', heartbeatMs, { min: 1, max: 60_000 })
}

class PskSocketChannel extends SocketChannel implements PskChannel {
  readonly session: QkdInfo

  constructor(socket: TLSSocket, { session, ...options }: { peerId: string; heartbeatMs: number; session: QkdInfo }) {
    super(socket, options)
    this.session = session
  }
}

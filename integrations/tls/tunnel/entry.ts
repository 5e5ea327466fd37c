import { connect as connectTcp, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { type AbortOptions, type Kms, ProtocolError, requireInteger } from '../../../lib/index.ts'
import { SessionOpener, type SessionOpenerOptions } from '../session-opener.ts'
import { resetSocket } from './reset-socket.ts'
import {
  holdOpen,
  requireTarget,
  type Tunnel,
  type TunnelAddress,
  TunnelListener,
  type TunnelOptions,
  type TunnelWay,
} from './tunnel-listener.ts'
import { TUNNEL_PROTOCOL, TunnelStream } from './tunnel-stream.ts'

/** Who is at the other end of a tunnel, and where. */
export interface TunnelPeer extends Omit<SessionOpenerOptions, 'peerSaeId'> {
  /** The SAE at the other end. */
  readonly peerSaeId: string
  /** Where it takes sessions. */
  readonly connect: TunnelAddress
}

/** Options of `createTunnelEntry`. */
export interface TunnelEntryOptions extends TunnelOptions, TunnelPeer {}

/**
 * The client's end of a tunnel: takes plain TCP connections and carries each in a TLS session of its own, under a fresh key.
 * A connection for which no session comes about is reset; the next one tries anew, so an exit may come and go. With
 * `binding: 'raw'` any server of TLS with such keys may be at the other end; node:tls then can't tell a session that was
 * cut by a FIN from one that was ended.
 * @throws {InvalidArgumentError} an option is wrong, or an SAE ID can't stand in a TLS identity
 */
export function createTunnelEntry(kms: Kms, options: TunnelEntryOptions): Tunnel {
  return new TunnelListener(new EntryWay(kms, options), options)
}

/**
 * One connection through a tunnel, for a program that needs no port: what is written comes out at the exit. It fails with
 * `ERR_QKD_CLOSED` where it is cut before both sides have ended it.
 * @throws what `connect` throws
 */
export async function openTunnel(kms: Kms, { signal, ...peer }: TunnelPeer & AbortOptions): Promise<Duplex> {
  const way = new EntryWay(kms, peer)
  try {
    return await way.dial({ signal })
  } finally {
    way.release()
  }
}

class EntryWay implements TunnelWay {
  readonly #opener: SessionOpener
  readonly #peer: TunnelPeer

  constructor(kms: Kms, peer: TunnelPeer) {
    const { peerSaeId, binding, level, requireGroup, minVersion, tls12Suites, timeoutMs, prefetch } = peer
    this.#peer = { ...peer, connect: requireTarget('connect', peer.connect) }
    if (timeoutMs !== undefined) requireInteger('timeoutMs', timeoutMs, { min: 1, max: 600_000 })
    const terms = { peerSaeId, binding, level, requireGroup, minVersion, tls12Suites, timeoutMs, prefetch }
    this.#opener = new SessionOpener(kms, terms)
  }

  async open(local: Socket, { signal }: Required<AbortOptions>): Promise<{ local: Socket; remote: Duplex }> {
    try {
      return { local, remote: await this.dial({ signal }) }
    } catch (error) {
      resetSocket(local)
      throw error
    }
  }

  async dial({ signal }: AbortOptions): Promise<Duplex> {
    const { connect, peerSaeId, binding = 'role' } = this.#peer
    const raw = holdOpen(connectTcp({ ...connect, allowHalfOpen: true }))
    const ALPNProtocols = binding === 'role' ? [TUNNEL_PROTOCOL] : undefined
    const tls = await this.#opener.open(raw, { peerSaeId, ALPNProtocols, signal })
    return binding === 'role' ? framed(tls, peerSaeId) : tls
  }

  release(): void {
    this.#opener.clear()
  }
}

/** The stream inside a session with an end that speaks our frames. */
export function framed(tls: TLSSocket, peerSaeId: string): TunnelStream {
  if (tls.alpnProtocol === TUNNEL_PROTOCOL) return new TunnelStream(tls)
  tls.destroy()
  throw new ProtocolError(`${peerSaeId} is there, but it is no end of a tunnel; for foreign ones set binding: 'raw'`)
}

import { once } from 'node:events'
import { connect as connectTcp, type NetConnectOpts, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket, Server as TlsServer } from 'node:tls'
import { type AbortOptions, abortable, ClosedError, type Kms, startDeadline } from '../../../lib/index.ts'
import type { GateOptions } from '../options.ts'
import type { PskBinding } from '../psk.ts'
import { createServer } from '../server.ts'
import { qkdInfo } from '../session.ts'
import { framed } from './entry.ts'
import { proxyHeader } from './proxy-header.ts'
import {
  holdOpen,
  requireTarget,
  type Tunnel,
  TunnelListener,
  type TunnelOptions,
  type TunnelWay,
} from './tunnel-listener.ts'
import { CHUNKS_AHEAD_BYTES, TUNNEL_PROTOCOL } from './tunnel-stream.ts'

/** Options of `createTunnelExit`: those of the gate, without certificates. */
export interface TunnelExitOptions extends TunnelOptions, Omit<GateOptions, 'certificate' | 'logger'> {
  /** Tells the target who connected, in a header of the PROXY protocol, version 2, which it must expect. Default false. */
  readonly proxyProtocol?: boolean
}

/**
 * The server's end of a tunnel: takes TLS sessions under keys of the KMS, from the peers that are named, and carries each to
 * a plain TCP target. A peer with `binding: 'raw'` may be any TLS client that has such keys.
 * @throws {InvalidArgumentError} an option is wrong, or an SAE ID can't stand in a TLS identity
 */
export function createTunnelExit(kms: Kms, options: TunnelExitOptions): Tunnel {
  return new TunnelListener(new ExitWay(kms, options), options)
}

class ExitWay implements TunnelWay {
  readonly #tls: TlsServer
  readonly #options: TunnelExitOptions
  readonly #bindings: ReadonlyMap<string, PskBinding>
  /** Who waits for the session of a connection, by the client's address and port: node:tls does not say which it came from. */
  readonly #awaited = new Map<string, (session: TLSSocket) => void>()

  constructor(kms: Kms, options: TunnelExitOptions) {
    const { peers, deadlineMs, maxPending, maxPendingPerAddress, requireGroup, telemetry, logger } = options
    const { minVersion, tls12Suites } = options
    this.#options = { ...options, connect: requireTarget('connect', options.connect) }
    const gate = {
      peers,
      deadlineMs,
      maxPending,
      maxPendingPerAddress,
      requireGroup,
      telemetry,
      logger,
      minVersion,
      tls12Suites,
    }
    this.#tls = createServer(
      kms,
      { ...gate, certificate: 'forbid', allowHalfOpen: true, ALPNProtocols: [TUNNEL_PROTOCOL] },
      session => this.#welcome(session),
    )
    this.#bindings = new Map(peers.map(({ saeId, binding = 'role' }) => [saeId, binding]))
  }

  async open(raw: Socket, { signal }: Required<AbortOptions>): Promise<{ local: Socket; remote: Duplex }> {
    const source = { address: raw.remoteAddress, port: raw.remotePort }
    const destination = { address: raw.localAddress, port: raw.localPort }
    const session = await this.#session(raw, { signal })
    try {
      const { masterSaeId } = qkdInfo(session)!
      const local = await this.#target({ signal })
      if (session.destroyed) {
        local.destroy()
        throw new ClosedError('The session was given up')
      }
      if (this.#options.proxyProtocol) local.write(proxyHeader({ source, destination }))
      return { local, remote: this.#bindings.get(masterSaeId) === 'raw' ? session : framed(session, masterSaeId) }
    } catch (error) {
      session.destroy()
      throw error
    }
  }

  release(): void {
    // It never listened itself; this wipes the keys that the gate holds.
    this.#tls.close()
  }

  /** The session that comes of `raw`; rejects when that closes before. */
  async #session(raw: Socket, { signal }: Required<AbortOptions>): Promise<TLSSocket> {
    const name = nameOf(raw)
    const session = new Promise<TLSSocket>(resolve => this.#awaited.set(name, resolve))
    this.#tls.emit('connection', raw)
    try {
      return await abortable(session, { signal })
    } catch (error) {
      raw.destroy()
      throw error
    } finally {
      this.#awaited.delete(name)
    }
  }

  #welcome(session: TLSSocket): void {
    // Until somebody listens for more, that it has closed says enough.
    session.on('error', () => {})
    const welcome = this.#awaited.get(nameOf(session))
    if (welcome === undefined) session.destroy()
    else welcome(session)
  }

  async #target(options: Required<AbortOptions>): Promise<Socket> {
    using call = startDeadline(options.signal, this.#options.deadlineMs ?? 5_000)
    const socket = holdOpen(
      connectTcp({
        ...this.#options.connect,
        allowHalfOpen: true,
        highWaterMark: CHUNKS_AHEAD_BYTES,
      } as NetConnectOpts),
    )
    try {
      await once(socket, 'connect', { signal: call.signal })
      return socket
    } catch (error) {
      socket.on('error', () => {}).destroy()
      throw call.signal.aborted ? call.signal.reason : error
    }
  }
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

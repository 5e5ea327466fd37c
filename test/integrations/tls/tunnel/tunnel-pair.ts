import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import {
  createTunnelEntry,
  createTunnelExit,
  type Tunnel,
  type TunnelEntryOptions,
  type TunnelExitOptions,
} from '../../../../integrations/tls/index.ts'
import { wasReset } from '../../../../integrations/tls/tunnel/reset-socket.ts'
import type { Kms } from '../../../../lib/index.ts'
import { AsyncQueue } from '../../../../lib/util/async-queue.ts'
import { createKmsPair } from '../kms-pair.ts'
import { next } from '../tls-pair.ts'

/** A plain TCP server, and what came to it. */
export interface Target extends AsyncDisposable {
  readonly server: Server
  readonly port: number
  readonly sockets: AsyncQueue<Socket>
}

/** Starts a target; it leaves our half open when the other side ends its own. */
export async function createTarget(port = 0): Promise<Target> {
  const sockets = new AsyncQueue<Socket>()
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, socket => {
    open.add(socket)
    socket.on('error', () => {})
    sockets.push(socket)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    server,
    port: (server.address() as AddressInfo).port,
    sockets,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}

/** Alice's entry, Bob's exit and a target behind it, all on loopback. */
export interface TunnelPair extends AsyncDisposable {
  readonly entry: Tunnel
  readonly exit: Tunnel
  readonly entryPort: number
  readonly exitPort: number
  readonly target: Target
  /** Connects a program to the entry. */
  dial(): Promise<Socket>
  /** A whole connection: the program's end and the target's. */
  open(): Promise<readonly [Socket, Socket]>
}

export interface TunnelPairOptions {
  readonly alice?: Kms
  readonly bob?: Kms
  readonly entry?: Partial<TunnelEntryOptions>
  readonly exit?: Partial<TunnelExitOptions>
}

export async function createTunnelPair(options: TunnelPairOptions = {}): Promise<TunnelPair> {
  const { alice, bob } = { ...(await createKmsPair()), ...options }
  const target = await createTarget()
  const exit = createTunnelExit(bob, {
    connect: { host: '127.0.0.1', port: target.port },
    peers: [{ saeId: 'alice' }],
    drainMs: 0,
    ...options.exit,
  })
  const { port: exitPort } = await exit.listen()
  const entry = createTunnelEntry(alice, {
    connect: { host: '127.0.0.1', port: exitPort },
    peerSaeId: 'bob',
    drainMs: 0,
    ...options.entry,
  })
  const { port: entryPort } = await entry.listen()
  const dial = () => dialTcp(entryPort)
  return {
    entry,
    exit,
    entryPort,
    exitPort,
    target,
    dial,
    open: async () => [await dial(), await next(target.sockets)] as const,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([entry.close(), exit.close()])
      await target[Symbol.asyncDispose]()
    },
  }
}

/** A plain connection that leaves our half open when the other side ends its own. */
export async function dialTcp(port: number): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port, allowHalfOpen: true })
  await once(socket, 'connect')
  socket.on('error', () => {})
  return socket
}

/** How a connection ends for the program that has it: its first of `end` and `error`. */
export async function endingOf(socket: Socket): Promise<string> {
  socket.resume()
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('The connection did not end')), 10_000)
    const settle = (ending: string) => {
      clearTimeout(timer)
      resolve(ending)
    }
    socket
      .once('end', () => settle(wasReset(socket) ? 'ECONNRESET' : 'end'))
      .once('error', error => settle((error as NodeJS.ErrnoException).code ?? ''))
  })
}

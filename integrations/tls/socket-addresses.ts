import { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

const ADDRESSES = ['remoteAddress', 'remotePort', 'remoteFamily', 'localAddress', 'localPort', 'localFamily'] as const
const SWITCHES = ['setNoDelay', 'setKeepAlive', 'ref', 'unref'] as const

/**
 * Lets a TLS socket that runs over a stream tell the addresses of the socket beneath, and set what only that one can: the
 * application is to see no difference.
 */
export function showAddresses(socket: TLSSocket, raw: unknown): void {
  if (!(raw instanceof Socket)) return
  for (const name of ADDRESSES) {
    Object.defineProperty(socket, name, { configurable: true, get: () => raw[name] })
  }
  for (const name of SWITCHES) {
    const set = (...args: unknown[]) => {
      Reflect.apply(raw[name], raw, args)
      return socket
    }
    Object.defineProperty(socket, name, { configurable: true, writable: true, value: set })
  }
}

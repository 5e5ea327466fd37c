import type { AddressInfo } from 'node:net'
import { createServer as createPlainServer, type Server, type Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import type { TestCredentials } from '../test-certificates.ts'

/** A server that takes requests and then does anything but answer them as it should. */
export interface MishapKme extends AsyncDisposable {
  readonly url: string
  /** Requests that arrived whole. */
  readonly requests: number
  readonly connections: number
}

/** What becomes of the `count`th request (from 1) that arrives over `socket`. */
export type Mishap = (socket: TLSSocket, count: number) => void

const container = JSON.stringify({ keys: [{ key_ID: 'zoo-1', key: Buffer.alloc(32, 0x5a).toString('base64') }] })
const head = (lengthBytes: number, more = '') =>
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${lengthBytes}\r\n${more}\r\n`
const whole = head(container.length) + container

/** The mishaps of a connection, by what happens. Each comes after the KME has read a request, and so may have spent a key. */
export const mishaps: Readonly<Record<string, Mishap>> = {
  'ends the connection without an answer': socket => socket.end(),
  'resets the connection without an answer': socket => reset(socket),
  'ends the connection within the head': socket => socket.end('HTTP/1.1 200 OK\r\nContent-Ty'),
  'ends the connection within the body': socket => socket.end(head(container.length) + container.slice(0, 40)),
  'resets the connection within the body': socket => {
    socket.write(head(container.length) + container.slice(0, 40), () => reset(socket))
  },
  'breaks off a chunked body': socket =>
    socket.end(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n${container.slice(0, 16)}\r\n`),
  'answers in another protocol': socket => socket.end('220 smtp.example ESMTP\r\n'),
  'answers without end': socket => {
    const more = Buffer.alloc(1024 * 1024, 0x20)
    const write = (error?: Error | null) => {
      if (!error) socket.write(more, write)
    }
    socket.write('HTTP/1.1 200 OK\r\n\r\n', write)
  },
  'switches protocols': socket =>
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n'),
  'answers the first request and resets the second': (socket, count) => {
    if (count === 1) socket.write(whole)
    else reset(socket)
  },
  'answers the first request and ends the connection at the second': (socket, count) => {
    if (count === 1) socket.write(whole)
    else socket.end()
  },
}

/** Those after which no answer comes at all. */
export const silences: Readonly<Record<string, Mishap>> = {
  'says nothing': () => {},
  'says that it goes on, and no more': socket => void socket.write('HTTP/1.1 100 Continue\r\n\r\n'),
  'stops within the body': socket => void socket.write(head(container.length) + container.slice(0, 40)),
}

/** Answers each request and ends the connection behind it, without having said so. */
export const hasty: Mishap = socket => socket.end(whole)

/** Starts a KME on which that happens. */
export async function createMishapKme(mishap: Mishap, credentials: TestCredentials): Promise<MishapKme> {
  let connections = 0
  let requests = 0
  const sockets = new Set<TLSSocket>()
  const server = createServer({ ...credentials, requestCert: true, rejectUnauthorized: true }, socket => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    let text = ''
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      const lengthBytes = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
      const end = text.indexOf('\r\n\r\n')
      if (end === -1 || text.length < end + 4 + lengthBytes) return
      text = ''
      requests += 1
      mishap(socket, requests)
    })
  })
  const url = await listen(server)
  return {
    url,
    get requests() {
      return requests
    },
    get connections() {
      return connections
    },
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy()
      return stop(server)
    },
  }
}

/** A port where something listens that never speaks TLS. */
export async function createMutePort(): Promise<AsyncDisposable & { readonly url: string }> {
  const sockets = new Set<Socket>()
  const server = createPlainServer(socket => sockets.add(socket.on('error', () => {})))
  const url = await listen(server)
  return {
    url,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy()
      return stop(server)
    },
  }
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function stop(server: Server): Promise<void> {
  await new Promise(resolve => server.close(resolve))
}

/** Below TLS, so that no farewell goes out. */
function reset(socket: TLSSocket): void {
  const { _parent: raw } = socket as unknown as { _parent?: Socket }
  raw?.resetAndDestroy()
  socket.destroy()
}

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { HelloReader } from '../../../integrations/tls/hello-reader.ts'

/** What a server said to a peer that does not go through a handshake. */
export interface RawAnswer {
  /** Number of a plaintext alert, if it sent one. */
  readonly alert: number | undefined
  readonly bytes: Buffer
}

/** Sends `pieces`, each in a write of its own, and reads until the server closes. */
export async function sendRaw(port: number, ...pieces: Uint8Array[]): Promise<RawAnswer> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk)).on('error', () => {})
  const closed = new Promise(resolve => socket.on('close', resolve))
  await once(socket, 'connect')
  await writeEach(socket, pieces)
  await closed
  return answer(Buffer.concat(chunks))
}

function answer(bytes: Buffer): RawAnswer {
  return { bytes, alert: bytes.byteLength === 7 && bytes[0] === 21 ? bytes[6] : undefined }
}

async function writeEach(socket: Socket, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.writable) socket.write(piece)
    await setImmediate()
  }
}

/** The records of the first ClientHello that node:tls sends with these options. */
export async function captureHello(options: ConnectionOptions): Promise<Buffer> {
  await using proxy = await createHelloProxy(undefined, bytes => [bytes])
  const socket = connectTls({ host: '127.0.0.1', port: proxy.port, ...options })
  await new Promise(resolve => socket.on('error', () => {}).on('close', resolve))
  return proxy.hellos[0]!
}

/** A proxy that stands between two ends of TLS and sends the first ClientHello on in other pieces. */
export interface HelloProxy extends AsyncDisposable {
  readonly port: number
  /** The ClientHellos as they came, records and all. */
  readonly hellos: Buffer[]
}

/**
 * Passes connections on to `targetPort`, or closes them after the hello without one. `reshape` gives the pieces in which
 * a hello goes on; each is a write of its own.
 */
export async function createHelloProxy(
  targetPort: number | undefined,
  reshape: (hello: Buffer) => Uint8Array[],
): Promise<HelloProxy> {
  const hellos: Buffer[] = []
  const open = new Set<Socket>()
  const server = createServer(async client => {
    open.add(client)
    client.on('error', () => {})
    const reader = new HelloReader()
    let complete: Buffer | undefined
    while (complete === undefined) {
      const [chunk] = await once(client, 'data')
      complete = reader.push(chunk)
    }
    client.pause()
    hellos.push(reader.received)
    if (targetPort === undefined) return client.destroy()
    const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true })
    open.add(target)
    target.on('error', () => {}).on('close', () => client.destroy())
    client.on('close', () => target.destroy())
    await once(target, 'connect')
    target.pipe(client)
    await writeEach(target, reshape(reader.received))
    client.pipe(target)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    hellos,
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** `bytes` in pieces of `sizeBytes`. */
export function split(bytes: Buffer, sizeBytes: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.byteLength / sizeBytes) }, (_, i) =>
    bytes.subarray(i * sizeBytes, (i + 1) * sizeBytes),
  )
}

/** The hello again, in records of `sizeBytes` each. */
export function inRecordsOf(sizeBytes: number, hello: Buffer): Buffer {
  const reader = new HelloReader()
  return inRecords(split(reader.push(hello)!, sizeBytes))
}

/** Handshake records with these contents. */
export function inRecords(fragments: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    fragments.flatMap(fragment => [
      Uint8Array.of(22, 3, 1, fragment.byteLength >> 8, fragment.byteLength & 0xff),
      fragment,
    ]),
  )
}

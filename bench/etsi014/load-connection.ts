import { once } from 'node:events'
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'

/** A server, and what is shown to it. */
export interface LoadTarget {
  readonly port: number
  readonly key: string
  readonly cert: string
  readonly ca: string
}

const END_OF_HEAD = Buffer.from('\r\n\r\n')
const contexts = new Map<string, SecureContext>()

/** One connection with one request at a time. */
export class LoadConnection {
  readonly #socket: TLSSocket
  #waiting: { resolve(body: string): void; reject(error: Error): void; keep: boolean } | undefined
  #chunks: Buffer[] = []
  #missingBytes = -1

  private constructor(socket: TLSSocket) {
    this.#socket = socket
    socket.on('data', chunk => this.#take(chunk))
    socket.on('error', error => this.#waiting?.reject(error))
    socket.on('close', () => this.#waiting?.reject(new Error('The server closed the connection')))
  }

  static async open({ port, key, cert, ca }: LoadTarget): Promise<LoadConnection> {
    const secureContext = contexts.get(cert) ?? createSecureContext({ key, cert, ca })
    contexts.set(cert, secureContext)
    const socket = connect({ host: '127.0.0.1', port, secureContext })
    socket.setNoDelay(true)
    await once(socket, 'secureConnect')
    return new LoadConnection(socket)
  }

  /** False once either end has closed it. */
  get isOpen(): boolean {
    return this.#socket.writable
  }

  /** Sends a request; gives the body of the answer where `keep` asks for it. */
  ask(request: string, keep: boolean): Promise<string> {
    if (!this.isOpen) return Promise.reject(new Error('The connection was closed while it was idle'))
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject, keep }
      this.#socket.write(request, 'latin1')
    })
  }

  close(): void {
    this.#socket.on('error', () => {}).destroy()
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk)
    if (this.#missingBytes < 0) {
      const whole = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks)
      this.#chunks = [whole]
      const end = whole.indexOf(END_OF_HEAD)
      if (end === -1) return
      const head = whole.toString('latin1', 0, end)
      const length = /content-length: (\d+)/i.exec(head)?.[1]
      if (!head.startsWith('HTTP/1.1 200') || length === undefined) {
        this.#waiting?.reject(new Error(`Answered: ${whole.toString('latin1', 0, 400)}`))
        return
      }
      this.#chunks = [whole.subarray(end + 4)]
      this.#missingBytes = Number(length) - (whole.byteLength - end - 4)
    } else this.#missingBytes -= chunk.byteLength
    if (this.#missingBytes > 0) return
    const { resolve, keep } = this.#waiting!
    const body = keep ? Buffer.concat(this.#chunks).toString('latin1') : ''
    this.#chunks = []
    this.#missingBytes = -1
    this.#waiting = undefined
    resolve(body)
  }
}

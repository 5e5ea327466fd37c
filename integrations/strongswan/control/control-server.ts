import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { ClosedError, ConfigError, debugLogger, type Logger, ProtocolError } from '../../../lib/index.ts'
import type { IpsecAgent } from '../agent.ts'
import { type ControlAnswer, errorAnswer, MAX_REQUEST_BYTES, parseRequest } from './control-wire.ts'

/** How commands reach an agent. */
export interface ControlServerOptions {
  /** Path of the unix socket, made with mode 0600. */
  readonly path: string
  readonly agent: Pick<IpsecAgent, 'status' | 'rotate' | 'reconcile' | 'onEvent'>
  readonly logger?: Logger
}

const MAX_CONNECTIONS = 32
/** A command asks at once, or it is none. */
const ASK_MS = 5_000
/** What may wait for a command that watches and does not read, in bytes. */
const MAX_BACKLOG_BYTES = 1024 * 1024
/** The longest path that a unix socket can have on Linux, in bytes. */
const MAX_PATH_BYTES = 107

/** The agent's end of the socket between `qkd ipsec status` and its like and the agent. */
export class ControlServer {
  readonly #options: ControlServerOptions
  readonly #logger: Logger
  readonly #server: Server
  readonly #sockets = new Map<Socket, 'asked' | 'watches'>()
  readonly #running = new Set<Promise<void>>()
  #listening = false
  #closing: Promise<void> | undefined

  constructor(options: ControlServerOptions) {
    this.#options = options
    this.#logger = options.logger ?? debugLogger('ipsec')
    this.#server = createServer(socket => this.#welcome(socket))
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /**
   * Begins to listen; takes the place of a socket that nobody listens at.
   * @throws {ConfigError} another agent listens there, or the socket can't be made
   */
  async listen(): Promise<void> {
    const { path } = this.#options
    // Listening happens in a directory of its own first, so that nobody may connect before the mode is set.
    if (Buffer.byteLength(path) > MAX_PATH_BYTES - '.XXXXXX/s'.length) {
      throw new ConfigError(`controlSocket: ${path} is too long for a unix socket; use at most 98 bytes`)
    }
    if (await isServed(path)) throw new ConfigError(`controlSocket: another agent listens at ${path}; end it first`)
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const draft = await mkdtemp(`${path}.`)
      try {
        this.#server.listen(join(draft, 's'))
        await once(this.#server, 'listening')
        await chmod(join(draft, 's'), 0o600)
        await rename(join(draft, 's'), path)
      } finally {
        await rm(draft, { recursive: true, force: true })
      }
      this.#listening = true
    } catch (cause) {
      this.#server.close()
      const { code, message } = cause as NodeJS.ErrnoException
      throw new ConfigError(`controlSocket: can't listen at ${path} (${code ?? message}); name another`, { cause })
    }
  }

  /** Lets calls under way end, and ends those that watch. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    if (!this.#listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await rm(this.#options.path, { force: true })
    for (const [socket, state] of this.#sockets) if (state === 'watches') socket.end()
    await Promise.all(this.#running)
    for (const socket of this.#sockets.keys()) socket.destroy()
    await closed
  }

  #welcome(socket: Socket): void {
    this.#sockets.set(socket, 'asked')
    socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket))
    socket.setTimeout(ASK_MS, () => socket.destroy())
    let asked = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      const before = asked
      asked += text
      if (asked.length > MAX_REQUEST_BYTES) socket.destroy()
      // One request on each connection; what comes after it is passed over.
      else if (asked.includes('\n') && !before.includes('\n')) this.#ask(socket, asked.slice(0, asked.indexOf('\n')))
    })
  }

  #ask(socket: Socket, line: string): void {
    socket.setTimeout(0)
    const served = this.#serve(socket, Buffer.from(line, 'latin1').toString('utf8')).catch(error => {
      this.#logger.warn({ reason: String(error) }, 'a command had no answer')
      socket.destroy()
    })
    this.#running.add(served)
    void served.finally(() => this.#running.delete(served))
  }

  async #serve(socket: Socket, line: string): Promise<void> {
    const request = parseRequest(line)
    if (request?.call === 'watch') return this.#watch(socket)
    try {
      if (request === undefined) throw new ProtocolError('The agent does not know what this command asks')
      if (this.#closing !== undefined) throw new ClosedError('The agent ends')
      const { agent } = this.#options
      if (request.call === 'rotate') await agent.rotate(request.connection)
      const result = request.call === 'reconcile' ? await agent.reconcile() : await agent.status()
      socket.end(lineOf({ result }))
    } catch (error) {
      socket.end(lineOf(errorAnswer(error)))
    }
  }

  #watch(socket: Socket): void {
    this.#sockets.set(socket, 'watches')
    const stop = this.#options.agent.onEvent(event => {
      if (socket.writableLength > MAX_BACKLOG_BYTES) socket.destroy()
      else if (socket.writable) socket.write(lineOf({ event }))
    })
    socket.once('close', stop)
  }
}

function lineOf(answer: ControlAnswer): string {
  return `${JSON.stringify(answer)}\n`
}

function isServed(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

import { createServer, type Server, type Socket } from 'node:net'
import {
  type AbortOptions,
  type Closable,
  debugLogger,
  InvalidArgumentError,
  type Logger,
  QkdError,
} from '../../../lib/index.ts'
import type { KerberosAgent } from '../agent/kerberos-agent.ts'
import { listenPrivately, removeSocket } from '../private-socket.ts'
import { type ControlReply, type ControlRequest, decodeRequest, MAX_REQUEST_CHARS } from './control-wire.ts'

const MAX_CONNECTIONS = 16
const IDLE_MS = 120_000

/** Lets programs on this machine see and steer an agent; whoever may write to the socket may. */
export interface ControlServer extends Closable {
  /**
   * Begins to listen.
   * @throws {ConfigError} others may write to the socket's directory, or the path is taken
   */
  listen(): Promise<void>
}

/** One line of JSON in, one line out, over a unix socket of mode 0600. */
export function createControlServer(
  agent: KerberosAgent,
  { socketPath, logger }: { socketPath: string; logger?: Logger },
): ControlServer {
  return new UnixControlServer(agent, socketPath, logger ?? debugLogger('kerberos'))
}

class UnixControlServer implements ControlServer {
  readonly #agent: KerberosAgent
  readonly #path: string
  readonly #logger: Logger
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #stop = new AbortController()

  constructor(agent: KerberosAgent, path: string, logger: Logger) {
    this.#agent = agent
    this.#path = path
    this.#logger = logger
    this.#server = createServer(socket => this.#take(socket))
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  async listen(): Promise<void> {
    await listenPrivately(this.#server, this.#path, 0o600)
  }

  async close(): Promise<void> {
    this.#stop.abort()
    if (!this.#server.listening) return
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
    await removeSocket(this.#path)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setTimeout(IDLE_MS, () => socket.destroy())
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const end = text.indexOf('\n')
      if (text.length > MAX_REQUEST_CHARS) {
        socket.destroy()
        return
      }
      if (end === -1) return
      socket.pause()
      void this.#answer(text.slice(0, end)).then(reply => socket.end(`${JSON.stringify(reply)}\n`))
    })
  }

  async #answer(line: string): Promise<ControlReply> {
    try {
      return { ok: true, result: await this.#run(decodeRequest(line), { signal: this.#stop.signal }) }
    } catch (error) {
      const { message } = error as Error
      this.#logger.warn({ reason: message }, 'a control request failed')
      return { ok: false, code: error instanceof QkdError ? error.code : 'ERR_QKD_CLOSED', message }
    }
  }

  async #run(request: ControlRequest, options: AbortOptions): Promise<unknown> {
    const { command } = request
    if (command === 'status') return this.#agent.status()
    const { principal } = request
    if (command === 'forget') {
      await this.#agent.forget(principal, options)
      return { principal }
    }
    if (command === 'rotate' || command === 'rekey') {
      const { current, agreed } = await this.#agent.rotate(principal, { rekey: command === 'rekey', ...options })
      const { kvno, epoch, keyId } = current
      return { principal, kvno, epoch, keyId, agreed }
    }
    throw new InvalidArgumentError(`${command} is no command of the agent`)
  }
}

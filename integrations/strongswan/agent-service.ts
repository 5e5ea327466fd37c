import { type AbortOptions, type Closable, ConfigError, type Logger } from '../../lib/index.ts'
import type { IpsecAgent } from './agent.ts'
import type { IpsecAgentConfig } from './agent-config.ts'
import { ControlServer } from './control/control-server.ts'
import { examineLogging, type StrongswanFiles } from './doctor/strongswan-files.ts'
import { UpdownProgram } from './hook/updown-program.ts'
import { UpdownSpool } from './hook/updown-spool.ts'

/** Options of `AgentService`. */
export interface AgentServiceOptions {
  readonly config: IpsecAgentConfig
  /** Closed with the service. */
  readonly agent: IpsecAgent
  /** Where strongSwan's files lie; they are read for the log levels alone. */
  readonly files?: StrongswanFiles
  readonly logger?: Logger
}

/** An agent with what reaches it on this machine: commands by its socket, charon by the hook, a user's program by calls. */
export class AgentService implements Closable {
  readonly #options: AgentServiceOptions
  readonly #control: ControlServer
  readonly #spool: UpdownSpool
  readonly #program: UpdownProgram | undefined
  #closing: Promise<void> | undefined

  constructor(options: AgentServiceOptions) {
    const { config, agent, logger } = options
    this.#options = options
    this.#control = new ControlServer({ path: config.controlSocket, agent, logger })
    this.#spool = new UpdownSpool({ spoolDir: config.spoolDir, onEvent: event => agent.handleUpdown(event), logger })
    if (config.onUpdown !== undefined) {
      const program = new UpdownProgram({ path: config.onUpdown, logger })
      agent.onEvent(event => program.take(event))
      this.#program = program
    }
  }

  /**
   * Makes sure of charon's log and takes the socket for commands, before anything else is touched.
   * @throws {ConfigError} charon would write keys into its log, or another agent runs
   */
  async open(): Promise<void> {
    const loud = (await examineLogging(this.#options.files ?? {})).filter(({ verdict }) => verdict === 'fault')
    if (loud.length > 0) throw new ConfigError(loud.map(({ text, mend }) => `${text}; ${mend}`).join('. '))
    await this.#control.listen()
  }

  /**
   * Starts the agent; resolves when it has tried everything once.
   * @throws {ConfigError} both ends have one role
   */
  async start({ signal }: AbortOptions = {}): Promise<void> {
    await this.#options.agent.start({ signal })
    // What the hook left in the meantime is about IKE_SAs that the agent has looked up by now.
    await this.#spool.open()
  }

  /** Lets what runs end, or stops it when the signal aborts; connections that are up stay up. */
  close(options: AbortOptions = {}): Promise<void> {
    this.#closing ??= this.#end(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(options: AbortOptions): Promise<void> {
    await this.#spool.close()
    await this.#options.agent.close(options)
    await Promise.all([this.#control.close(), this.#program?.close(options)])
  }
}

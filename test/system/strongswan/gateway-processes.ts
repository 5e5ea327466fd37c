import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { callAgent, type IpsecAgentStatus, updownScript } from '../../../integrations/strongswan/index.ts'
import { type RunResult, runQkd, startQkd } from '../../bin/run-qkd.ts'
import { stop } from '../../bin/served-sites.ts'
import type { CharonNode, CharonPair } from '../../helpers/charon-pair.ts'

const EXAMPLE = fileURLToPath(new URL('../../../examples/strongswan/', import.meta.url))

/** What the example's configuration can't know. */
export interface ConfigureOptions {
  /** Path of the SAE profile. */
  readonly profile: string
  /** Where the agents of both gateways listen. */
  readonly port: number
  readonly peerPort: number
  /** Fields of the connection that differ from the example's. */
  readonly change?: object
}

/** The agent of one gateway of examples/strongswan as a process of its own, and the commands that reach it. */
export class GatewayProcess {
  readonly name: 'a' | 'b'
  readonly charon: CharonNode
  readonly #directory: string
  #child: ChildProcessWithoutNullStreams | undefined
  /** What the agent wrote to standard error: its events, a line each. */
  log = ''

  constructor(name: 'a' | 'b', { [name]: charon, directory }: CharonPair) {
    this.name = name
    this.charon = charon
    this.#directory = join(directory, name)
  }

  get configPath(): string {
    return this.path('ipsec.json')
  }

  path(name: string): string {
    return join(this.#directory, name)
  }

  /** A file of the example, as it is. */
  example(name: string): Promise<string> {
    return readFile(join(EXAMPLE, `gateway-${this.name}`, name), 'utf8')
  }

  /** Writes the example's configuration with the paths and ports of this run. */
  async configure({ profile, port, peerPort, change = {} }: ConfigureOptions): Promise<void> {
    const config = JSON.parse(await this.example('ipsec.json'))
    const [connection] = config.connections
    for (const child of connection.children) child.settings.updown = this.path('updown')
    Object.assign(connection, change)
    Object.assign(config, {
      saeProfile: profile,
      viciSocket: this.charon.viciPath,
      listen: { host: '127.0.0.1', port },
      stateDir: this.path('state'),
      spoolDir: this.path('spool'),
      controlSocket: this.path('agent.sock'),
      reconcileSeconds: 1,
    })
    config.peers[0].agent = { host: '127.0.0.1', port: peerPort }
    await writeFile(this.configPath, JSON.stringify(config))
    await writeFile(this.path('updown'), updownScript({ spoolDir: config.spoolDir }), { mode: 0o755 })
  }

  /** Starts the agent and waits until it is ready. */
  async start(): Promise<void> {
    const files = ['--strongswan-conf', this.charon.confPath, '--ipsec-conf', '/dev/null']
    const child = startQkd(['ipsec', 'agent', '--config', this.configPath, '--json', ...files])
    this.#child = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.log += text
    })
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`The agent ended with ${code} at its start: ${this.log}`)
    })
    await Promise.race([once(child.stdout, 'data'), ended])
    ended.catch(() => {})
  }

  /** SIGTERM; gives the exit code. */
  async stop(): Promise<number | null> {
    const child = this.#child
    this.#child = undefined
    return child === undefined ? null : await stop(child)
  }

  /** What `qkd ipsec status` shows, without a process for it. */
  status(): Promise<IpsecAgentStatus> {
    return callAgent(this.path('agent.sock'), { call: 'status' })
  }

  /** Runs `qkd ipsec …` for this gateway. */
  qkd(...args: readonly string[]): Promise<RunResult> {
    return runQkd(['ipsec', ...args, '--config', this.configPath])
  }

  /** The same, and gives the JSON that it printed. */
  async json<T>(...args: readonly string[]): Promise<T> {
    const { exitCode, stdout, stderr } = await this.qkd(...args, '--json')
    if (exitCode !== 0) throw new Error(`qkd ipsec ${args.join(' ')} ended with ${exitCode}: ${stderr}`)
    return JSON.parse(stdout) as T
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

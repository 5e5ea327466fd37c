import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { until } from '../until.ts'
import type { Namespace } from './namespace-pair.ts'
import { type ObservedSa, parseSas } from './observed-sas.ts'
import { run } from './run.ts'

/** How a charon is set up. */
export interface CharonSettings {
  /** No ESP and no TUN device: IKE_SAs without children. Never counts as a test of the tunnel. Default false. */
  readonly childless?: boolean
  /** Has strongswan-starter run charon, as Debian's service of that name does. Default false. */
  readonly starter?: boolean
  /** Lines for the `charon` section of strongswan.conf. */
  readonly settings?: string
  /** Levels of log groups, such as `{ esp: 2 }`; all others are at 1. */
  readonly logLevels?: Readonly<Record<string, number>>
}

const START_TIMEOUT_MS = 10_000
const CRYPTO = 'random nonce openssl sha1 sha2 hmac kdf aes gcm curve25519 pem'

/** Where Debian and others put the daemon. */
export const charonPath = ['/usr/lib/ipsec', '/usr/libexec/ipsec', '/usr/lib/strongswan', '/usr/libexec/strongswan']
  .map(folder => join(folder, 'charon'))
  .find(path => existsSync(path))

/** One real charon in a network namespace of its own. */
export class CharonNode {
  readonly namespace: Namespace
  /** The VICI socket. */
  readonly viciPath: string
  /** What charon logs, over all its restarts. */
  readonly logPath: string
  readonly #directory: string
  readonly #settings: CharonSettings
  #child: ChildProcess | undefined
  #output = ''

  constructor(namespace: Namespace, directory: string, settings: CharonSettings) {
    this.namespace = namespace
    this.#directory = directory
    this.#settings = settings
    this.viciPath = join(directory, 'vici')
    this.logPath = join(directory, 'charon.log')
  }

  /** The outer address, at which IKE is spoken. */
  get address(): string {
    return this.namespace.address
  }

  get pid(): number | undefined {
    return this.running ? this.#child?.pid : undefined
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The path of the strongswan.conf that this charon reads. */
  get confPath(): string {
    return join(this.#directory, 'strongswan.conf')
  }

  /** Starts charon and waits until its VICI socket answers. */
  async start(): Promise<void> {
    if (this.running) throw new Error(`charon runs already in ${this.namespace.name}`)
    await writeFile(this.confPath, this.#conf())
    this.#output = ''
    // A /run of its own, so that each charon has its own pid file; and an end with this process, however it ends.
    const { starter = false } = this.#settings
    const program = starter ? `ipsec start --nofork --conf ${join(this.#directory, 'ipsec.conf')}` : charonPath
    if (starter) await writeFile(join(this.#directory, 'ipsec.conf'), 'config setup\n')
    const inside = `mount -t tmpfs none /run && exec ${program}`
    // What starter has started goes with its process namespace.
    const own = ['setpriv', '--pdeathsig', 'KILL', 'unshare', '-m', ...(starter ? ['-p', '-f', '--kill-child'] : [])]
    const args = ['netns', 'exec', this.namespace.name, ...own, 'sh', '-c']
    const child = spawn('ip', [...args, inside], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, STRONGSWAN_CONF: this.confPath },
    })
    this.#child = child
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-10_000)
      })
    }
    await until(
      () => {
        if (!this.running) throw new Error(`charon ended at its start: ${this.#output}`)
        return answers(this.viciPath)
      },
      `the VICI socket of charon in ${this.namespace.name}`,
      { timeoutMs: START_TIMEOUT_MS },
    )
  }

  /** Ends charon as systemd would: it deletes its SAs at the peer. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  /** `kill -9`: the peer learns nothing, and the socket file stays. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  async restart({ kill = false }: { kill?: boolean } = {}): Promise<void> {
    await (kill ? this.kill() : this.stop())
    await this.start()
  }

  /** Everything that charon logged so far. */
  async log(): Promise<string> {
    return await readFile(this.logPath, 'utf8').catch(() => '')
  }

  /** Runs `swanctl` against this charon: an observer, or the admin. */
  swanctl(command: string, ...args: readonly string[]): Promise<string> {
    return run('swanctl', [command, '--uri', `unix://${this.viciPath}`, ...args])
  }

  /** The IKE_SAs as `swanctl` sees them. */
  async sas(): Promise<ObservedSa[]> {
    return parseSas(await this.swanctl('--list-sas', '--raw'))
  }

  /** Writes a swanctl.conf and has the admin load it all, which unloads what is not in it. Gives what swanctl said. */
  async loadAll(swanctlConf: string): Promise<string> {
    const path = join(this.#directory, 'swanctl.conf')
    await writeFile(path, swanctlConf, { mode: 0o600 })
    return await this.swanctl('--load-all', '--noprompt', '--file', path)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.running) return
    const exited = once(child, 'close')
    process.kill(await this.#daemonOf(child.pid!), signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
    await exited
    clearTimeout(timer)
  }

  /** charon itself, or the starter, which the program that holds its process namespace waits for. */
  async #daemonOf(pid: number): Promise<number> {
    if (!this.#settings.starter) return pid
    return Number.parseInt(await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'), 10)
  }

  #conf(): string {
    const { childless = false, settings = '', logLevels = {} } = this.#settings
    // In this order: kernel-libipsec must be asked first.
    const kernel = childless ? 'kernel-netlink' : 'kernel-libipsec kernel-netlink'
    const levels = Object.entries(logLevels).map(([group, level]) => `      ${group} = ${level}`)
    return `charon {
  load = ${CRYPTO} ${kernel} socket-default updown counters vici
  make_before_break = yes
  retransmit_timeout = 1.0
  retransmit_tries = 3
${settings}
  plugins {
    vici {
      socket = unix://${this.viciPath}
    }
  }
  filelog {
    main {
      path = ${this.logPath}
      append = yes
      flush_line = yes
      time_format = %T
      default = 1
${levels.join('\n')}
    }
  }
}
`
  }
}

/** True where somebody listens at the socket; after a `kill -9` its file alone says nothing. */
function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

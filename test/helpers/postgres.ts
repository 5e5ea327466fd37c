import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { appendFile, chown, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createTempDir } from './temp-dir.ts'

const run = promisify(execFile)

/** A PostgreSQL server of a test's own, on a unix socket in a temporary directory. */
export interface PostgresServer extends AsyncDisposable {
  readonly url: string
  /** Ends the server as a machine that fails does. */
  kill(): Promise<void>
  /** Starts it again over the same data. */
  start(): Promise<void>
}

/** Where Debian puts the programs of the newest server; undefined where there is none. */
export function postgresPrograms(): string | undefined {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return undefined
  const versions = readdirSync(root).sort((p, q) => Number(q) - Number(p))
  return versions.map(version => join(root, version, 'bin')).find(path => existsSync(join(path, 'initdb')))
}

/** Starts a server; it refuses to run as root, so it runs as the user `postgres` there. */
export async function startPostgres(programs: string): Promise<PostgresServer> {
  const node = await PostgresNode.create(programs, { fsync: 'off' })
  await node.start()
  return {
    url: node.url,
    kill: () => node.kill(),
    start: () => node.start(),
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  }
}

/** One server with its data, apart or as one of two. */
export class PostgresNode implements AsyncDisposable {
  /** With the data, the socket and the log. */
  readonly directory: string
  readonly #programs: string
  readonly #dir: AsyncDisposable

  private constructor(programs: string, dir: AsyncDisposable & { path: string }) {
    this.#programs = programs
    this.#dir = dir
    this.directory = dir.path
  }

  /** A fresh cluster with these settings, not started. */
  static async create(programs: string, settings: Readonly<Record<string, string>> = {}): Promise<PostgresNode> {
    const node = await PostgresNode.empty(programs)
    await node.run('initdb', '-D', node.#data, '-U', 'qkd', '--auth=trust', '--no-sync', '-E', 'UTF8')
    await node.configure({ shared_buffers: '8MB', ...settings })
    return node
  }

  /** A place for a cluster that is copied from another. */
  static async empty(programs: string): Promise<PostgresNode> {
    const node = new PostgresNode(programs, await createTempDir('qkdkit-pg-'))
    await node.#makeData()
    if (isRoot) await chown(node.directory, ...(await postgresUser()))
    return node
  }

  /** URL of the server, whose only way is a socket. */
  get url(): string {
    return `postgresql://qkd@localhost/postgres?host=${encodeURIComponent(this.directory)}`
  }

  /** Runs one of PostgreSQL's programs as the server's user. */
  async run(program: string, ...args: readonly string[]): Promise<void> {
    const command = [join(this.#programs, program), ...args]
    const [file, ...rest] = isRoot
      ? ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups', ...command]
      : command
    await run(file!, rest, { cwd: this.directory, timeout: 60_000 })
  }

  /** Adds settings, for the next start or `reload`; the last of the same name counts. */
  async configure(settings: Readonly<Record<string, string>>): Promise<void> {
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
    await appendFile(join(this.#data, 'postgresql.conf'), lines.join(''))
  }

  async start(): Promise<void> {
    const place = `-c listen_addresses= -c unix_socket_directories=${this.directory}`
    await this.run('pg_ctl', '-D', this.#data, '-l', join(this.directory, 'log'), '-w', '-o', place, 'start')
  }

  async reload(): Promise<void> {
    await this.run('pg_ctl', '-D', this.#data, 'reload')
  }

  async promote(): Promise<void> {
    await this.run('pg_ctl', '-D', this.#data, '-w', 'promote')
  }

  /** `kill -9` of the server and every process of it. */
  async kill(): Promise<void> {
    const [pid] = (await readFile(join(this.#data, 'postmaster.pid'), 'utf8')).split('\n')
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
    for (const each of [pid!, ...children.trim().split(' ')]) end(Number(each))
    // The next start refuses where a process of this one still holds the memory that they share.
    for (const each of children.trim().split(' ')) while (existsSync(`/proc/${each}/stat`)) await pause()
    await rm(join(this.#data, 'postmaster.pid'), { force: true })
  }

  /** Makes this one a standby of `primary`, over a copy of all that is there. */
  async follow(primary: PostgresNode): Promise<void> {
    await rm(this.#data, { recursive: true, force: true })
    await this.#makeData()
    const from = `host=${primary.directory} user=qkd dbname=postgres`
    await this.run('pg_basebackup', '-D', this.#data, '-d', from, '-R', '-X', 'stream', '-c', 'fast', '--no-sync')
  }

  /** Ends the server at once, in order. */
  async stop(): Promise<void> {
    await this.run('pg_ctl', '-D', this.#data, '-w', '-m', 'immediate', 'stop')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => {})
    await this.#dir[Symbol.asyncDispose]()
  }

  get #data(): string {
    return join(this.directory, 'data')
  }

  async #makeData(): Promise<void> {
    await mkdir(this.#data, { mode: 0o700 })
    if (isRoot) await chown(this.#data, ...(await postgresUser()))
  }
}

const isRoot = process.getuid?.() === 0

async function postgresUser(): Promise<[number, number]> {
  const ids = ['-u', '-g'].map(async flag => Number((await run('id', [flag, 'postgres'])).stdout))
  return [await ids[0]!, await ids[1]!]
}

function end(pid: number): void {
  try {
    if (pid > 0) process.kill(pid, 'SIGKILL')
  } catch {
    // Gone by itself.
  }
}

function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, 5))
}

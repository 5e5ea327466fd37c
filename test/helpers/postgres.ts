import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { chown, mkdir } from 'node:fs/promises'
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
  const dir = await createTempDir('qkdkit-pg-')
  const data = join(dir.path, 'data')
  const isRoot = process.getuid?.() === 0
  const as = async (...command: readonly string[]) => {
    const [file, ...args] = isRoot
      ? ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups', ...command]
      : command
    await run(file!, args, { cwd: dir.path, timeout: 60_000 })
  }
  await mkdir(data, { mode: 0o700 })
  if (isRoot) {
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async flag => Number((await run('id', [flag, 'postgres'])).stdout)),
    )
    for (const path of [dir.path, data]) await chown(path, uid!, gid!)
  }
  const settings = `-c listen_addresses= -c unix_socket_directories=${dir.path} -c fsync=off -c shared_buffers=8MB`
  const log = join(dir.path, 'log')
  const start = () => as(join(programs, 'pg_ctl'), '-D', data, '-l', log, '-w', '-o', settings, 'start')
  const stop = (mode: string) => as(join(programs, 'pg_ctl'), '-D', data, '-w', '-m', mode, 'stop')
  await as(join(programs, 'initdb'), '-D', data, '-U', 'qkd', '--auth=trust', '--no-sync', '-E', 'UTF8')
  await start()
  return {
    url: `postgresql://qkd@localhost/postgres?host=${encodeURIComponent(dir.path)}`,
    kill: () => stop('immediate'),
    start,
    [Symbol.asyncDispose]: async () => {
      await stop('immediate').catch(() => {})
      await dir[Symbol.asyncDispose]()
    },
  }
}

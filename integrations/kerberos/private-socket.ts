import { once } from 'node:events'
import { chmod, lstat, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { ConfigError } from '../../lib/index.ts'

/** The kernel keeps the path of a socket in 108 bytes, one of them a zero. */
const MAX_PATH_BYTES = 107
/** Who has write permission may connect. */
export type SocketMode = 0o600 | 0o660

/**
 * Binds `server` to a unix socket that nobody else could have reached for a moment: it is bound in a directory of our own,
 * gets its mode there, and is then moved to `path`. A socket left there by a process that is gone is replaced; one that
 * answers is not.
 *
 * Node can't ask the kernel who is at the other end, so the directory must keep others out: nobody but its owner, who is
 * this user or root, may write to it.
 * @throws {ConfigError} the directory does not, the path is too long or taken, or another process listens there
 */
export async function listenPrivately(server: Server, path: string, mode: SocketMode): Promise<void> {
  const dir = dirname(path)
  await requirePrivateDir(dir)
  await requireFree(path)
  const workshop = await mkdtemp(join(dir, '.s'))
  try {
    const bound = join(workshop, 's')
    if (Buffer.byteLength(bound) > MAX_PATH_BYTES || Buffer.byteLength(path) > MAX_PATH_BYTES) {
      throw new ConfigError(`The path of socket ${path} is too long: take a directory nearer to the root`)
    }
    server.listen(bound)
    await once(server, 'listening')
    await chmod(bound, mode)
    await rename(bound, path)
  } finally {
    await rm(workshop, { recursive: true, force: true })
  }
}

/** Removes the socket; that it is gone already is fine. */
export async function removeSocket(path: string): Promise<void> {
  await rm(path, { force: true })
}

async function requirePrivateDir(dir: string): Promise<void> {
  const stats = await stat(dir).catch((cause: Error) => {
    throw new ConfigError(`Directory ${dir} of the socket can't be read: ${cause.message}`, { cause })
  })
  const ownUid = process.getuid?.() ?? 0
  if (stats.uid !== ownUid && stats.uid !== 0) {
    throw new ConfigError(
      `Directory ${dir} of the socket belongs to user ${stats.uid}, who could put another socket there`,
    )
  }
  if ((stats.mode & 0o022) !== 0) {
    throw new ConfigError(`Directory ${dir} of the socket can be written by others: chmod go-w ${dir}`)
  }
}

async function requireFree(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats === undefined) return
  if (!stats.isSocket()) throw new ConfigError(`${path} is there already and no socket`)
  if (await answers(path))
    throw new ConfigError(`Another process listens at ${basename(path)} in ${dirname(path)} already`)
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('close', () => socket.destroy())
    socket.once('connect', () => socket.destroy())
  })
}

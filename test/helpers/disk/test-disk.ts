import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { connect } from 'node:net'
import { constants } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createTempDir } from '../temp-dir.ts'

/** What of the writes that were not synced is taken back: all, a random half, or nothing, which is what `kill -9` does. */
export type Loss = 'all' | 'half' | 'none'

const ANSWER_TIMEOUT_MS = 30_000

let built: Promise<string> | undefined

/** Builds the library that stands between a program and its disk, once a process. Its folder goes with the process. */
function buildShim(): Promise<string> {
  built ??= (async () => {
    const dir = await createTempDir('qkdkit-shim-')
    // A server that runs as another user must be able to load it.
    await chmod(dir.path, 0o755)
    process.once('exit', () => rmSync(dir.path, { recursive: true, force: true }))
    const library = join(dir.path, 'disk-shim.so')
    const source = new URL('disk-shim.c', import.meta.url).pathname
    await promisify(execFile)('gcc', ['-shared', '-fPIC', '-O1', '-Wall', '-o', library, source, '-lpthread'])
    return library
  })()
  return built
}

/** Where a disk is. */
export interface DiskPlace {
  /** What the paths of all its files begin with. */
  readonly root: string
  /** Where commands go, on the same file system. */
  readonly socket: string
  /** Name of the program that has the disk. Default `node`. */
  readonly program?: string
}

/**
 * The disk of one process, in the hands of a test: it loses what was not synced, fills up, fails, or takes its time.
 */
export class TestDisk {
  /** What the process is started with. */
  readonly env: Readonly<Record<string, string>>
  readonly #socket: string

  private constructor(library: string, { root, socket, program = 'node' }: DiskPlace) {
    this.#socket = socket
    this.env = {
      LD_PRELOAD: library,
      QKD_DISK_ROOT: root,
      QKD_DISK_SOCKET: socket,
      QKD_DISK_PROGRAM: program,
      // Such writes would pass the C library by.
      UV_USE_IO_URING: '0',
    }
  }

  /** Builds what stands between a program and its disk; gives the way to a disk. */
  static async prepare(): Promise<(place: DiskPlace) => TestDisk> {
    const library = await buildShim()
    return place => new TestDisk(library, place)
  }

  /** Power goes at the `at`th write, sync or change of a name from now, or at once (0). Resolves when the disk is as it is found after that. */
  async lose(loss: Loss, { at = 0, seed }: { at?: number; seed: number }): Promise<{ lost: number }> {
    const [, lost] = (await this.#ask(`lose ${at} ${loss} ${seed}`)).split(' ')
    return { lost: Number(lost) }
  }

  /**
   * From the `at`th step from now on (1 is the next) so many fail of those that can, or with `lasts` 0 all until `mend()`: on a
   * full disk (ENOSPC) what needs more space; on a broken one (EIO) what has to reach it.
   */
  async fail(code: 'ENOSPC' | 'EIO', { at = 1, lasts = 1 }: { at?: number; lasts?: number } = {}): Promise<void> {
    await this.#ask(`fail ${at} ${constants.errno[code]} ${lasts}`)
  }

  async mend(): Promise<void> {
    await this.#ask('mend')
  }

  /** From now on every sync takes so long. */
  async slow(syncMs: number): Promise<void> {
    await this.#ask(`slow ${syncMs}`)
  }

  /** Steps so far. */
  async steps(): Promise<number> {
    return Number((await this.#ask('count')).split(' ')[0])
  }

  async #ask(command: string): Promise<string> {
    const socket = connect(this.#socket)
    try {
      const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
      await once(socket, 'connect', { signal })
      socket.write(`${command}\n`)
      const [answer] = (await once(socket, 'data', { signal })) as [Buffer]
      return answer.toString().trim()
    } catch (cause) {
      throw new Error(`The disk gave no answer to "${command}"`, { cause })
    } finally {
      socket.destroy()
    }
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { qkdCommandLine } from '../bin/run-qkd.ts'
import type { Source } from '../structure/source-tokens.ts'
import { top } from '../structure/tree.ts'
import { type PageStep, pageSteps, shownFault } from './page-steps.ts'
import { createTempDir } from './temp-dir.ts'
import { until } from './until.ts'

/** How long one block of a page may take, and a server until it has said what the page shows. */
const BLOCK_MS = 120_000

/** What a run leaves to look at, before everything that it started is ended. */
export interface PageRun {
  /** Where the page's last block ended. */
  readonly directory: string
}

/**
 * Does what a reader of a page in docs/ does: copies each `sh` block into a shell, in order, in an empty directory, those "in a
 * terminal of its own" beside it, and compares what they print with the `text` block that follows. Nothing in a block is changed.
 * Sections called "Install" are left out: `qkd` is this tree, found as `npm install --global` would leave it.
 * @throws what failed, with the line of the page and all output
 */
export async function runPage(page: Source, look: (run: PageRun) => Promise<void> = async () => {}): Promise<void> {
  await using dir = await createTempDir('qkdkit-page-')
  const shell = new PageShell(page.path, await installedEnv(dir.path), dir.path)
  try {
    for (const step of pageSteps(page.text)) await shell.take(step)
    await look({ directory: shell.directory })
  } finally {
    await shell.close()
  }
}

/** An environment in which this tree is installed as a global package. */
async function installedEnv(dir: string): Promise<NodeJS.ProcessEnv> {
  const prefix = join(dir, 'prefix')
  await mkdir(join(prefix, 'bin'), { recursive: true })
  await mkdir(join(prefix, 'lib/node_modules'), { recursive: true })
  await symlink(top, join(prefix, 'lib/node_modules/qkdkit'))
  const command = qkdCommandLine([]).map(word => `'${word}'`)
  await writeFile(join(prefix, 'bin/qkd'), `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`)
  await chmod(join(prefix, 'bin/qkd'), 0o755)
  const { NODE_OPTIONS: _, ...env } = process.env
  return { ...env, npm_config_prefix: prefix, PATH: `${join(prefix, 'bin')}:${env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C' }
}

/** A reader with terminals. */
class PageShell {
  directory: string
  readonly #page: string
  readonly #env: NodeJS.ProcessEnv
  readonly #placeFile: string
  readonly #servers: ChildProcess[] = []
  /** What the last block has printed so far, and why it can print no more. */
  #output = ''
  #ended: string | undefined

  constructor(page: string, env: NodeJS.ProcessEnv, dir: string) {
    this.#page = page
    this.#placeFile = join(dir, 'place')
    this.#env = env
    this.directory = dir
  }

  async take(step: PageStep): Promise<void> {
    const at = `${this.#page}:${step.line}`
    if (step.kind === 'run') await this.#run(step.text, at)
    if (step.kind === 'serve') this.#start(step.text)
    if (step.kind !== 'shows') return
    const isShown = () => {
      const missing = shownFault(step.text, this.#output)
      if (missing !== undefined && this.#ended !== undefined) {
        throw new Error(`${at}: "${missing}" is not in what was printed (${this.#ended}):\n${this.#output}`)
      }
      return missing === undefined
    }
    await until(isShown, `what ${at} shows`, { timeoutMs: BLOCK_MS }).catch((error: Error) => {
      throw new Error(`${error.message}; printed so far:\n${this.#output}`)
    })
  }

  async #run(script: string, at: string): Promise<void> {
    const child = this.#spawn(`${script}\npwd > '${this.#placeFile}'`)
    const timer = setTimeout(() => endGroup(child, 'SIGKILL'), BLOCK_MS)
    const [code] = await once(child, 'exit')
    clearTimeout(timer)
    this.#ended = `ended with ${code}`
    if (code !== 0) throw new Error(`${at}: ended with ${code}:\n${this.#output}`)
    this.directory = (await readFile(this.#placeFile, 'utf8')).trim()
  }

  #start(script: string): void {
    const child = this.#spawn(script)
    this.#servers.push(child)
    child.once('exit', code => {
      if (this.#servers.at(-1) === child) this.#ended = `ended with ${code}`
    })
  }

  #spawn(script: string): ChildProcess {
    this.#output = ''
    this.#ended = undefined
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: this.directory,
      env: this.#env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-50_000)
      })
    }
    return child
  }

  /** Ctrl-C in every terminal, the newest first. */
  async close(): Promise<void> {
    for (const child of this.#servers.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const exited = once(child, 'exit')
      endGroup(child, 'SIGTERM')
      const timer = setTimeout(() => endGroup(child, 'SIGKILL'), 20_000)
      await exited
      clearTimeout(timer)
    }
  }
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal)
  } catch {
    // It has ended.
  }
}

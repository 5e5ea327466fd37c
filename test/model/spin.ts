import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createTempDir } from '../helpers/temp-dir.ts'

const MODEL = fileURLToPath(new URL('./pool.pml', import.meta.url))
/** The deepest path has fewer than a hundred steps; a search that met this end would not be a whole one. */
const MAX_DEPTH = 10_000
const MAX_MEGABYTES = 1000
const STEP_TIMEOUT_MS = 60_000

/** Symbols for the model's preprocessor; `true` defines a symbol without a value. */
export type Defines = Readonly<Record<string, number | true>>

/** What Spin found in one version of the model. */
export interface Verdict {
  /** States that were visited: all that there are, unless an assertion failed. */
  readonly states: number
  /** The first assertion that was found to fail, as the verifier prints it; undefined where none does. */
  readonly violated: string | undefined
  /** Rows of the block table that were come by. */
  readonly rows: ReadonlySet<number>
}

export interface VerifyOptions {
  /** A fault is expected after few states, so that compiling well takes longer than it saves. Default false. */
  readonly brief?: boolean
  /** Path of the model. Default that of the pool. */
  readonly model?: string
}

/**
 * Lets Spin write a verifier of the model, compiles it and visits every state, or those up to the first fault.
 * @throws {Error} a program failed, or the search was not a whole one
 */
export async function verify(defines: Defines, { brief = false, model = MODEL }: VerifyOptions = {}): Promise<Verdict> {
  await using folder = await createTempDir('qkdkit-model-')
  const symbols = Object.entries(defines).map(([name, value]) => (value === true ? `-D${name}` : `-D${name}=${value}`))
  await run('spin', ['-DCOVERAGE', ...symbols, '-a', model], folder.path)
  // All variables are shared, so partial-order reduction has nothing to gain here; -w: the verifier's C is not ours.
  const options = ['-DSAFETY', '-DNOREDUCE', `-DMEMLIM=${MAX_MEGABYTES}`]
  await run('gcc', [brief ? '-O0' : '-O1', '-w', ...options, '-o', 'pan', 'pan.c'], folder.path)
  // -E: a roll-back that nobody can see is where the sound model ends a path.
  const out = await run(join(folder.path, 'pan'), ['-E', '-n', '-w22', `-m${MAX_DEPTH}`], folder.path)
  return readVerdict(out)
}

function readVerdict(out: string): Verdict {
  const violated = /assertion violated (.+) \(at depth/.exec(out)?.[1]
  const states = /([0-9.e+]+) states, stored/.exec(out)?.[1]
  const whole = /errors: 0/.test(out) && !/Search not completed|search depth too small|memory/.test(withoutTable(out))
  if (states === undefined || (violated === undefined && !whole)) throw new Error(`Spin did not finish:\n${out}`)
  const rows = new Set([...out.matchAll(/^came by row (\d+)$/gm)].map(([, row]) => Number(row)))
  return { states: Number(states), violated, rows }
}

/** The report's last part tells how much memory was used, which is no complaint. */
function withoutTable(out: string): string {
  return out.split('Stats on memory usage')[0]!
}

function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, timeout: STEP_TIMEOUT_MS, maxBuffer: 1 << 20 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${program} failed: ${error.message}\n${stdout}${stderr}`))
    })
  })
}

import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReadOrder } from './store-reader.ts'
import { createTempDir } from './temp-dir.ts'

/** All that a store is, beside a directory: what it has in there, the key encryption key, and its commit numbers outside of it. */
const FILES = ['/pools.mdb', '/pools.mdb-lock', '/slots.bin', '.kek', '.commits'] as const
/** Which has its turn: most of what there is lies in the first two. */
const TURNS = ['/pools.mdb', '/slots.bin', '/pools.mdb', '/slots.bin', '.kek', '.commits', '/pools.mdb-lock'] as const
const PATIENCE_MS = 30_000

/** What became of the copies of a store, each with one byte altered. */
export interface TamperReport {
  /** The store did not open, or a row or block was refused; the rest was as it had been written. */
  refused: number
  /** The byte lies where nothing is read any more. */
  unchanged: number
  /** LMDB gave the process up: nothing was served. */
  crashed: number
  /** What a reader was given differs from what was written: a breach. */
  wrong: string[]
}

/**
 * A store of some blocks, copied as often as asked, each copy with one byte of one of its files altered, opened in a
 * process of its own and read whole.
 */
export async function tamperWithStore({
  flips,
  blocks = 12,
}: {
  flips: number
  blocks?: number
}): Promise<TamperReport> {
  await using dir = await createTempDir()
  await using reader = new Reader()
  const [original, copy] = [join(dir.path, 'original'), join(dir.path, 'copy')]
  const placeOf = (path: string) => ({ path, kek: { file: `${path}.kek` } })
  const sound = await reader.read({ place: placeOf(original), fill: blocks })
  const readCopy = async (alter: (bytes: Buffer) => void, file: (typeof FILES)[number]) => {
    await rm(copy, { recursive: true, force: true })
    await mkdir(copy)
    for (const name of FILES) await copyFile(original + name, copy + name)
    const bytes = await readFile(copy + file)
    alter(bytes)
    await writeFile(copy + file, bytes)
    return await reader.read({ place: placeOf(copy) })
  }
  assert.ok(sound !== undefined && !sound.includes('refused') && sound.split('\n').length === 2 + 2 * blocks, sound)
  assert.equal(await readCopy(() => {}, '/pools.mdb'), sound, 'a copy as it was')
  const report: TamperReport = { refused: 0, unchanged: 0, crashed: 0, wrong: [] }
  for (let flip = 0; flip < flips; flip++) {
    const file = TURNS[flip % TURNS.length]!
    let at = 0
    const read = await readCopy(bytes => {
      // Evenly over what is in use of the file: every part of it has its turn.
      at = Math.floor(((flip + 0.5) / flips) * usedBytes(bytes))
      bytes[at]! ^= 1 << (flip % 8)
    }, file)
    if (read === undefined) report.crashed += 1
    else if (read === sound) report.unchanged += 1
    else if (onlyRefuses(read, sound)) report.refused += 1
    else report.wrong.push(`${file} at ${at}: ${read}`)
  }
  return report
}

/** Behind it there is space that the database has not grown into yet. */
function usedBytes(file: Buffer): number {
  let end = file.byteLength
  while (end > 0 && file[end - 1] === 0) end -= 1
  return end
}

/** True where each line is as in the sound store, or says that it was refused. */
function onlyRefuses(read: string, sound: string): boolean {
  const lines = new Set(sound.split('\n'))
  return read.split('\n').every(line => lines.has(line) || line.startsWith('refused'))
}

/** A process that reads one store after the other; another one takes its place when it does not survive a store. */
class Reader implements AsyncDisposable {
  #child: ChildProcess | undefined

  /** Everything in the store; undefined where the process did not survive. */
  async read(order: ReadOrder): Promise<string | undefined> {
    this.#child ??= fork(new URL('store-reader.ts', import.meta.url), {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    const child = this.#child
    const over = new AbortController()
    const options = { signal: over.signal }
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    try {
      child.send(order)
      return await Promise.race([
        once(child, 'message', options).then(([text]) => text as string),
        once(child, 'exit', options).then(() => {
          this.#child = undefined
          return undefined
        }),
      ])
    } finally {
      clearTimeout(timer)
      over.abort()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child === undefined) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }
}

import { fork } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BLOCK_BYTES, BLOCK_CELLS } from '../../lib/key/cells.ts'
import { BLOCK_SECRET_BYTES } from '../../lib/key/construct.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { newBlockRecord } from '../../lib/kms/store/block-record.ts'
import { BlockVault } from '../../lib/kms/store/block-vault.ts'
import { createTempDir } from '../../test/helpers/temp-dir.ts'
import { median, type Report } from '../report.ts'
import { openLmdbKeep } from './stocked-pools.ts'

/** Pool that the blocks are put into. */
export const POOL_ID = 'site-a|site-b'
/** Blocks on their way to the disk at once, as a filling network has them. */
const TOGETHER = 64

/** What the process that opens a store says of it. */
export interface OpenedStore {
  readonly ms: number
  /** Memory that it took the process, in bytes, the file's own pages left out. */
  readonly ownBytes: number
  readonly cells: number
}

/** Cells filled a second, bytes a cell on the disk, and what it takes a fresh process to open them. */
export async function runLargeStore(report: Report, { cells, opens }: { cells: number; opens: number }): Promise<void> {
  await using dir = await createTempDir()
  const name = `LMDB, ${cells.toExponential(0).replace('+', '')} cells`
  const ms = await fill(dir.path, cells / BLOCK_CELLS)
  report({ metric: `${name}: cells into the store`, value: (cells / ms) * 1000, unit: '1/s' })
  report({ metric: `${name}: bytes on disk a cell`, value: (await sizeBytes(dir.path)) / cells, unit: 'B' })
  const opened: OpenedStore[] = []
  for (let open = 0; open < opens; open += 1) opened.push(await openElsewhere(dir.path))
  if (opened.some(store => store.cells !== cells)) throw new Error('A store opened with another number of cells')
  report({ metric: `${name}: open`, value: median(opened.map(store => store.ms)), unit: 'ms', samples: opens })
  const ownBytes = median(opened.map(store => store.ownBytes))
  report({ metric: `${name}: memory`, value: ownBytes / 2 ** 20, unit: 'MiB', samples: opens })
}

/** Puts that many active blocks into a store: sealed, their keys in the slot file, each durable. In milliseconds. */
async function fill(directory: string, blocks: number): Promise<number> {
  const { store, slots, close } = await openLmdbKeep(directory)
  const vault = new BlockVault({ store, slots, poolId: POOL_ID })
  const material = SecretKey.random(BLOCK_BYTES + BLOCK_SECRET_BYTES)
  const put = async (number: bigint) => {
    const block = newBlockRecord({ number, ownerSiteId: 'site-a', trustClass: 'direct', relays: [], slot: -1 })
    const { slot, sealed } = await vault.seal(block, material)
    const record = { ...block, slot, state: 'active' as const }
    const { ok } = await store.commit(POOL_ID, [{ kind: 'insert', record, sealed, raiseFloor: false }])
    if (!ok) throw new Error(`Block ${number} was refused`)
  }
  let next = 1
  const start = performance.now()
  const fillers = Array.from({ length: TOGETHER }, async () => {
    while (next <= blocks) await put(BigInt(next++))
  })
  await Promise.all(fillers)
  const ms = performance.now() - start
  await close()
  return ms
}

async function sizeBytes(directory: string): Promise<number> {
  let sum = 0
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    // What the file system holds of it: a file may have holes.
    if (entry.isFile()) sum += (await stat(join(entry.parentPath, entry.name))).blocks * 512
  }
  return sum
}

function openElsewhere(directory: string): Promise<OpenedStore> {
  return new Promise((resolve, reject) => {
    const child = fork(new URL('./open-store-process.ts', import.meta.url), [directory])
    let opened: OpenedStore | undefined
    child.once('message', message => {
      opened = message as OpenedStore
    })
    child.once('error', reject)
    // Only then has it let the store go.
    child.once('exit', code => {
      if (opened === undefined) reject(new Error(`The process that opens a store ended with ${code}`))
      else resolve(opened)
    })
  })
}

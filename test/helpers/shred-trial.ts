import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { open } from 'lmdb'
import type { Key, Kms } from '../../lib/interface/kms.ts'
import { lp } from '../../lib/key/lp.ts'
import { ROW_TAG_BYTES } from '../../lib/key/row-mac.ts'
import { decodeBlock } from '../../lib/kms/store/block-record.ts'
import { startSiteProcesses } from './site-process.ts'
import { attackStore, type ReadBlock } from './store-attacker.ts'
import { until } from './until.ts'

const POOL = 'site-a|site-b'
const SITES = ['site-a', 'site-b'] as const
const KEYS_PER_CALL = 100
const MAX_CALLS = 40
const AFTER_DRAIN_MS = 1000
const CELL_BYTES = 32
const LIVING = ['received', 'ready', 'active']

/** What an attacker with the key encryption key reads of one site. */
export interface ShredReport {
  readonly siteId: string
  /** Cells of blocks that lived when the first copy was made: in it, that is what he can do. */
  readonly cellsBefore: number
  /** Blocks of those that have drained since. */
  readonly drained: number
  /** Cells of these in the second copy, made a second later. */
  readonly cellsAfter: number
  /** Cells of blocks that still live, in the second copy: no erasure is claimed of them. */
  readonly cellsLive: number
}

/**
 * Copies every file of two sites' stores before some blocks drain and one second after, and has somebody with the key
 * encryption keys read what he can. `root` runs the source of another copy of the project.
 */
export async function attackDrained({
  root,
  built = false,
}: {
  root?: string
  built?: boolean
} = {}): Promise<ShredReport[]> {
  // So slow a link fills the place of a drained block late: what lingers there is not overwritten by chance.
  await using sites = await startSiteProcesses({
    built,
    rateBps: 800_000,
    targetBlocks: 6,
    ...(root !== undefined && { root }),
  })
  const { directory } = sites
  const [alice, bob] = [sites.kms('alice'), sites.kms('bob')]
  await draw(alice, 1)
  const areFilled = async () => {
    for (const siteId of SITES) if ((await statesOf(directory, siteId)).size < 4) return false
    return true
  }
  await until(areFilled, 'the pools are filled', { timeoutMs: 30_000 })
  const before = await Promise.all(SITES.map(siteId => attack(directory, siteId, 'before')))
  const drainedAt = async (at: number) => {
    const now = await statesOf(directory, SITES[at]!)
    const known = new Set(before[at]!.map(({ number }) => number))
    return [...known].filter(number => !LIVING.includes(now.get(number) ?? ''))
  }
  const isOver = async () => (await drainedAt(0)).length > 0 && (await drainedAt(1)).length > 0
  for (let call = 0; call < MAX_CALLS && !(await isOver()); call++) {
    const keys = await draw(alice, KEYS_PER_CALL)
    await bob.getKeyWithIds(
      'alice',
      keys.map(({ keyId }) => keyId),
    )
  }
  await until(isOver, 'a block is drained at each site')
  const drained = await Promise.all(SITES.map((_, at) => drainedAt(at)))
  await pause(AFTER_DRAIN_MS)
  const reports: ShredReport[] = []
  for (const [at, siteId] of SITES.entries()) {
    // The database as it was, too: LMDB writes over what it has freed sooner or later, and a thief may have come before.
    const after = await attack(directory, siteId, 'after', [join(directory, `before-${siteId}`, 'pools.mdb')])
    const isDrained = ({ number }: ReadBlock) => drained[at]!.includes(number)
    reports.push({
      siteId,
      cellsBefore: cellsOf(before[at]!),
      drained: drained[at]!.length,
      cellsAfter: cellsOf(after.filter(isDrained)),
      cellsLive: cellsOf(after.filter(block => !isDrained(block))),
    })
  }
  return reports
}

/** Copies all that a site has on its disk, and reads it with its key encryption key. */
async function attack(
  directory: string,
  siteId: string,
  when: 'before' | 'after',
  kept: readonly string[] = [],
): Promise<ReadBlock[]> {
  const copy = join(directory, `${when}-${siteId}`)
  await rm(copy, { recursive: true, force: true })
  await cp(join(directory, `${siteId}.store`), copy, { recursive: true })
  const kek = await readFile(join(directory, `${siteId}.kek`))
  return await attackStore([copy, ...kept], { kek, poolId: POOL })
}

/** Different cells that are more than the zeros with which a spent one was overwritten. */
function cellsOf(blocks: readonly ReadBlock[]): number {
  const cells = new Set<string>()
  for (const { material } of blocks)
    for (let at = 0; at < material.byteLength; at += CELL_BYTES) {
      const cell = material.subarray(at, at + CELL_BYTES)
      if (cell.some(byte => byte !== 0)) cells.add(cell.toString('base64'))
    }
  return cells.size
}

/** The states of a site's blocks, as its database has them at this moment. */
async function statesOf(directory: string, siteId: string): Promise<ReadonlyMap<bigint, string>> {
  const path = join(directory, `${siteId}.store`, 'pools.mdb')
  const db = open<Buffer, Buffer>({ path, encoding: 'binary', keyEncoding: 'binary', noSubdir: true, readOnly: true })
  try {
    const start = lp('block', POOL)
    const states = new Map<bigint, string>()
    for (const { value } of db.getRange({ start, end: Buffer.concat([start, Buffer.alloc(3, 0xff)]) })) {
      const { number, state } = decodeBlock(value.subarray(0, -ROW_TAG_BYTES))
      states.set(number, state)
    }
    return states
  } finally {
    await db.close()
  }
}

/** Draws keys until there are as many as asked for. */
async function draw(master: Kms, number: number): Promise<Key[]> {
  let keys: Key[] | undefined
  await until(
    async () => {
      keys = await master.getKey('bob', { number }).catch(() => undefined)
      return keys !== undefined
    },
    'there is key',
    { timeoutMs: 30_000 },
  )
  return keys!
}

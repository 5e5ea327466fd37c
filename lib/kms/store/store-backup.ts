import { createHash } from 'node:crypto'
import { StoreError } from '../../errors.ts'
import type { Incident } from '../../interface/incident.ts'
import type { PolicyFile } from '../../interface/policy.ts'
import type { BlockRecord, BlockState, PoolRecord, PoolStore } from '../../interface/pool-store.ts'
import { INCIDENTS_POOL_ID, IncidentBook } from '../incident/incident-book.ts'
import { newBlockRecord, newPoolRecord } from './block-record.ts'

const KIND = 'qkdkit store backup'
const VERSION = 1

/** A block in a backup: who may issue from it, and how far it was used. Nothing that a key could be made from. */
interface BackupBlock
  extends Pick<BlockRecord, 'ownerSiteId' | 'grant' | 'state' | 'trustClass' | 'lease' | 'horizon'> {
  readonly number: string
  /** Consumed bits, base64. */
  readonly consumed: string
}

/** A pool in a backup: its counters. */
interface BackupPool extends Pick<PoolRecord, 'commits' | 'poolEpoch' | 'sealEpoch' | 'peerCommits'> {
  readonly poolId: string
  readonly floor: string
  readonly virtualFloors: readonly [string, string]
  readonly blocks: readonly BackupBlock[]
}

/** What a backup says. */
export interface StoreBackup {
  readonly siteId: string
  /** When it was made, ISO 8601. */
  readonly madeAt: string
  readonly pools: readonly BackupPool[]
  /** Who may have which keys at that site; undefined where its configuration has no policy. */
  readonly policy?: PolicyFile
  /** What may not leave, by the word of this site and of others. */
  readonly incidents?: readonly Incident[]
}

/** What is backed up besides the store. */
export interface BackupTerms {
  readonly siteId: string
  readonly policy?: PolicyFile | undefined
  readonly now?: () => number
}

/**
 * Identities, counters, ownership, open incidents and policy of a store: what a site needs to know so that no number comes
 * again, and nothing leaves that is held back. No cells, no keys of blocks, no secrets of sites: whoever has a backup can read no key and make none (rule R6).
 */
export async function backupStore(
  store: Pick<PoolStore, 'poolIds' | 'snapshot'>,
  { siteId, policy, now = Date.now }: BackupTerms,
): Promise<StoreBackup> {
  const pools: BackupPool[] = []
  for (const poolId of await store.poolIds()) {
    if (poolId === INCIDENTS_POOL_ID) continue
    const { pool, blocks } = await store.snapshot(poolId)
    const { commits, poolEpoch, sealEpoch, peerCommits } = pool
    pools.push({
      poolId,
      commits,
      poolEpoch,
      sealEpoch,
      peerCommits,
      floor: String(pool.floor),
      virtualFloors: [String(pool.virtualFloors[0]), String(pool.virtualFloors[1])],
      blocks: blocks.map(blockOf),
    })
  }
  const incidents = (await IncidentBook.read(store)).map(({ told: _, ...incident }) => incident)
  return { siteId, madeAt: new Date(now()).toISOString(), pools, incidents, ...(policy && { policy }) }
}

/** A backup as text: a line that says what it is, with the SHA-256 of the other line, which is the backup. */
export function encodeBackup(backup: StoreBackup): string {
  const body = JSON.stringify(backup)
  return `${JSON.stringify({ kind: KIND, version: VERSION, sha256: digestOf(body) })}\n${body}\n`
}

/** @throws {StoreError} it is none, of a newer version, or damaged */
export function decodeBackup(text: string): StoreBackup {
  const [head = '', body = ''] = text.split('\n')
  let header: { kind?: unknown; version?: unknown; sha256?: unknown } | null
  try {
    header = JSON.parse(head)
  } catch (cause) {
    throw new StoreError('This is no backup of a store', { cause })
  }
  if (header?.kind !== KIND) throw new StoreError('This is no backup of a store')
  if (header.version !== VERSION)
    throw new StoreError(`The backup is of version ${header.version}; this version of qkdkit reads ${VERSION}`)
  if (header.sha256 !== digestOf(body)) throw new StoreError('The backup is damaged: its checksum is another')
  return JSON.parse(body) as StoreBackup
}

/**
 * Writes a backup into an empty store. Every pool comes out of it as one that was put back: it gives out nothing until it has
 * met its peer, and both then begin anew, since the keys of its blocks are gone; no number that either ever saw comes again.
 * @throws {StoreError} the store holds pools already
 */
export async function restoreStore(store: PoolStore, { pools, incidents = [] }: StoreBackup): Promise<void> {
  if ((await store.poolIds()).length > 0)
    throw new StoreError(
      'The store holds pools already: a backup goes into an empty one. Move its directory away first',
    )
  const book = await IncidentBook.open(store)
  // Told again to whoever it concerns: what they answered is older than they may be by now.
  for (const incident of incidents) await book.put({ ...incident, told: [] })
  for (const { poolId, blocks, floor, virtualFloors, ...counters } of pools) {
    const patch: PoolRecord = {
      ...newPoolRecord(),
      ...counters,
      floor: BigInt(floor),
      virtualFloors: [BigInt(virtualFloors[0]), BigInt(virtualFloors[1])],
      rolledBack: true,
    }
    const result = await store.commit(poolId, [
      ...blocks.map(
        block => ({ kind: 'insert', record: recordOf(block), sealed: undefined, raiseFloor: false }) as const,
      ),
      { kind: 'pool', poolEpoch: 0, patch },
    ])
    if (!result.ok) throw new StoreError(`Pool ${poolId} of the backup is not taken: ${result.refusal}`)
  }
}

/** Cells that a backup speaks of and does not have, for whoever puts it back. */
export function describeBackup({ siteId, madeAt, pools, policy, incidents = [] }: StoreBackup): {
  readonly siteId: string
  readonly madeAt: string
  readonly pools: number
  readonly blocks: number
  readonly rules: number
  readonly incidents: number
} {
  const blocks = pools.reduce((sum, pool) => sum + pool.blocks.length, 0)
  return { siteId, madeAt, pools: pools.length, blocks, rules: policy?.rules.length ?? 0, incidents: incidents.length }
}

function blockOf({
  number,
  ownerSiteId,
  grant,
  state,
  trustClass,
  lease,
  horizon,
  consumed,
}: BlockRecord): BackupBlock {
  const bits = Buffer.from(consumed).toString('base64')
  return { number: String(number), ownerSiteId, grant, state, trustClass, lease, horizon, consumed: bits }
}

function recordOf({ number, consumed, ...block }: BackupBlock): BlockRecord {
  const bits = Uint8Array.from(Buffer.from(consumed, 'base64'))
  const state: BlockState = block.state === 'drained' ? 'dropped' : block.state
  return newBlockRecord({ ...block, state, number: BigInt(number), consumed: bits, relays: [], slot: -1 })
}

function digestOf(body: string): string {
  return createHash('sha256').update(body).digest('hex')
}

import type { BlockRecord } from '../../lib/interface/pool-store.ts'
import type { TelemetryEvent } from '../../lib/interface/telemetry.ts'
import { BLOCK_TABLE, type Role, type TableState } from '../../lib/kms/pool/block-table.ts'

export type BlockEvent = Extract<TelemetryEvent, { type: 'block' }>

interface Path {
  state: TableState
  owned: boolean
  /** Came to an end: its number never comes again. */
  over: boolean
}

/**
 * Follows what one site tells of its blocks along the rows of the block table: every event must be a row that begins
 * where the block stands, at the role that the site has for it.
 */
export class BlockPaths {
  readonly #site: 0 | 1
  readonly #paths = new Map<string, Path>()
  readonly #faults: string[] = []
  readonly #rows = new Set<number>()

  /** `site` is the place of the site's ID among the sorted two, which decides the first owner of each block. */
  constructor(site: 0 | 1) {
    this.#site = site
  }

  /** The store was put back: paths go on from what it holds, and numbers that it has forgotten may come to an end again. */
  putBack(blocks: readonly Pick<BlockRecord, 'number' | 'state' | 'ownerSiteId'>[], localSiteId: string): void {
    this.#paths.clear()
    for (const { number, state, ownerSiteId } of blocks) {
      const over = state === 'drained' || state === 'dropped'
      this.#paths.set(String(number), { state, owned: ownerSiteId === localSiteId, over })
    }
  }

  /** Events that no path of the table allows, in words. */
  get faults(): readonly string[] {
    return this.#faults
  }

  /** Rows that were gone by. */
  get rows(): ReadonlySet<number> {
    return this.#rows
  }

  /** Where a block stands; undefined if nothing was told of it. */
  stateOf(block: bigint): TableState | undefined {
    return this.#paths.get(String(block))?.state
  }

  follow(event: BlockEvent): void {
    const { block, from, to, row } = event
    const path = this.#paths.get(block) ?? this.#birth(block)
    const fault = faultOf(event, path)
    if (fault !== undefined) this.#faults.push(`block ${block}, row ${row}, ${from} to ${to}: ${fault}`)
    this.#rows.add(row)
    if (row === 20) path.owned = false
    if (row === 21) path.owned = true
    // What the peer says of the owner is taken over.
    if (row === 26) path.owned = to === 'active' || (path.owned && to !== 'ready')
    path.state = to as TableState
    path.over = to === 'drained' || to === 'dropped' || to === 'none'
  }

  #birth(block: string): Path {
    const path: Path = { state: 'none', owned: Number(BigInt(block) % 2n) === this.#site, over: false }
    this.#paths.set(block, path)
    return path
  }
}

function faultOf({ row, from, to }: BlockEvent, path: Path): string | undefined {
  const entries = BLOCK_TABLE.filter(entry => entry.row === row)
  if (entries.length === 0) return 'no such row'
  if (path.over) return `its life ended in ${path.state}`
  if (from !== path.state) return `it stands in ${path.state}`
  const allowed = entries.find(entry => entry.from.includes(from as TableState) && entry.to === to)
  if (allowed === undefined) return 'not what the row says'
  const role: Role = path.owned ? 'owner' : 'retriever'
  return allowed.role === 'either' || allowed.role === role ? undefined : `a row of the ${allowed.role}`
}

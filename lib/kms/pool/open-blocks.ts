import type { BlockRecord } from '../../interface/pool-store.ts'
import { wipeCells } from '../../key/cells.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { BlockLedger } from './block-ledger.ts'

/** Blocks whose bytes stay at hand between retrievals. */
const MAX_IDLE_BLOCKS = 16
/** How long they stay unused, in milliseconds. */
const MAX_IDLE_MS = 5000

interface Entry {
  readonly material: Promise<SecretKey>
  users: number
  dead: boolean
  usedAtMs: number
}

/** The bytes of the blocks that are being retrieved from, opened once and wiped when they fall out of use. */
export class OpenBlocks {
  readonly #ledger: BlockLedger
  readonly #now: () => number
  readonly #entries = new Map<bigint, Entry>()

  constructor(ledger: BlockLedger, now: () => number) {
    this.#ledger = ledger
    this.#now = now
    ledger.onDeath(number => this.#drop(number))
  }

  /** Lends the bytes of a block for as long as `use` runs. */
  async with<T>(block: BlockRecord, use: (material: SecretKey) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(block.number) ?? {
      material: this.#ledger.open(block),
      users: 0,
      dead: false,
      usedAtMs: 0,
    }
    // Set anew, so that the map's order is that of last use.
    this.#entries.delete(block.number)
    this.#entries.set(block.number, entry)
    entry.users++
    try {
      return await use(await entry.material)
    } catch (error) {
      this.#drop(block.number)
      throw error
    } finally {
      entry.users--
      entry.usedAtMs = this.#now()
      if (entry.dead) wipe(entry)
      this.#evict()
    }
  }

  /** Wipes delivered cells in the bytes at hand, if they are at hand. */
  wipeCells(number: bigint, offset: number, cells: number): void {
    this.#entries.get(number)?.material.then(
      material => {
        if (!material.wiped) wipeCells(material, offset, cells)
      },
      () => {},
    )
  }

  /** Wipes blocks that nobody has retrieved from for a while. */
  sweep(): void {
    const nowMs = this.#now()
    for (const [number, { users, usedAtMs }] of this.#entries)
      if (users === 0 && nowMs - usedAtMs >= MAX_IDLE_MS) this.#drop(number)
  }

  wipe(): void {
    for (const number of [...this.#entries.keys()]) this.#drop(number)
  }

  #evict(): void {
    for (const [number, entry] of this.#entries) {
      if (this.#entries.size <= MAX_IDLE_BLOCKS) return
      if (entry.users === 0) this.#drop(number)
    }
  }

  #drop(number: bigint): void {
    const entry = this.#entries.get(number)
    if (entry === undefined) return
    this.#entries.delete(number)
    entry.dead = true
    wipe(entry)
  }
}

/** Wipes unless somebody still reads; the last reader wipes then. */
function wipe(entry: Entry): void {
  if (entry.users > 0) return
  entry.material.then(
    material => material.wipe(),
    () => {},
  )
}

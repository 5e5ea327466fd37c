import type { BlockRecord } from '../../interface/pool-store.ts'
import type { Suite } from '../../key/selection.ts'
import { type BlockKind, blockKind, kindForSuite, type VirtualKind } from '../../key/virtual-block.ts'
import type { MessageHandlers } from './peer-session.ts'
import { Supply, type SupplyOptions } from './supply.ts'

/** What the supplies of a pool share, and what each has of its own. */
export interface SuppliesOptions extends Omit<SupplyOptions, 'kind' | 'findMore' | 'onAsked' | 'onWaited'> {
  readonly network: Pick<SupplyOptions, 'findMore' | 'onAsked' | 'onWaited'>
  /** Called while a request waits for keys of a level that no open block serves. */
  readonly findMoreVirtual: (kind: VirtualKind, trustClasses: Parameters<SupplyOptions['findMore']>[0]) => void
}

/** The supplies of a pool, one for each kind of block: the same code three times, none in another's way. */
export class Supplies {
  readonly network: Supply
  readonly #byKind: Readonly<Record<BlockKind, Supply>>
  readonly #all: readonly Supply[]

  constructor({ network, findMoreVirtual, ...common }: SuppliesOptions) {
    const virtual = (kind: VirtualKind) =>
      new Supply({ ...common, kind, findMore: classes => findMoreVirtual(kind, classes) })
    this.network = new Supply({ ...common, ...network, kind: 'network' })
    this.#byKind = {
      network: this.network,
      expanded: virtual('expanded'),
      'post-quantum': virtual('post-quantum'),
    }
    this.#all = Object.values(this.#byKind)
  }

  /** The ends of leases that want looking after by the clock. */
  get lessees() {
    return this.#all.map(({ lessee }) => lessee)
  }

  get waitingRequests(): number {
    return this.#all.reduce((sum, { issuer }) => sum + issuer.waitingRequests, 0)
  }

  /** Cells of virtual blocks that can still be issued. */
  get virtualCells(): Readonly<Record<VirtualKind, number>> {
    const cellsOf = (kind: VirtualKind) => this.#byKind[kind].issuer.issuableCells
    return { expanded: cellsOf('expanded'), 'post-quantum': cellsOf('post-quantum') }
  }

  of(kind: BlockKind): Supply {
    return this.#byKind[kind]
  }

  /** The one that keys of a suite come from. */
  forSuite(suite: Suite): Supply {
    return this.#byKind[kindForSuite(suite)]
  }

  /** The one that a block belongs to. */
  forBlock({ number }: Pick<BlockRecord, 'number'>): Supply {
    return this.#byKind[blockKind(number)]
  }

  /** An answer goes to whoever asked: each lessee passes over nonces that are not its own. */
  get handlers(): MessageHandlers {
    return {
      leaseOk: async message => {
        for (const { handlers } of this.lessees) await handlers.leaseOk?.(message)
      },
      leaseNo: async message => {
        for (const { handlers } of this.lessees) await handlers.leaseNo?.(message)
      },
    }
  }

  /** Keeps enough under lease in each. */
  leaseAhead(): void {
    for (const { issuer } of this.#all) issuer.leaseAhead()
  }

  /** Ends what a crash or a lost answer left fully leased. */
  async finishLeased(): Promise<void> {
    for (const lessee of this.lessees) await lessee.finishLeased()
  }

  /** The session is lost: no answer will come any more. */
  abandon(): void {
    for (const lessee of this.lessees) lessee.abandon()
  }

  /** Burns whatever stands under lease, in all of them: nothing of it leaves any more. */
  burnLeases(reason: string): void {
    for (const lessee of this.lessees) lessee.burnAll(reason)
  }

  /** Ends every wait. */
  fail(reason: unknown): void {
    for (const { issuer } of this.#all) issuer.fail(reason)
  }

  wipe(): void {
    for (const { book } of this.#all) book.wipe()
  }
}

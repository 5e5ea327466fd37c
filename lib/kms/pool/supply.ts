import type { TrustClass } from '../../interface/kms.ts'
import type { Logger } from '../../interface/logger.ts'
import type { BlockKind } from '../../key/virtual-block.ts'
import type { BlockLedger } from './block-ledger.ts'
import { Issuer, type IssuerOptions } from './issuer.ts'
import { LeaseBook } from './lease-book.ts'
import { Lessee } from './lessee.ts'
import type { PeerMessage } from './peer-wire.ts'

/** What a supply works on and with. */
export interface SupplyOptions extends Pick<IssuerOptions, 'onAsked' | 'onWaited'> {
  readonly kind: BlockKind
  readonly ledger: BlockLedger
  readonly send: (message: PeerMessage) => void
  readonly isConnected: () => boolean
  readonly monotonicMs: () => number
  readonly logger: Logger
  /** Called while a request waits that no block at hand serves. */
  readonly findMore: (trustClasses: readonly TrustClass[] | undefined) => void
}

/** Where keys of one kind of block come from: its leases, the cells under them, and the line of those who wait for some. */
export class Supply {
  readonly kind: BlockKind
  readonly book = new LeaseBook()
  readonly lessee: Lessee
  readonly issuer: Issuer

  constructor({ kind, ledger, send, isConnected, monotonicMs, ...issuing }: SupplyOptions) {
    this.kind = kind
    const { book } = this
    const common = { ledger, book, isConnected, monotonicMs }
    this.lessee = new Lessee({ ...common, kind, send, onChange: () => this.issuer.serve() })
    this.issuer = new Issuer({ ...common, ...issuing, lessee: this.lessee })
  }
}

import type { AbroadReceiver } from '../../interface/abroad.ts'
import type { Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { PoolStore } from '../../interface/pool-store.ts'
import type { ShareRelay } from '../pool/shared-key-acceptor.ts'
import type { RegisteredSite } from '../sae-registry.ts'
import { Inbound, type InboundOptions } from './inbound.ts'
import { AbroadJournal } from './journal.ts'
import { type NeighbourDomain, Neighbours } from './neighbour.ts'
import { Outbound } from './outbound.ts'

/** How long a key may take across the border, in milliseconds: longer than any host waits for it. */
const HANDOVER_MS = 10_000

/** This site's part of the border to other domains: both ways across. */
export class Border implements Closable {
  readonly neighbours: Neighbours
  readonly outbound: Outbound
  /** The other domains as if each were a site whose hosts this KMS knows. */
  readonly sites: readonly RegisteredSite[]

  private constructor(domains: readonly NeighbourDomain[], neighbours: Neighbours, outbound: Outbound) {
    this.neighbours = neighbours
    this.outbound = outbound
    this.sites = domains.map(({ kme: { kmeId }, saeIds }) => ({
      siteId: kmeId,
      kmeId,
      saeIds: [],
      foreignSaeIds: saeIds,
    }))
  }

  /** @throws {StoreError} what is open from before can't be read */
  static async open(
    domains: readonly NeighbourDomain[],
    { store, logger }: { store: PoolStore; logger: Logger },
  ): Promise<Border> {
    const neighbours = new Neighbours(domains)
    const outbound = new Outbound({ neighbours, journal: await AbroadJournal.open(store), logger })
    outbound.resume()
    return new Border(domains, neighbours, outbound)
  }

  /** Keys that come from peers of this domain, and go out. */
  readonly relay: ShareRelay = {
    isAbroad: saeId => this.neighbours.of(saeId) !== undefined,
    handOn: ({ masterSaeId, saeIds }, keys) => {
      const handover = keys.map(({ keyId, secret }) => ({ keyId, secret: secret! }))
      const signal = AbortSignal.timeout(HANDOVER_MS)
      return this.outbound.handOver({ initiatorSaeId: masterSaeId, targetSaeIds: saeIds, keys: handover }, { signal })
    },
    withdraw: ({ masterSaeId, slaveSaeId, keyIds }) =>
      this.outbound.withdraw({ initiatorSaeId: masterSaeId, targetSaeIds: [slaveSaeId], keyIds }),
  }

  /** Keys that come from other domains, and go in. */
  receiver(options: Omit<InboundOptions, 'neighbours'>): AbroadReceiver {
    return new Inbound({ ...options, neighbours: this.neighbours })
  }

  close(): Promise<void> {
    return this.outbound.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

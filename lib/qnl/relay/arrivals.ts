import type { QnlBlock } from '../../interface/qnl.ts'
import type { Chunk } from './frame.ts'
import { Incoming } from './incoming.ts'
import { relayedWay } from './link-news.ts'
import type { PairOptions } from './pair.ts'
import type { RelayMessage } from './relay-wire.ts'
import { MATERIAL_BYTES, MIN_CHUNK_BYTES, NO_TAG } from './transfer-key.ts'

/** Blocks that the other end may have under way to this one. */
const MAX_INCOMING = 256

type Of<N extends RelayMessage['type']> = Extract<RelayMessage, { type: N }>

/** A block of the common link that the other end hands on as it is. */
interface DirectBlock {
  readonly secret: QnlBlock['secret']
  readonly sinceMs: number
}

/** What the blocks of a pair that come in depend on. */
export interface ArrivalsOptions extends PairOptions {
  /** True where this site takes shares alone. */
  readonly splitOnly: () => boolean
  readonly hasRoom: () => boolean
}

/** The blocks that the other end of a pair sends to this one, until they are whole or given up. */
export class Arrivals {
  readonly #options: ArrivalsOptions
  readonly #incoming = new Map<bigint, Incoming>()
  readonly #direct = new Map<bigint, DirectBlock>()
  /** Offers that wait for room. */
  #parked: Of<'offer'>[] = []

  constructor(options: ArrivalsOptions) {
    this.#options = options
  }

  /** Blocks under way. */
  get size(): number {
    return this.#incoming.size + this.#direct.size
  }

  /** A block is announced: it is taken in when there is room for it. */
  offer(offer: Of<'offer'>): void {
    this.#parked.push(offer)
    if (this.#parked.length > MAX_INCOMING) this.#refuse(this.#parked.shift()!.transfer, 'too many at once')
    this.admit()
  }

  /** Takes in what waits for room, as far as there is some. */
  admit(): void {
    const parked = this.#parked
    this.#parked = []
    for (const offer of parked) {
      if (this.#options.hasRoom()) this.#open(offer)
      else this.#parked.push(offer)
    }
  }

  /** A share of it may come on this path too. */
  reroute({ transfer, share, path }: Of<'reroute'>): void {
    if (this.#incoming.get(transfer)?.reroute(share, path) === false) this.#drop(transfer, 'shares would meet')
  }

  /** Takes a chunk over. */
  chunk(chunk: Chunk): void {
    const incoming = this.#incoming.get(chunk.transfer)
    if (incoming === undefined) {
      chunk.content.wipe()
      this.#options.onRefused('unannounced')
      return
    }
    this.#taken(incoming, incoming.take(chunk))
  }

  /** A relay of an announced block has spoken. */
  joint(message: Of<'joint'>): void {
    const incoming = this.#incoming.get(message.transfer)
    if (incoming === undefined) this.#options.onRefused('unannounced')
    else this.#taken(incoming, incoming.announce(message))
  }

  #taken(incoming: Incoming, taken: ReturnType<Incoming['take']>): void {
    const { send, onRefused } = this.#options
    const { transfer } = incoming
    if (taken === 'whole') {
      const { weak, tag } = incoming.confirmation
      send({ type: 'confirm', transfer, weak: weak ? 1 : 0, tag })
    } else if (taken !== 'more') {
      onRefused(taken)
      if (taken === 'altered') this.#drop(transfer, 'altered on its way')
    }
  }

  /** The other end asks what is missing. */
  ask({ transfer }: Of<'ask'>): void {
    const incoming = this.#incoming.get(transfer)
    if (incoming !== undefined) this.#options.send({ type: 'missing', transfer, chunks: incoming.missing() })
    else if (!this.#parked.some(offer => offer.transfer === transfer)) this.#refuse(transfer, 'unknown')
  }

  /** The other end's last word on a block: the block if it is right; the caller owns it. */
  done({ transfer, tag }: Of<'done'>): Omit<QnlBlock, 'number'> | undefined {
    const direct = this.#direct.get(transfer)
    const incoming = this.#incoming.get(transfer)
    this.#direct.delete(transfer)
    this.#incoming.delete(transfer)
    if (direct !== undefined) return directBlock(direct.secret, this.#options)
    const block = incoming?.finish(tag)
    if (block !== undefined) return block
    incoming?.wipe()
    if (incoming !== undefined) this.#options.onRefused('altered')
    this.#refuse(transfer, 'not the same at both ends')
    return undefined
  }

  /** The other end gives a block up. */
  forget(transfer: bigint): void {
    this.#incoming.get(transfer)?.wipe()
    this.#incoming.delete(transfer)
    this.#direct.get(transfer)?.secret.wipe()
    this.#direct.delete(transfer)
    this.#parked = this.#parked.filter(offer => offer.transfer !== transfer)
  }

  /** Gives up what takes longer than its life. */
  sweep(): void {
    const oldestMs = performance.now() - this.#options.limits.blockLifeMs
    for (const [transfer, { sinceMs }] of [...this.#incoming, ...this.#direct]) {
      if (sinceMs < oldestMs) this.#drop(transfer, 'too old')
    }
  }

  /** The connection is lost, and with it all that is not whole. */
  clear(): void {
    for (const transfer of [...this.#incoming.keys(), ...this.#direct.keys()]) this.forget(transfer)
    this.#parked = []
  }

  #open(offer: Of<'offer'>): void {
    const { transfer, chunkBytes, paths } = offer
    const { localSiteId: dest, remoteSiteId: source, domainOf, send } = this.#options
    const fault = this.#faultOf(offer)
    if (fault !== undefined) this.#refuse(transfer, fault)
    else if (offer.block !== 0n) this.#openDirect(offer)
    else {
      const kind = { split: offer.split === 1, announced: offer.announced === 1 }
      const incoming = Incoming.open({ source, dest, transfer, ...kind, chunkBytes, paths, domainOf })
      if (incoming === undefined) this.#refuse(transfer, 'not its paths')
      else {
        this.#incoming.set(transfer, incoming)
        send({ type: 'accept', transfer })
      }
    }
  }

  #openDirect({ transfer, block }: Of<'offer'>): void {
    const { remoteSiteId, send, linkTo } = this.#options
    const taken = linkTo(remoteSiteId)?.pool.receiveLane.takeWhole(block)
    if (taken === undefined) this.#refuse(transfer, 'no such block')
    else {
      this.#direct.set(transfer, { secret: taken.secret, sinceMs: performance.now() })
      send({ type: 'confirm', transfer, weak: 0, tag: NO_TAG })
    }
  }

  /** Why a block is not wanted, whatever its paths are. */
  #faultOf({ transfer, split, announced, sizeBytes, chunkBytes, block, paths }: Of<'offer'>): string | undefined {
    const { announces, splitOnly } = this.#options
    const minShares = this.#options.minShares()
    if (sizeBytes !== MATERIAL_BYTES || chunkBytes < MIN_CHUNK_BYTES) return 'malformed'
    if (this.#incoming.has(transfer) || this.#direct.has(transfer)) return 'malformed'
    // A block of the link is no share, whatever else is said of it.
    if (block !== 0n && (split === 1 || announced === 1)) return 'malformed'
    if (splitOnly() && split !== 1) return 'this site takes shares alone'
    if (announced === 1 && !announces) return 'this site takes no announced key'
    return split === 1 && paths.length < minShares ? `fewer shares than ${minShares}` : undefined
  }

  #drop(transfer: bigint, reason: string): void {
    this.forget(transfer)
    this.#refuse(transfer, reason)
  }

  #refuse(transfer: bigint, reason: string): void {
    this.#options.send({ type: 'drop', transfer, reason })
  }
}

/** A block of the common link as the block of the pair that it is. */
export function directBlock(
  secret: QnlBlock['secret'],
  { localSiteId, remoteSiteId, linkTo }: Pick<PairOptions, 'localSiteId' | 'remoteSiteId' | 'linkTo'>,
): Omit<QnlBlock, 'number'> {
  const weak = linkTo(remoteSiteId)?.pool.link.status().secrecy === 'computational'
  const way = relayedWay([[[localSiteId, remoteSiteId]]], Date.now())
  return { remoteSiteId, secret, trustClass: weak ? 'post-quantum' : 'direct', relays: [], way }
}

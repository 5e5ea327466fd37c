import { timingSafeEqual } from 'node:crypto'
import type { QnlBlock } from '../../interface/qnl.ts'
import { splitSecret } from '../../key/pad.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { Chunk, Reservation } from './frame.ts'
import { rangeBytes } from './joint.ts'
import { relayedWay } from './link-news.ts'
import type { PathSet } from './path-set.ts'
import { RelaySets, type SiteDomains } from './relay-sets.ts'
import {
  blockIn,
  chunkCount,
  chunkOf,
  drawMaterial,
  type TransferContext,
  transferTag,
  trustClassOf,
} from './transfer-key.ts'

/** Whom a block is for, and which way it goes. */
export interface OutgoingOptions {
  readonly source: string
  readonly dest: string
  readonly transfer: bigint
  readonly route: PathSet
  readonly chunkBytes: number
  readonly weight: number
  readonly domainOf: SiteDomains
}

/** A block on its way from this site, kept until the other end has confirmed it. */
export class Outgoing {
  readonly transfer: bigint
  readonly route: PathSet
  readonly sinceMs = performance.now()
  readonly #beganMs = Date.now()
  /** When the last of its chunks left this site, or the other end was asked after them. */
  touchedMs = performance.now()
  /** Times that chunks of it were sent again. */
  resent = 0
  accepted = false
  /** Chunks that wait for their first link. */
  #queued = 0
  #leftMs = 0
  readonly #options: OutgoingOptions
  readonly #relays: RelaySets
  readonly #paths: (readonly string[])[]
  /** Of an announced block there once the first link has given it. */
  #material: SecretKey | undefined
  readonly #shares: readonly SecretKey[]
  #weak = false

  private constructor(options: OutgoingOptions, relays: RelaySets) {
    this.transfer = options.transfer
    this.route = options.route
    this.#options = options
    this.#relays = relays
    this.#paths = [...options.route.paths]
    this.#material = options.route.announced ? undefined : drawMaterial()
    this.#shares = this.#material === undefined ? [] : splitSecret(this.#material, this.#paths.length)
  }

  /**
   * Draws a block and its shares, and notes which relay will see which share before any of them is sent (rule R13).
   * Undefined where two shares would meet.
   */
  static open(options: OutgoingOptions): Outgoing | undefined {
    const { paths } = options.route
    const relays = new RelaySets(paths.length, options.domainOf)
    return paths.every((path, share) => relays.admit(share, path)) ? new Outgoing(options, relays) : undefined
  }

  get paths(): readonly (readonly string[])[] {
    return this.#paths
  }

  get queued(): number {
    return this.#queued
  }

  /** So many chunks begin to wait for their first link, and none of those before. */
  queue(chunks: number): void {
    this.#queued = chunks
    this.touchedMs = performance.now()
  }

  /** One of them has left. */
  left(): void {
    this.#queued = Math.max(0, this.#queued - 1)
    if (this.#queued > 0) return
    this.#leftMs = performance.now()
    this.touchedMs = this.#leftMs
  }

  /** All chunks, or those of these numbers, to be sent now. */
  chunks(numbers?: readonly number[]): Chunk[] {
    const { chunkBytes } = this.#options
    const count = chunkCount(chunkBytes)
    const all = numbers ?? Array.from({ length: count * this.#shares.length }, (_, i) => i)
    return all.flatMap(number => {
      const share = Math.floor(number / count)
      const material = this.#shares[share]
      if (material === undefined) return []
      const chunk = number % count
      const content = chunkOf(material, chunk, chunkBytes)
      return [{ ...this.#header(share, chunk), sizeBytes: content.sizeBytes, content, sinceMs: performance.now() }]
    })
  }

  /** What waits for the range of the first link that an announced block is made of. */
  reservation(): Reservation {
    return {
      ...this.#header(0, 0),
      reserves: true,
      sizeBytes: rangeBytes(1),
      sinceMs: performance.now(),
      onRange: range => {
        this.#material = range
      },
      onDropped: () => {},
    }
  }

  /** Which share a chunk of that number belongs to. */
  shareOf(number: number): number {
    return Math.floor(number / chunkCount(this.#options.chunkBytes))
  }

  /** The share goes over this path from now on; false where a relay on it has another share. */
  reroute(share: number, path: readonly string[]): boolean {
    if (!this.#relays.admit(share, path)) return false
    this.#paths[share] = path
    return true
  }

  /** The other end's tag: true if it has the same bytes. */
  confirm(tag: Uint8Array, weak: boolean): boolean {
    if (this.resent === 0 && this.#leftMs > 0) this.route.confirmTime.observe(performance.now() - this.#leftMs)
    this.#weak = weak
    if (this.#material === undefined) return false
    return timingSafeEqual(transferTag(this.#material, { ...this.#context(), relays: [] }, 'dest'), tag)
  }

  /** This end's tag, over everything that both must agree on. */
  get tag(): Buffer {
    return transferTag(this.#material!, this.#context(), 'source')
  }

  /** The block; the caller owns it. The rest is wiped. */
  finish(): Omit<QnlBlock, 'number'> {
    const context = this.#context()
    const secret = blockIn(this.#material!)
    this.wipe()
    const { dest: remoteSiteId } = this.#options
    const way = relayedWay(this.#relays.shares, this.#beganMs)
    return { remoteSiteId, secret, trustClass: trustClassOf(context), relays: context.relays, way }
  }

  wipe(): void {
    this.#material?.wipe()
    for (const share of this.#shares) share.wipe()
  }

  #header(share: number, chunk: number) {
    const { source, dest, transfer, weight } = this.#options
    const path = this.#paths[share]!
    const place = { source, dest, transfer, share, chunk, attempt: this.resent, path, hop: 1 }
    return { ...place, weight, weak: false, reserves: false }
  }

  #context(): TransferContext {
    const { source, dest, transfer, route } = this.#options
    return { source, dest, transfer, split: route.split, relays: this.#relays.relays, weak: this.#weak }
  }
}

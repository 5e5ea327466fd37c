import { timingSafeEqual } from 'node:crypto'
import type { QnlBlock } from '../../interface/qnl.ts'
import { splitSecret } from '../../key/pad.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { Chunk } from './frame.ts'
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
  readonly #material: SecretKey
  readonly #shares: readonly SecretKey[]
  #weak = false

  private constructor(options: OutgoingOptions, relays: RelaySets) {
    this.transfer = options.transfer
    this.route = options.route
    this.#options = options
    this.#relays = relays
    this.#paths = [...options.route.paths]
    this.#material = drawMaterial()
    this.#shares = splitSecret(this.#material, this.#paths.length)
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
    const { source, dest, transfer, chunkBytes, weight } = this.#options
    const count = chunkCount(chunkBytes)
    const all = numbers ?? Array.from({ length: count * this.#shares.length }, (_, i) => i)
    return all.flatMap(number => {
      const share = Math.floor(number / count)
      const material = this.#shares[share]
      if (material === undefined) return []
      const chunk = number % count
      const content = chunkOf(material, chunk, chunkBytes)
      const path = this.#paths[share]!
      const common = { source, dest, transfer, share, chunk, attempt: this.resent, path, hop: 1, weight, weak: false }
      return [{ ...common, sizeBytes: content.sizeBytes, content, sinceMs: performance.now() }]
    })
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
    return timingSafeEqual(transferTag(this.#material, { ...this.#context(), relays: [] }, 'dest'), tag)
  }

  /** This end's tag, over everything that both must agree on. */
  get tag(): Buffer {
    return transferTag(this.#material, this.#context(), 'source')
  }

  /** The block; the caller owns it. The rest is wiped. */
  finish(): Omit<QnlBlock, 'number'> {
    const context = this.#context()
    const secret = blockIn(this.#material)
    this.wipe()
    const { dest: remoteSiteId } = this.#options
    const way = relayedWay(this.#relays.shares, this.#beganMs)
    return { remoteSiteId, secret, trustClass: trustClassOf(context), relays: context.relays, way }
  }

  wipe(): void {
    this.#material.wipe()
    for (const share of this.#shares) share.wipe()
  }

  #context(): TransferContext {
    const { source, dest, transfer, route } = this.#options
    return { source, dest, transfer, split: route.split, relays: this.#relays.relays, weak: this.#weak }
  }
}

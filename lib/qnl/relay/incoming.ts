import { timingSafeEqual } from 'node:crypto'
import type { QnlBlock } from '../../interface/qnl.ts'
import { xorSecrets } from '../../key/pad.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { AnnouncedRange } from './announced-range.ts'
import type { Chunk } from './frame.ts'
import { relayedWay } from './link-news.ts'
import type { RefusedBecause } from './link-traffic.ts'
import { RelaySets, type SiteDomains } from './relay-sets.ts'
import type { RelayMessage } from './relay-wire.ts'
import {
  blockIn,
  chunkCount,
  joinChunks,
  MATERIAL_BYTES,
  type TransferContext,
  transferTag,
  trustClassOf,
} from './transfer-key.ts'

/** Announcements with a wrong tag after which a block is given up: a forgery has then a chance of at most 2^-86. */
const MAX_FORGERIES = 16

/** A block as its source has announced it. */
export interface IncomingOptions {
  readonly source: string
  readonly dest: string
  readonly transfer: bigint
  readonly split: boolean
  readonly chunkBytes: number
  /** Relays announce: one path, and no chunks. */
  readonly announced: boolean
  readonly paths: readonly (readonly string[])[]
  readonly domainOf: SiteDomains
}

/** A block on its way to this site: its shares, chunk by chunk, until they are whole and both tags were right. */
export class Incoming {
  readonly transfer: bigint
  readonly sinceMs = performance.now()
  readonly #beganMs = Date.now()
  readonly #options: IncomingOptions
  readonly #relays: RelaySets
  readonly #paths: Set<string>[]
  readonly #chunks: Map<number, SecretKey>[]
  readonly #announced: AnnouncedRange | undefined
  #weak = false
  #forgeries = 0
  #material: SecretKey | undefined

  private constructor(options: IncomingOptions, relays: RelaySets) {
    this.transfer = options.transfer
    this.#options = options
    this.#relays = relays
    this.#paths = options.paths.map(path => new Set([path.join('\n')]))
    this.#chunks = options.paths.map(() => new Map())
    const { source, dest, transfer, announced, paths } = options
    this.#announced = announced ? new AnnouncedRange({ source, dest, transfer, path: paths[0]! }) : undefined
  }

  /** Undefined where the paths do not lead from source to destination, or two shares meet in a relay. */
  static open(options: IncomingOptions): Incoming | undefined {
    const { paths, source, dest, split, announced, domainOf } = options
    if (paths.length === 0 || (!split && paths.length > 1)) return undefined
    // A link that two shares have in common would open both; a path without a relay has nobody who announces.
    if (announced && (split || paths[0]!.length < 3)) return undefined
    const relays = new RelaySets(paths.length, domainOf)
    const sound = paths.every((path, share) => leads(path, source, dest) && relays.admit(share, path))
    return sound ? new Incoming(options, relays) : undefined
  }

  /** The share may come on this path too; false where that must not be. */
  reroute(share: number, path: readonly string[]): boolean {
    const { source, dest } = this.#options
    if (this.#announced !== undefined || !leads(path, source, dest) || !this.#relays.admit(share, path)) return false
    this.#paths[share]!.add(path.join('\n'))
    return true
  }

  /**
   * Takes a chunk over. `whole` once all are there; a reason where it is refused. `altered` is one that came before with
   * other bytes: somebody on the way changes what it relays.
   */
  take(chunk: Chunk): 'more' | 'whole' | RefusedBecause {
    const { content, share, chunk: index, path } = chunk
    const chunks = this.#chunks[share]
    const known = chunks?.get(index)
    const refuse = (reason: RefusedBecause) => {
      content.wipe()
      return reason
    }
    if (chunks === undefined) return refuse('unannounced')
    if (this.#material !== undefined) return refuse('repeated')
    if (chunk.reserves !== (this.#announced !== undefined)) return refuse('unannounced')
    if (!this.#paths[share]!.has(path.join('\n')) || index >= chunkCount(this.#options.chunkBytes))
      return refuse('unannounced')
    if (this.#announced !== undefined) {
      if (!this.#announced.reserve(content)) return refuse('repeated')
      this.#weak ||= chunk.weak
      return this.#openRange()
    }
    if (known !== undefined) return refuse(known.equals(content) ? 'repeated' : 'altered')
    chunks.set(index, content)
    this.#weak ||= chunk.weak
    if (this.#chunks.some(each => each.size < chunkCount(this.#options.chunkBytes))) return 'more'
    return this.#join() ? 'whole' : 'altered'
  }

  /** Takes a relay's announcement. */
  announce({ path, place, joint, tag }: Extract<RelayMessage, { type: 'joint' }>): 'more' | 'whole' | RefusedBecause {
    const isOurs = this.#material === undefined && this.#paths[0]!.has(path.join('\n'))
    if (!isOurs || this.#announced?.announce(place, { joint, tag }) !== true) return 'unannounced'
    return this.#openRange()
  }

  /** Chunks that are not there, each as share × number of chunks + chunk. */
  missing(): number[] {
    if (this.#material !== undefined) return []
    if (this.#announced !== undefined) return [0]
    const count = chunkCount(this.#options.chunkBytes)
    return this.#chunks.flatMap((chunks, share) =>
      Array.from({ length: count }, (_, i) => i)
        .filter(i => !chunks.has(i))
        .map(i => share * count + i),
    )
  }

  /** This end's tag, once all is there. */
  get confirmation(): { weak: boolean; tag: Buffer } {
    // Relays may still be added by a message under way: the source's tag, which comes after it, covers them.
    return { weak: this.#weak, tag: transferTag(this.#material!, { ...this.#context(), relays: [] }, 'dest') }
  }

  /** The block, if the source's tag is right; the caller owns it. */
  finish(tag: Uint8Array): Omit<QnlBlock, 'number'> | undefined {
    if (this.#material === undefined) return undefined
    const context = this.#context()
    const right = timingSafeEqual(transferTag(this.#material, context, 'source'), tag)
    const block = right ? blockIn(this.#material) : undefined
    this.wipe()
    if (block === undefined) return undefined
    const { source: remoteSiteId } = this.#options
    const way = relayedWay(this.#relays.shares, this.#beganMs)
    return { remoteSiteId, secret: block, trustClass: trustClassOf(context), relays: context.relays, way }
  }

  wipe(): void {
    for (const chunks of this.#chunks) {
      for (const content of chunks.values()) content.wipe()
      chunks.clear()
    }
    this.#announced?.wipe()
    this.#material?.wipe()
    this.#material = undefined
  }

  #openRange(): 'more' | 'whole' | RefusedBecause {
    const opened = this.#announced!.open()
    if (opened === 'more') return 'more'
    if (opened === 'altered') {
      this.#forgeries += 1
      return this.#forgeries > MAX_FORGERIES ? 'altered' : 'wrong tag'
    }
    this.#material = opened
    return 'whole'
  }

  /** False where the chunks do not make a block: their sizes lied. */
  #join(): boolean {
    const shares = this.#chunks.map(chunks => joinChunks([...chunks].sort(([a], [b]) => a - b).map(([, c]) => c)))
    const sound = shares.every(share => share.sizeBytes === MATERIAL_BYTES)
    if (sound) this.#material = xorSecrets(shares)
    for (const share of shares) share.wipe()
    for (const chunks of this.#chunks) for (const content of chunks.values()) content.wipe()
    return sound
  }

  #context(): TransferContext {
    const { source, dest, transfer, split } = this.#options
    return { source, dest, transfer, split, relays: this.#relays.relays, weak: this.#weak }
  }
}

function leads(path: readonly string[], source: string, dest: string): boolean {
  return path.length >= 2 && path[0] === source && path.at(-1) === dest && new Set(path).size === path.length
}

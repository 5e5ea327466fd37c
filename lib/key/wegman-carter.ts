import { timingSafeEqual } from 'node:crypto'
import { InvalidArgumentError, PoolExhaustedError } from '../errors.ts'
import { POLY1305_POINT_BYTES, RunningPoly1305 } from './running-poly1305.ts'
import { bytesOf, type SecretKey } from './secret-key.ts'

/** Bytes of key that a tag costs: the pad that hides it. */
export const TAG_BYTES = 16

/** Key that authentication took and got, in bits; both directions together. */
export interface AuthenticationAccount {
  /** Spent on tags and on fresh points, by this side and by the other. */
  readonly spentBits: number
  /** Put in, the first key included. */
  readonly addedBits: number
  /** Tags that the poorer direction can still carry. */
  readonly remainingTags: number
}

/** How one side tags and checks, and how much key it may spend on it. */
export interface WegmanCarterOptions {
  /** Which half of the key this side tags with: the two sides say different things here. */
  readonly role: 'initiator' | 'responder'
  /**
   * Tags of one direction after which a fresh point is drawn, for what leaks of the pads adds up on a fixed one (Abidin
   * and Larsson, arXiv 1109.5168). Default 1024.
   */
  readonly refreshAfterTags?: number
}

/**
 * Authentication that no computing power breaks (Wegman and Carter 1981): a tag is Poly1305 of the message at a secret
 * point, hidden by a pad that is used once. Each direction has half of the key. Both sides tag and verify in the same
 * order, over a channel that loses nothing; after a tag that does not verify they must start again with another key.
 *
 * A message of L bytes is forged with a probability of at most `forgeryBound(L)`.
 */
export class WegmanCarter {
  readonly #outgoing: Lane
  readonly #incoming: Lane
  readonly #initiates: boolean

  /** @param secret taken over and wiped; as many bytes for each direction, a point and at least one pad */
  constructor(secret: SecretKey, { role, refreshAfterTags = 1024 }: WegmanCarterOptions) {
    this.#outgoing = new Lane(refreshAfterTags)
    this.#incoming = new Lane(refreshAfterTags)
    this.#initiates = role === 'initiator'
    this.replenish(secret)
    for (const lane of this.#first()) lane.drawPoint()
  }

  /** Adds key to both directions, half to each; both sides add the same at the same place of their talk. Wipes `secret`. */
  replenish(secret: SecretKey): void {
    if (secret.sizeBytes % 2 !== 0) throw new InvalidArgumentError('Authentication key comes in two equal halves')
    const bytes = bytesOf(secret)
    const half = bytes.byteLength / 2
    const lanes = this.#first()
    lanes[0].add(bytes.subarray(0, half))
    lanes[1].add(bytes.subarray(half))
    secret.wipe()
  }

  /** A hash for the next message that this side tags. */
  outgoingHash(): RunningPoly1305 {
    return this.#outgoing.hash()
  }

  /** A hash for the next message whose tag this side verifies. */
  incomingHash(): RunningPoly1305 {
    return this.#incoming.hash()
  }

  /**
   * The tag of what went into `hash`, for one pad.
   * @throws {PoolExhaustedError} no pad is left
   */
  tag(hash: RunningPoly1305): Buffer {
    return this.#outgoing.tag(hash)
  }

  /** Whether the other side, and nobody else, tagged what went into `hash`. Costs one pad, whatever the answer. */
  verify(hash: RunningPoly1305, tag: Uint8Array): boolean {
    const expected = this.#incoming.tag(hash)
    return tag.byteLength === TAG_BYTES && timingSafeEqual(expected, tag)
  }

  get account(): AuthenticationAccount {
    const lanes = [this.#outgoing, this.#incoming]
    return {
      spentBits: 8 * (lanes[0]!.spentBytes + lanes[1]!.spentBytes),
      addedBits: 8 * (lanes[0]!.addedBytes + lanes[1]!.addedBytes),
      remainingTags: Math.min(...lanes.map(lane => lane.remainingTags)),
    }
  }

  /** Bytes of key that bring both directions back to `tags` tags: an even number, 0 if they have them. */
  shortfallBytes(tags: number): number {
    const lane = (one: Lane) => Math.max(tags - one.remainingTags, 0) * TAG_BYTES
    return 2 * Math.max(lane(this.#outgoing), lane(this.#incoming))
  }

  /** Overwrites all key that is left. */
  wipe(): void {
    this.#outgoing.wipe()
    this.#incoming.wipe()
  }

  /** The initiator's direction first, at either side. */
  #first(): readonly [Lane, Lane] {
    return this.#initiates ? [this.#outgoing, this.#incoming] : [this.#incoming, this.#outgoing]
  }
}

/** Highest probability, over the secret point, that another message of at most so many bytes has the tag of a known one. */
export function forgeryBound(sizeBytes: number): number {
  return (8 * Math.ceil(sizeBytes / 16 + 1)) / 2 ** 106
}

/** The key of one direction: a point, and pads in the order in which they came. */
class Lane {
  spentBytes = 0
  addedBytes = 0
  readonly #point = new Uint8Array(POLY1305_POINT_BYTES)
  readonly #refreshAfterTags: number
  #tags = 0
  #chunks: Uint8Array[] = []
  #at = 0

  constructor(refreshAfterTags: number) {
    this.#refreshAfterTags = refreshAfterTags
  }

  get remainingTags(): number {
    const bytes = this.#chunks.reduce((total, chunk) => total + chunk.byteLength, -this.#at)
    return Math.floor(bytes / TAG_BYTES)
  }

  add(bytes: Uint8Array): void {
    const own = Buffer.allocUnsafeSlow(bytes.byteLength)
    own.set(bytes)
    this.#chunks.push(own)
    this.addedBytes += bytes.byteLength
  }

  hash(): RunningPoly1305 {
    return new RunningPoly1305(this.#point)
  }

  tag(hash: RunningPoly1305): Buffer {
    const pad = this.#draw()
    const tag = hash.finish(pad)
    pad.fill(0)
    if (++this.#tags % this.#refreshAfterTags === 0) this.drawPoint()
    return tag
  }

  drawPoint(): void {
    const drawn = this.#draw()
    this.#point.set(drawn)
    drawn.fill(0)
  }

  wipe(): void {
    this.#point.fill(0)
    for (const chunk of this.#chunks) chunk.fill(0)
    this.#chunks = []
    this.#at = 0
  }

  /** The next 16 bytes; chunks need not end on a pad's end. */
  #draw(): Uint8Array {
    if (this.remainingTags === 0) throw new PoolExhaustedError('The authentication key of the link is used up')
    const drawn = new Uint8Array(TAG_BYTES)
    for (let filled = 0; filled < TAG_BYTES; ) {
      const chunk = this.#chunks[0]!
      const take = Math.min(TAG_BYTES - filled, chunk.byteLength - this.#at)
      drawn.set(chunk.subarray(this.#at, this.#at + take), filled)
      chunk.fill(0, this.#at, this.#at + take)
      filled += take
      this.#at += take
      if (this.#at < chunk.byteLength) continue
      this.#chunks.shift()
      this.#at = 0
    }
    this.spentBytes += TAG_BYTES
    return drawn
  }
}

import { randomBytes } from 'node:crypto'
import type { Link } from '../../interface/link.ts'
import type { LinkStock } from '../../interface/link-stock.ts'
import type { Logger } from '../../interface/logger.ts'
import { BLOCK_BYTES } from '../../key/cells.ts'
import type { PadRange } from './frame.ts'
import { FreshKey, type LooseBlock } from './fresh-key.ts'
import { ReceiveLane } from './receive-lane.ts'
import { type LinkHello, NONCE_BYTES, type RelayMessage } from './relay-wire.ts'
import { SendLane } from './send-lane.ts'

/** Blocks that one reservation asks for at most, and reservations of the other end that may wait for their blocks. */
const MAX_LEASE_BLOCKS = 32
const MAX_PARKED = 256
/** A block that the other end does not have by then will not come to it: its buffer died with its process, say. */
const DEAD_MS = 5000
/** What is kept reserved ahead of need: the price of a crash or a lost connection. */
const AHEAD_BYTES = 2 * BLOCK_BYTES

type Lease = Extract<RelayMessage, { type: 'lease' }>
type Leased = Extract<RelayMessage, { type: 'leased' }>

/** The link whose key it is, and the way to its other end. */
export interface LinkPoolOptions {
  readonly link: Link
  readonly stock: LinkStock
  readonly maxBlocks: number
  readonly settleMs: number
  readonly logger: Logger
  /** Sends to the other end of the link, if there is a connection. */
  readonly send: (message: RelayMessage) => void
  /** More key can be drawn. */
  readonly onKey: () => void
  /** Key was destroyed unused. */
  readonly onBurned: (bytes: number, reason: string) => void
}

/**
 * The key of one link, at one end. It has two lanes, one for each end to encrypt with. A block comes into a lane when
 * the end that wants it has given it up in its own stock, durably, asked the other end, and heard that it did the same
 * (rule L1): from then on the block lives in two processes and on no disk, so that nothing that is put back, restarted
 * or sent again can encrypt with it a second time. A lost connection burns what is in the lanes.
 *
 * Each end asks for blocks of its own parity, and for others where those run out; of two that ask for the same block at
 * once, the end of its parity has it.
 */
export class LinkPool {
  readonly linkId: string
  readonly remoteSiteId: string
  readonly sendLane = new SendLane()
  readonly receiveLane = new ReceiveLane()
  readonly #options: LinkPoolOptions
  readonly #fresh: FreshKey
  readonly #parity: bigint
  /** Reservations without an answer. */
  readonly #asked = new Map<string, { readonly blocks: Map<bigint, LooseBlock>; readonly sinceMs: number }>()
  /** Blocks that are being given up to ask for them. */
  #leaving: readonly bigint[] = []
  /** Blocks that the other end asked for before they came to this one. */
  readonly #parked = new Map<bigint, Lease>()
  #session = 0
  #up = false
  #leasing = false
  #wantedBytes = 0

  constructor(options: LinkPoolOptions) {
    const { link, stock, maxBlocks, settleMs, logger } = options
    this.#options = options
    this.linkId = link.linkId
    this.remoteSiteId = link.remoteSiteId
    this.#parity = link.localSiteId < link.remoteSiteId ? 0n : 1n
    const onBlock = (number: bigint) => this.#arrived(number)
    this.#fresh = new FreshKey({ link, stock, maxBlocks, settleMs, logger, onBlock })
  }

  get link(): Link {
    return this.#options.link
  }

  /** Key that is there and unused, in bits. */
  get stockBits(): number {
    return 8 * (this.#fresh.sizeBytes + this.sendLane.sizeBytes)
  }

  /** True while both ends have met and agree on what they have. */
  get up(): boolean {
    return this.#up
  }

  async open(): Promise<void> {
    await this.#fresh.open()
  }

  /** What this end says of the link when it meets the other. */
  hello(): LinkHello {
    const { commits, heard, taken } = this.#fresh
    const asked = [...this.#asked.values()].flatMap(({ blocks }) => [...blocks.keys()])
    const numbers = [...this.#fresh.numbers(), ...asked, ...this.#leaving]
    return { linkId: this.linkId, commits, heardCommits: heard, taken, numbers }
  }

  /**
   * The other end's word at the beginning of a connection. Key that it lacks and will not get is destroyed; all of it
   * where either store is older than what the other end heard of it (rules R4 to R6).
   */
  async meet(theirs: LinkHello): Promise<void> {
    const session = this.#session
    const lost = theirs.heardCommits > this.#fresh.commits || this.#fresh.heard > theirs.commits
    const has = new Set(theirs.numbers)
    const dead = this.#fresh.numbers().filter(number => lost || (number <= theirs.taken && !has.has(number)))
    const burned = await this.#fresh.discard(dead)
    if (lost) await this.#fresh.advance(theirs.heardCommits)
    this.#burned(BLOCK_BYTES * burned, lost ? 'put back' : 'not at the other end')
    this.#fresh.hear(theirs.commits)
    if (session !== this.#session) return
    this.#up = true
    this.#replenish()
    this.#options.onKey()
  }

  /**
   * What the other end has by now: key that it lacks and will not get is destroyed, so that the stock of neither end fills
   * up with what is of no use to both.
   */
  async compare({ taken, numbers }: LinkHello): Promise<void> {
    const has = new Set(numbers)
    const old = new Set(this.#fresh.olderThan(DEAD_MS))
    const dead = this.#fresh.numbers().filter(number => !has.has(number) && (number <= taken || old.has(number)))
    this.#burned(BLOCK_BYTES * (await this.#fresh.discard(dead)), 'not at the other end')
  }

  /** Tells the other end what is here, and gives up what it does not answer for. To be called every now and then. */
  sweep(): void {
    if (!this.#up) return
    const nowMs = performance.now()
    for (const [key, { blocks, sinceMs }] of this.#asked) {
      if (nowMs - sinceMs < DEAD_MS) continue
      this.#asked.delete(key)
      for (const { secret } of blocks.values()) this.#burned(wiped(secret), 'no answer')
    }
    this.#options.send({ type: 'stock', link: this.hello() })
    this.#replenish()
  }

  /** The connection is lost: nobody knows which of the lanes' bytes the other end saw, so none is used any more. */
  part(): void {
    this.#session += 1
    this.#up = false
    let burned = this.sendLane.wipe()
    for (const { blocks } of this.#asked.values()) for (const { secret } of blocks.values()) burned += wiped(secret)
    this.#asked.clear()
    this.#parked.clear()
    this.receiveLane.wipe()
    if (burned > 0) this.#options.onBurned(burned, 'connection lost')
  }

  /** Tells how many bytes wait for pads, so that as many are reserved ahead. */
  want(bytes: number): void {
    this.#wantedBytes = bytes
    this.#replenish()
  }

  /** The other end asks for blocks: those that are free are given up, durably, before it hears so. */
  async lease(message: Lease): Promise<void> {
    this.#fresh.hear(message.commits)
    const free: bigint[] = []
    const refused: bigint[] = []
    const yielded: LooseBlock[] = []
    for (const number of message.numbers) {
      const own = this.#takeBack(number)
      if (own !== undefined) yielded.push(own)
      else if (this.#fresh.has(number)) free.push(number)
      else if (number > this.#fresh.taken && this.#parked.size < MAX_PARKED) this.#parked.set(number, message)
      else refused.push(number)
    }
    await this.#give(message, free, { yielded, refused })
  }

  /** The other end's answer. */
  leased({ nonce, commits, granted, refused }: Leased): void {
    this.#fresh.hear(commits)
    const key = nonceKey(nonce)
    const blocks = this.#asked.get(key)?.blocks
    // An answer to nobody: of an earlier connection, or made up.
    if (blocks === undefined) return
    for (const number of granted) {
      const block = blocks.get(number)
      if (block !== undefined) this.sendLane.add(block)
      blocks.delete(number)
    }
    for (const number of refused) {
      const block = blocks.get(number)
      if (block !== undefined) this.#burned(wiped(block.secret), 'refused')
      blocks.delete(number)
    }
    if (blocks.size === 0) this.#asked.delete(key)
    this.#replenish()
    if (granted.length > 0) this.#options.onKey()
  }

  /** A frame over these pads had a wrong tag: after too many their blocks are burned. */
  forged(ranges: readonly PadRange[]): void {
    this.#burned(this.receiveLane.forged(ranges), 'forged')
  }

  async close(): Promise<void> {
    this.part()
    await this.#fresh.close()
  }

  #arrived(number: bigint): void {
    const waiting = this.#parked.get(number)
    this.#parked.delete(number)
    // Blocks come in ascending order: what is below this one and is not here never comes.
    for (const [missed, lease] of this.#parked) {
      if (missed > number) continue
      this.#parked.delete(missed)
      void this.#give(lease, [], { yielded: [], refused: [missed] })
    }
    if (waiting === undefined) this.#replenish()
    else void this.#give(waiting, [number], { yielded: [], refused: [] })
  }

  async #give(
    { linkId, nonce }: Lease,
    free: readonly bigint[],
    { yielded, refused }: { yielded: readonly LooseBlock[]; refused: readonly bigint[] },
  ): Promise<void> {
    const session = this.#session
    const given = await this.#fresh.release(free).catch(error => {
      this.#options.logger.warn({ linkId, error: String(error) }, 'Link key could not be given up')
      return []
    })
    const granted = [...yielded, ...given]
    if (session !== this.#session) {
      for (const { secret } of granted) secret.wipe()
      return
    }
    for (const block of granted) this.receiveLane.add(block)
    const numbers = new Set(granted.map(({ number }) => number))
    const no = [...refused, ...free.filter(number => !numbers.has(number))]
    if (numbers.size + no.length === 0) return
    this.#options.send({
      type: 'leased',
      linkId,
      nonce,
      commits: this.#fresh.commits,
      granted: [...numbers],
      refused: no,
    })
  }

  /** A block that this end has asked for and not heard of, and that is the other end's by its parity. */
  #takeBack(number: bigint): LooseBlock | undefined {
    if ((number & 1n) === this.#parity) return undefined
    for (const { blocks } of this.#asked.values()) {
      const block = blocks.get(number)
      if (block !== undefined && blocks.delete(number)) return block
    }
    return undefined
  }

  #replenish(): void {
    if (!this.#up || this.#leasing) return
    let underWay = 0
    for (const { blocks } of this.#asked.values()) underWay += blocks.size
    const shortBytes = AHEAD_BYTES + this.#wantedBytes - this.sendLane.sizeBytes - underWay * BLOCK_BYTES
    const short = Math.min(MAX_LEASE_BLOCKS, Math.ceil(shortBytes / BLOCK_BYTES))
    if (short <= 0) return
    const numbers = this.#choose(short)
    if (numbers.length === 0) return
    this.#leasing = true
    void this.#ask(numbers).finally(() => {
      this.#leasing = false
      // Reading the stock may have taken long enough for more to be wanted.
      if (this.#up) this.#replenish()
    })
  }

  /** The oldest blocks of this end's parity; then, while there are many, of the other one's. */
  #choose(short: number): bigint[] {
    const [own, others]: [bigint[], bigint[]] = [[], []]
    for (const number of this.#fresh.numbers()) ((number & 1n) === this.#parity ? own : others).push(number)
    const chosen = own.slice(0, short)
    // Two are left to the other end, which may want them at this moment.
    if (chosen.length < short)
      chosen.push(...others.slice(0, Math.max(0, Math.min(short - chosen.length, others.length - 2))))
    return chosen
  }

  async #ask(numbers: readonly bigint[]): Promise<void> {
    const session = this.#session
    this.#leaving = numbers
    const blocks = await this.#fresh.release(numbers).catch(error => {
      this.#options.logger.warn({ linkId: this.linkId, error: String(error) }, 'Link key could not be reserved')
      return []
    })
    if (session !== this.#session || blocks.length === 0) {
      this.#leaving = []
      for (const { secret } of blocks) this.#burned(wiped(secret), 'connection lost')
      return
    }
    const nonce = randomBytes(NONCE_BYTES)
    this.#asked.set(nonceKey(nonce), {
      blocks: new Map(blocks.map(block => [block.number, block])),
      sinceMs: performance.now(),
    })
    this.#leaving = []
    const { linkId } = this
    const asked = blocks.map(({ number }) => number)
    this.#options.send({ type: 'lease', linkId, nonce, commits: this.#fresh.commits, numbers: asked })
  }

  #burned(bytes: number, reason: string): void {
    if (bytes > 0) this.#options.onBurned(bytes, reason)
  }
}

function nonceKey(nonce: Uint8Array): string {
  return Buffer.from(nonce).toString('latin1')
}

function wiped(secret: LooseBlock['secret']): number {
  const { sizeBytes } = secret
  secret.wipe()
  return sizeBytes
}

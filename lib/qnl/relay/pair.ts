import type { ClosedError } from '../../errors.ts'
import type { NextBlockOptions, QnlBlock } from '../../interface/qnl.ts'
import { BLOCK_BYTES } from '../../key/cells.ts'
import { BlockNumbers } from '../../util/block-numbers.ts'
import { Arrivals, directBlock } from './arrivals.ts'
import { type Chunk, dropWaiting, type Waiting } from './frame.ts'
import type { LinkTraffic, RefusedBecause } from './link-traffic.ts'
import { Outgoing } from './outgoing.ts'
import type { PathSet } from './path-set.ts'
import { ReadyBlocks } from './ready-blocks.ts'
import type { RelayLimits } from './relay-options.ts'
import type { SiteDomains } from './relay-sets.ts'
import type { RelayMessage } from './relay-wire.ts'
import { MATERIAL_BYTES, NO_TAG } from './transfer-key.ts'

/** Content that may wait for a link before no more blocks are begun over it. */
const MAX_QUEUED_BYTES = 8 * BLOCK_BYTES

type Of<N extends RelayMessage['type']> = Extract<RelayMessage, { type: N }>

/** The two ends of a pair, and what both agree on. */
export interface PairOptions {
  readonly localSiteId: string
  readonly remoteSiteId: string
  readonly limits: RelayLimits
  readonly domainOf: SiteDomains
  /** The fewest shares of a key that this site wants now. */
  readonly minShares: () => number
  /** This site takes blocks whose relays announce. */
  readonly announces: boolean
  /** The link to a neighbour. */
  readonly linkTo: (siteId: string) => LinkTraffic | undefined
  /** Sends to the other end of the pair, if there is a connection. */
  readonly send: (message: RelayMessage) => void
  readonly onRefused: (reason: RefusedBecause) => void
}

/** A block of a link that is handed on as it is. */
interface DirectBlock {
  readonly secret: QnlBlock['secret']
  readonly route: PathSet
  readonly sinceMs: number
}

/**
 * The blocks between this site and one other. Either end sends blocks along the paths of its own plan; a block that is
 * confirmed gets its number from the site that sorts first, so that both ends hand them out in one ascending order,
 * whichever came first and from whichever side.
 */
export class Pair {
  readonly #options: PairOptions
  readonly #ready = new ReadyBlocks(() => this.#onTake())
  readonly #transfers = new BlockNumbers()
  readonly #numbers = new BlockNumbers()
  readonly #outgoing = new Map<bigint, Outgoing>()
  readonly #arrivals: Arrivals
  readonly #direct = new Map<bigint, DirectBlock>()
  /** Confirmed blocks of this end that wait for their number from the other. */
  readonly #unnumbered = new Map<bigint, Omit<QnlBlock, 'number'>>()
  #routes: readonly PathSet[] = []
  #weight = 1
  /** True where this site takes shares alone. */
  #splitOnly = false
  #up = false
  #told = 0n
  #turn = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: PairOptions) {
    this.#options = options
    this.#arrivals = new Arrivals({
      ...options,
      splitOnly: () => this.#splitOnly,
      // More than this end makes itself: what the other one has begun is worth its pads.
      hasRoom: () => this.#hasRoomFor(2 * options.limits.readyBlocks),
    })
  }

  get #numbering(): boolean {
    return this.#options.localSiteId < this.#options.remoteSiteId
  }

  get readyBits(): number {
    return this.#ready.size * BLOCK_BYTES * 8
  }

  /** The next block for the KMS. */
  take(options: NextBlockOptions): Promise<QnlBlock> {
    return this.#ready.take(options)
  }

  get waiting(): number {
    return this.#ready.waiting
  }

  /** The paths of the present plan. What is under way on others goes on until it must be sent again. */
  setRoutes(routes: readonly PathSet[], { weight, splitOnly }: { weight: number; splitOnly: boolean }): void {
    const old = new Map(this.#routes.map(route => [route.key, route]))
    this.#routes = routes.map(route => route.follow(old.get(route.key)))
    this.#weight = Math.min(0xffff, Math.max(16, Math.round(weight * 256)))
    this.#splitOnly = splitOnly
    this.pump()
  }

  /** A connection to the other end is there. */
  begin(): void {
    this.#up = true
    this.#told = 0n
    this.#tellFloor()
    this.pump()
  }

  /** It is lost: blocks that are not whole at both ends are lost with it. */
  part(): void {
    this.#up = false
    for (const transfer of [...this.#outgoing.keys()]) this.#endOutgoing(transfer)
    for (const { secret } of [...this.#direct.values(), ...this.#unnumbered.values()]) secret.wipe()
    for (const route of this.#routes) route.underWay = 0
    this.#direct.clear()
    this.#unnumbered.clear()
    this.#arrivals.clear()
  }

  /** Begins as many blocks as the paces, the connection and the KMS's wish allow. */
  pump(): void {
    clearTimeout(this.#timer)
    this.#arrivals.admit()
    // In turns, and each time from another one on, so that none is left without room by those before it.
    this.#turn += 1
    let waitMs = Number.POSITIVE_INFINITY
    let waiting = this.#routes.map((_, i) => this.#routes[(i + this.#turn) % this.#routes.length]!)
    while (waiting.length > 0) {
      waiting = waiting.filter(route => {
        const routeMs = route.waitMs(performance.now())
        if (routeMs === 0) return this.#begin(route)
        waitMs = Math.min(waitMs, routeMs)
        return false
      })
    }
    if (waitMs < 2 ** 31) this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs)).unref()
  }

  /** A chunk for this end has come. */
  chunk(chunk: Chunk): void {
    this.#arrivals.chunk(chunk)
  }

  /** A chunk of a block of this end has left. */
  sent(transfer: bigint): void {
    this.#outgoing.get(transfer)?.left()
  }

  /** A message of the other end about a block. */
  message(message: RelayMessage): void {
    switch (message.type) {
      case 'offer':
        this.#arrivals.offer(message)
        return
      case 'accept':
        this.#onAccept(message)
        return
      case 'reroute':
        this.#arrivals.reroute(message)
        return
      case 'joint':
        this.#arrivals.joint(message)
        return
      case 'confirm':
        this.#onConfirm(message)
        return
      case 'done':
        this.#onDone(message)
        return
      case 'numbered':
        this.#onNumbered(message)
        return
      case 'drop':
        this.#forget(message.transfer)
        this.#arrivals.forget(message.transfer)
        this.pump()
        return
      case 'ask':
        this.#arrivals.ask(message)
        return
      case 'missing':
        this.#onMissing(message)
        return
      case 'floor':
        this.#numbers.startAbove(message.number)
        return
      default:
    }
  }

  /** Gives up what takes too long, and asks after what might be lost. To be called every now and then. */
  sweep(): void {
    const nowMs = performance.now()
    const { blockLifeMs, resendMs } = this.#options.limits
    const patience = { leastMs: resendMs, mostMs: blockLifeMs / 2 }
    this.#arrivals.sweep()
    for (const [transfer, { sinceMs }] of [...this.#outgoing, ...this.#direct]) {
      if (nowMs - sinceMs > blockLifeMs) this.#drop(transfer, 'too old')
    }
    for (const [transfer, outgoing] of this.#outgoing) {
      if (!outgoing.accepted || (outgoing.queued > 0 && !this.#waitsInVain(outgoing))) continue
      const waitMs = outgoing.route.confirmTime.patienceMs(patience) * 2 ** Math.min(4, outgoing.resent)
      if (nowMs - outgoing.touchedMs < waitMs) continue
      outgoing.touchedMs = nowMs
      this.#options.send({ type: 'ask', transfer })
    }
    this.pump()
  }

  close(error: ClosedError): void {
    clearTimeout(this.#timer)
    this.part()
    this.#routes = []
    this.#ready.close(error)
  }

  #onTake(): void {
    const { floor } = this.#ready
    if (this.#numbering) this.#numbers.startAbove(floor)
    else this.#tellFloor()
    this.pump()
  }

  #tellFloor(): void {
    const { floor } = this.#ready
    if (this.#numbering || !this.#up || floor <= this.#told) return
    // What the other end numbered it knows itself; only a jump is news.
    if (floor > this.#numbers.last) this.#options.send({ type: 'floor', number: floor })
    this.#told = floor
  }

  /** Numbers of the two ends never meet. */
  #nextTransfer(): bigint {
    return 2n * this.#transfers.next() + (this.#numbering ? 0n : 1n)
  }

  get #underWay(): number {
    return this.#outgoing.size + this.#direct.size + this.#unnumbered.size + this.#arrivals.size
  }

  /**
   * Blocks on their way do not count as waiting for the KMS: over a slow network they are many, and a pair that stood still
   * for them would not come to its rate. They have a bound of their own.
   */
  #hasRoomFor(readyBlocks: number): boolean {
    const { size, waiting } = this.#ready
    return size < readyBlocks + waiting && this.#underWay < 2 * readyBlocks + waiting
  }

  #begin(route: PathSet): boolean {
    if (!this.#up || !this.#hasRoomFor(this.#options.limits.readyBlocks)) return false
    if (this.#splitOnly && !route.split) return false
    const links = route.paths.map(path => this.#options.linkTo(path[1]!))
    if (links.some(link => link === undefined || !link.pool.up || link.queuedBytes > MAX_QUEUED_BYTES)) return false
    return route.direct ? this.#beginDirect(route, links[0]!) : this.#beginRelayed(route)
  }

  #beginRelayed(route: PathSet): boolean {
    const { localSiteId: source, remoteSiteId: dest, limits, domainOf, send } = this.#options
    const { chunkBytes } = limits
    const transfer = this.#nextTransfer()
    const outgoing = Outgoing.open({ source, dest, transfer, route, chunkBytes, weight: this.#weight, domainOf })
    if (outgoing === undefined) return false
    this.#outgoing.set(transfer, outgoing)
    route.spend(performance.now())
    const kind = { split: route.split ? 1 : 0, announced: route.announced ? 1 : 0 }
    send({ type: 'offer', transfer, ...kind, sizeBytes: MATERIAL_BYTES, chunkBytes, block: 0n, paths: outgoing.paths })
    return true
  }

  #beginDirect(route: PathSet, { pool, queuedBytes }: LinkTraffic): boolean {
    const block = pool.sendLane.takeWhole()
    pool.want(queuedBytes + 2 * BLOCK_BYTES)
    if (block === undefined) return false
    const transfer = this.#nextTransfer()
    this.#direct.set(transfer, { secret: block.secret, route, sinceMs: performance.now() })
    route.spend(performance.now())
    const common = { sizeBytes: MATERIAL_BYTES, chunkBytes: MATERIAL_BYTES, paths: route.paths }
    this.#options.send({ type: 'offer', transfer, split: 0, announced: 0, block: block.number, ...common })
    return true
  }

  #onAccept({ transfer }: Of<'accept'>): void {
    const outgoing = this.#outgoing.get(transfer)
    if (outgoing === undefined || outgoing.accepted) return
    outgoing.accepted = true
    this.#enqueue(outgoing, outgoing.route.announced ? [outgoing.reservation()] : outgoing.chunks())
  }

  #onConfirm({ transfer, weak, tag }: Of<'confirm'>): void {
    const direct = this.#direct.get(transfer)
    const outgoing = this.#outgoing.get(transfer)
    if (direct !== undefined) {
      this.#direct.delete(transfer)
      direct.route.underWay -= 1
      this.#number(transfer, directBlock(direct.secret, this.#options), NO_TAG)
    } else if (outgoing !== undefined) {
      if (!outgoing.confirm(tag, weak === 1)) {
        this.#options.onRefused('altered')
        this.#drop(transfer, 'not the same at both ends')
        return
      }
      const sourceTag = outgoing.tag
      const block = outgoing.finish()
      this.#endOutgoing(transfer)
      this.#number(transfer, block, sourceTag)
    }
    this.pump()
  }

  /** This end's block is whole at the other: it gets its number, here or there. */
  #number(transfer: bigint, block: Omit<QnlBlock, 'number'>, tag: Uint8Array): void {
    const number = this.#numbering ? this.#numbers.next() : 0n
    if (this.#numbering) this.#deliver({ ...block, number })
    else this.#unnumbered.set(transfer, block)
    this.#options.send({ type: 'done', transfer, number, tag })
  }

  #onDone(message: Of<'done'>): void {
    const { transfer } = message
    const block = this.#arrivals.done(message)
    if (block !== undefined && this.#numbering) {
      const number = this.#numbers.next()
      this.#deliver({ ...block, number })
      this.#options.send({ type: 'numbered', transfer, number })
    } else if (block !== undefined) this.#deliver({ ...block, number: message.number })
    this.pump()
  }

  #onNumbered({ transfer, number }: Of<'numbered'>): void {
    const block = this.#unnumbered.get(transfer)
    if (block === undefined) return
    this.#unnumbered.delete(transfer)
    this.#deliver({ ...block, number })
    this.pump()
  }

  #deliver(block: QnlBlock): void {
    if (!this.#numbering) this.#numbers.startAbove(block.number)
    this.#ready.push(block)
  }

  #onMissing({ transfer, chunks }: Of<'missing'>): void {
    const outgoing = this.#outgoing.get(transfer)
    if (outgoing === undefined || chunks.length === 0) return
    if (outgoing.route.announced) {
      // A range never serves a second announcement: the next block takes others.
      this.#drop(transfer, 'not all was announced')
      return
    }
    outgoing.resent += 1
    for (const share of new Set(chunks.map(number => outgoing.shareOf(number)))) {
      if (this.#keepPath(outgoing, share)) continue
      this.#drop(transfer, 'no path for a share is left')
      return
    }
    const waits = (chunk: Waiting) => chunk.transfer === transfer && chunk.source === this.#options.localSiteId
    for (const path of outgoing.paths) this.#options.linkTo(path[1]!)?.discard(waits)
    this.#enqueue(outgoing, outgoing.chunks(chunks))
  }

  /** Finds another path for a share whose own is no longer in the plan or has lost its first link. */
  #keepPath(outgoing: Outgoing, share: number): boolean {
    const usable = (path: readonly string[]) => this.#options.linkTo(path[1]!)?.pool.up === true
    const current = outgoing.paths[share]!
    const planned = this.#plannedFor(outgoing)
    if (planned.some(path => isSame(path, current)) && usable(current)) return true
    for (const path of planned) {
      if (!usable(path) || !outgoing.reroute(share, path)) continue
      this.#options.send({ type: 'reroute', transfer: outgoing.transfer, share, path })
      return true
    }
    return usable(current)
  }

  /** Paths of the present plan that a share of it may take. */
  #plannedFor({ route }: Outgoing): readonly (readonly string[])[] {
    return this.#routes.filter(({ split }) => split === route.split).flatMap(({ paths }) => paths)
  }

  /** Chunks wait at a first link that has no connection or no key, or that the plan has left: nothing will fetch them. */
  #waitsInVain(outgoing: Outgoing): boolean {
    const planned = this.#plannedFor(outgoing)
    return outgoing.paths.some(path => {
      const pool = this.#options.linkTo(path[1]!)?.pool
      const flows = pool?.up === true && pool.link.status().state !== 'down'
      return !flows || !planned.some(other => isSame(other, path))
    })
  }

  #enqueue(outgoing: Outgoing, chunks: readonly Waiting[]): void {
    // Before the first is queued: it may leave at once.
    outgoing.queue(chunks.length)
    for (const chunk of chunks) {
      const link = this.#options.linkTo(chunk.path[1]!)
      if (link?.enqueue(chunk) === true) continue
      dropWaiting(chunk)
      outgoing.left()
    }
  }

  #drop(transfer: bigint, reason: string): void {
    this.#forget(transfer)
    this.#options.send({ type: 'drop', transfer, reason })
  }

  #forget(transfer: bigint): void {
    this.#endOutgoing(transfer)
    const direct = this.#direct.get(transfer)
    if (direct !== undefined) direct.route.underWay -= 1
    for (const blocks of [this.#direct, this.#unnumbered]) {
      blocks.get(transfer)?.secret.wipe()
      blocks.delete(transfer)
    }
  }

  #endOutgoing(transfer: bigint): void {
    const outgoing = this.#outgoing.get(transfer)
    if (outgoing === undefined) return
    this.#outgoing.delete(transfer)
    outgoing.route.underWay = Math.max(0, outgoing.route.underWay - 1)
    for (const path of outgoing.paths) {
      this.#options
        .linkTo(path[1]!)
        ?.discard(chunk => chunk.transfer === transfer && chunk.source === this.#options.localSiteId)
    }
    outgoing.wipe()
  }
}

function isSame(path: readonly string[], other: readonly string[]): boolean {
  return path.join('\n') === other.join('\n')
}

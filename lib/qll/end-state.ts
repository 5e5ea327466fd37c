import { ClosedError, InvalidArgumentError } from '../errors.ts'
import type { AbortOptions, Unsubscribe } from '../interface/lifecycle.ts'
import type { LinkBlock, LinkKind, LinkSecrecy, LinkState, LinkStatus } from '../interface/link.ts'
import { AsyncQueue } from '../util/async-queue.ts'
import { Listeners } from '../util/listeners.ts'
import { type EndIdentity, MAX_NUMBER } from './quantum-wire.ts'
import type { CheckedLinkOptions } from './simulated-link-options.ts'

/** Callers that may wait for a block at one end. */
const MAX_WAITING = 1024

/** Kinds of links whose key does not rest on photons. */
const SECRECY: Partial<Record<LinkKind, LinkSecrecy>> = { simulated: 'none', 'post-quantum': 'computational' }

/** Kinds of links that are what they say: all others stand for one with photons, or for nothing. */
const GENUINE: ReadonlySet<LinkKind> = new Set(['post-quantum', 'device'])

/** What either end of a link has: the blocks that wait to be taken, and the state that it shows. */
export class EndState {
  readonly options: CheckedLinkOptions
  readonly #blocks = new AsyncQueue<LinkBlock>()
  readonly #listeners = new Listeners<LinkStatus>()
  #state: LinkState = 'down'
  #reason: string | undefined = 'Not connected yet'
  #rateBps = 0
  #qber: number | undefined
  #floor = 0n
  readonly #kind: LinkKind

  /** `kind` is what the link calls itself. */
  constructor(options: CheckedLinkOptions, kind: LinkKind = 'simulated') {
    this.options = options
    this.#kind = kind
    options.telemetry?.gauge('link_up', { link: options.linkId }, 0)
    this.#measure()
  }

  /** Blocks for which this end still has room. */
  get roomBlocks(): number {
    return this.options.bufferBlocks - this.#blocks.size
  }

  /** Numbers at or below it are spent at this end's taker. */
  get floor(): bigint {
    return this.#floor
  }

  get closed(): boolean {
    return this.#blocks.ended
  }

  /** This end as it names itself to the other one. */
  identity(rateBps: number): EndIdentity {
    const { linkId, localSiteId, remoteSiteId, blockSizeBytes } = this.options
    return { linkId, siteId: localSiteId, peerSiteId: remoteSiteId, blockSizeBytes, rateBps }
  }

  status(): LinkStatus {
    const { linkId, localSiteId, remoteSiteId, blockSizeBytes } = this.options
    return {
      linkId,
      localSiteId,
      remoteSiteId,
      kind: this.#kind,
      secrecy: SECRECY[this.#kind] ?? 'quantum',
      simulated: !GENUINE.has(this.#kind),
      state: this.#state,
      reason: this.#reason,
      rateBps: this.#rateBps,
      qber: this.#qber,
      bufferedBits: this.#blocks.size * blockSizeBytes * 8,
      blockSizeBytes,
    }
  }

  onStatus(listener: (status: LinkStatus) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  /** Connected, and yielding `rateBps` of the `nominalBps` that the link was set up for. */
  up(rateBps: number, nominalBps: number): void {
    if (rateBps >= nominalBps) this.#change('up', undefined, rateBps)
    else this.#change('degraded', `Yields ${rateBps} of ${nominalBps} b/s`, rateBps)
  }

  /** Connected, and yielding `rateBps`, but not as it should. */
  degraded(reason: string, rateBps: number): void {
    this.#change('degraded', reason, rateBps)
  }

  down(reason: string): void {
    this.#change('down', reason, 0)
  }

  /** What the last block showed of the error rate. */
  showQber(qber: number): void {
    this.#qber = qber
    this.options.telemetry?.gauge('link_qber', { link: this.options.linkId }, qber)
  }

  /** Hands over a block that both ends have. */
  offer(block: LinkBlock): void {
    if (block.number > this.#floor && this.#blocks.push(block)) this.#measure()
    else block.secret.wipe()
  }

  /** Raises the floor and wipes what waits at or below it; false if the floor was there already. */
  raiseFloor(after: bigint): boolean {
    if (after < 0n || after > MAX_NUMBER) throw new InvalidArgumentError(`after must be from 0 to ${MAX_NUMBER}`)
    if (after <= this.#floor) return false
    this.#floor = after
    // While blocks wait nobody waits for one, so putting them back keeps the order.
    for (const block of this.#blocks.drain()) this.offer(block)
    this.#measure()
    return true
  }

  async take(options: AbortOptions): Promise<LinkBlock> {
    if (this.#blocks.waiting >= MAX_WAITING) {
      throw new InvalidArgumentError(
        `${MAX_WAITING} callers wait for blocks of link "${this.options.linkId}": await some before asking for more`,
      )
    }
    const block = await this.#blocks.take(options)
    if (block === undefined) throw this.#closedError()
    // What is taken is spent, so that a taker that says so each time costs nothing.
    if (block.number > this.#floor) this.#floor = block.number
    this.#measure()
    return block
  }

  /** Wipes what waits and refuses every taker. */
  close(): void {
    this.down('Closed')
    for (const { secret } of this.#blocks.drain()) secret.wipe()
    this.#blocks.end(this.#closedError())
    this.#measure()
    this.#listeners.clear()
  }

  #closedError(): ClosedError {
    return new ClosedError(`Link "${this.options.linkId}" is closed`)
  }

  #change(state: LinkState, reason: string | undefined, rateBps: number): void {
    if (this.closed) return
    if (state === this.#state && reason === this.#reason && rateBps === this.#rateBps) return
    this.#state = state
    this.#reason = reason
    this.#rateBps = rateBps
    const { telemetry, linkId } = this.options
    telemetry?.emit({ type: 'link', linkId, state, ...(reason !== undefined && { reason }) })
    telemetry?.gauge('link_up', { link: linkId }, Number(state !== 'down'))
    telemetry?.gauge('link_rate_bps', { link: linkId }, rateBps)
    this.#listeners.emit(this.status())
  }

  #measure(): void {
    const { telemetry, linkId, blockSizeBytes } = this.options
    telemetry?.gauge('link_buffered_bits', { link: linkId }, this.#blocks.size * blockSizeBytes * 8)
  }
}

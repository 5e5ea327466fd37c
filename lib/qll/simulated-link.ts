import type { Unsubscribe } from '../interface/lifecycle.ts'
import type { Link, LinkBlock, LinkStatus, NextLinkBlockOptions } from '../interface/link.ts'
import type { EndState } from './end-state.ts'
import { requireRate } from './simulated-link-options.ts'

/** What the two kinds of end do behind `SimulatedLink`. */
export interface LinkEnd {
  /** A block was taken. */
  makeRoom(): void
  /** The taker has no use for numbers at or below `floor`. */
  startAbove(floor: bigint): void
  interrupt(reason: string): void
  restore(): void
  close(): Promise<void>
}

/** What a `SimulatedLink` is put together from. */
export interface SimulatedLinkParts<End extends LinkEnd = LinkEnd> {
  state: EndState
  end: End
  /** Releases what brings connections to the end. Default nothing. */
  release?: () => Promise<void>
}

/**
 * One end of a link without photons: the bytes come from the random generator at the listening end and travel in clear
 * on the link's own connection, which stands for the quantum channel. While the connection is lost the rate is 0.
 *
 * An end at work keeps its process alive as an open socket does; close it.
 */
export class SimulatedLink implements Link {
  readonly linkId: string
  readonly localSiteId: string
  readonly remoteSiteId: string
  readonly #state: EndState
  readonly #end: LinkEnd
  readonly #release: () => Promise<void>
  #closing: Promise<void> | undefined

  /** Made by the `createSimulatedLink…` functions. */
  constructor({ state, end, release = async () => {} }: SimulatedLinkParts) {
    this.linkId = state.options.linkId
    this.localSiteId = state.options.localSiteId
    this.remoteSiteId = state.options.remoteSiteId
    this.#state = state
    this.#end = end
    this.#release = release
  }

  status(): LinkStatus {
    return this.#state.status()
  }

  onStatus(listener: (status: LinkStatus) => void): Unsubscribe {
    return this.#state.onStatus(listener)
  }

  async nextBlock({ signal, after = 0n }: NextLinkBlockOptions = {}): Promise<LinkBlock> {
    if (this.#state.raiseFloor(after)) this.#end.startAbove(after)
    const block = await this.#state.take({ signal })
    this.#end.makeRoom()
    return block
  }

  /** Cuts the fibre, as it were: the link is down, with this reason, until `restore()` at the same end. */
  interrupt(reason = 'The fibre is cut'): void {
    this.#end.interrupt(reason)
  }

  /** Mends what `interrupt()` cut; the ends then connect again by themselves. */
  restore(): void {
    this.#end.restore()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#state.close()
    await Promise.all([this.#end.close(), this.#release()])
  }
}

/** The listening end: the one that draws the bytes and has the rate. */
export class SimulatedLinkSource extends SimulatedLink {
  readonly #source: { setRate(rateBps: number): void }

  constructor(parts: SimulatedLinkParts<LinkEnd & { setRate(rateBps: number): void }>) {
    super(parts)
    this.#source = parts.end
  }

  /**
   * Changes the rate, in bits per second from 0 up, as weather or a dirty connector would. Below the nominal rate the
   * link is `degraded`.
   */
  setRateBps(rateBps: number): void {
    this.#source.setRate(requireRate(rateBps, { min: 0 }))
  }
}

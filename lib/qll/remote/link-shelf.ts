import type { Link, LinkStatus } from '../../interface/link.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import type { SecretKey } from '../../key/secret-key.ts'

/**
 * The blocks of one link end that were taken out of it and not yet acknowledged by the network layer. It outlives every
 * connection: what was on its way when one was lost is sent again on the next.
 */
export class LinkShelf {
  readonly link: Link
  readonly #telemetry: Telemetry | undefined
  /** Ascending: the link gives its blocks in order. */
  readonly #blocks = new Map<bigint, SecretKey>()
  #floor = 0n
  #pulling: Promise<void> | undefined

  constructor(link: Link, telemetry?: Telemetry) {
    this.link = link
    this.#telemetry = telemetry
  }

  /** How the link is, with what waits here above `number`: what is on its way counts no more. */
  status(number: bigint): LinkStatus {
    const status = this.link.status()
    let waiting = 0
    for (const each of this.#blocks.keys()) if (each > number) waiting += 1
    return { ...status, bufferedBits: status.bufferedBits + waiting * status.blockSizeBytes * 8 }
  }

  /** The first block above `number` that is here. */
  above(number: bigint): { number: bigint; secret: SecretKey } | undefined {
    for (const [each, secret] of this.#blocks) if (each > number) return { number: each, secret }
    return undefined
  }

  /** Destroys what is spent at the taker. */
  raiseFloor(after: bigint): void {
    if (after <= this.#floor) return
    this.#floor = after
    for (const number of [...this.#blocks.keys()]) if (number <= after) this.release(number)
  }

  /** Lets go of a block: it is here no more, whether it was or not. */
  release(number: bigint): void {
    this.#blocks.get(number)?.wipe()
    this.#blocks.delete(number)
  }

  /** Takes one more block out of the link. One call at a time; an abort leaves the block at the link, or on the shelf. */
  async pull(signal: AbortSignal): Promise<void> {
    while (this.#pulling !== undefined) await this.#pulling
    if (signal.aborted) return
    const pulling = this.link.nextBlock({ signal, after: this.#floor }).then(
      ({ number, secret }) => {
        if (number > this.#floor) this.#blocks.set(number, secret)
        else secret.wipe()
      },
      error => {
        if (!signal.aborted) throw error
      },
    )
    this.#pulling = pulling.catch(() => {})
    try {
      await pulling
    } finally {
      this.#pulling = undefined
    }
  }

  /** Destroys all that nobody came for, and tells how much it was. */
  clear(): void {
    let bytes = 0
    for (const secret of this.#blocks.values()) {
      bytes += secret.sizeBytes
      secret.wipe()
    }
    this.#blocks.clear()
    if (bytes === 0) return
    const { linkId } = this.link
    this.#telemetry?.emit({ type: 'link-key-burned', linkId, bytes, reason: 'the process of the link has ended' })
  }
}

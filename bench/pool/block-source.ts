import { NoRouteError } from '../../lib/errors.ts'
import type { DemandGrant, NextBlockOptions, Qnl, QnlBlock, QnlStatus } from '../../lib/interface/qnl.ts'
import { BLOCK_BYTES } from '../../lib/key/cells.ts'
import { joinSecrets } from '../../lib/key/join.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

/**
 * Equal blocks for two sites as fast as they take them: what is left of the time is the pool's. Numbers run up from 1; a
 * block is made when the first of the two asks for it.
 */
export class BlockSource {
  readonly #siteIds: readonly [string, string]
  /** Blocks that one end has taken and the other has not. */
  readonly #ahead: [Map<bigint, SecretKey>, Map<bigint, SecretKey>] = [new Map(), new Map()]
  readonly #next: [bigint, bigint] = [1n, 1n]
  /** Blocks that either end is given; more are never made. */
  readonly #limit: bigint

  constructor(siteIds: readonly [string, string], blocks: number) {
    this.#siteIds = siteIds
    this.#limit = BigInt(blocks)
  }

  /** The network as one of the two sites sees it. */
  end(side: 0 | 1): Qnl {
    const remoteSiteId = this.#siteIds[1 - side]!
    return {
      siteId: this.#siteIds[side],
      remoteSiteIds: async () => [remoteSiteId],
      setDemand: async (_remoteSiteId, { rateBps }): Promise<DemandGrant> => ({ rateBps, epoch: 1 }),
      nextBlock: (asked: string, options?: NextBlockOptions) => this.#nextBlock(side, asked, options),
      status: async (): Promise<QnlStatus> => ({ siteId: this.#siteIds[side], epoch: 1, links: [], demands: [] }),
      onEvent: () => () => {},
      close: async () => {},
      [Symbol.asyncDispose]: async () => {},
    }
  }

  async #nextBlock(side: 0 | 1, asked: string, { signal }: NextBlockOptions = {}): Promise<QnlBlock> {
    const remoteSiteId = this.#siteIds[1 - side]!
    if (asked !== remoteSiteId) throw new NoRouteError(`There is no way to ${asked}`)
    const number = this.#next[side]
    if (number > this.#limit) return await untilAborted(signal)
    this.#next[side] += 1n
    let secret = this.#ahead[side].get(number)
    this.#ahead[side].delete(number)
    if (secret === undefined) {
      secret = SecretKey.random(BLOCK_BYTES)
      this.#ahead[1 - side]!.set(number, joinSecrets([secret]))
    }
    return { remoteSiteId, number, secret, trustClass: 'direct', relays: [] }
  }
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

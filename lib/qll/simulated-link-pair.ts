import { BackOff } from '../util/back-off.ts'
import { BlockNumbers } from '../util/block-numbers.ts'
import { EndState } from './end-state.ts'
import { createMemoryDuplexPair } from './memory-duplex.ts'
import { SimulatedLink, SimulatedLinkSource } from './simulated-link.ts'
import { checkLinkOptions, requireRate, type SimulatedLinkOptions } from './simulated-link-options.ts'
import { SinkEnd } from './sink-end.ts'
import { SourceEnd } from './source-end.ts'

/** What both ends of a link within one process are made from. */
export interface SimulatedLinkPairOptions extends Omit<SimulatedLinkOptions, 'localSiteId' | 'remoteSiteId'> {
  /** The sites of the first and the second end. */
  siteIds: readonly [string, string]
  /** Secret key that the link yields, in bits per second; integer from 1 to 1e12. */
  rateBps: number
  /** Wall clock that block numbers start from, in milliseconds. Default `Date.now`. */
  now?: () => number
}

/**
 * Both ends of a link within one process, the first of which draws the bytes. They connect within a few turns of the
 * event loop. The caller closes both.
 * @throws {InvalidArgumentError} an option is out of its range
 */
export function createSimulatedLinkPair(options: SimulatedLinkPairOptions): [SimulatedLinkSource, SimulatedLink] {
  const { siteIds, rateBps, now, ...common } = options
  const [first, second] = siteIds
  requireRate(rateBps)
  const near = new EndState(checkLinkOptions({ ...common, localSiteId: first, remoteSiteId: second }))
  const far = new EndState(checkLinkOptions({ ...common, localSiteId: second, remoteSiteId: first }))
  const source = new SourceEnd({ state: near, numbers: new BlockNumbers(now), rateBps })
  const sink = new SinkEnd({
    state: far,
    rateBps,
    backOff: new BackOff({ minMs: 5, maxMs: 50 }),
    dial: async () => {
      const [ours, theirs] = createMemoryDuplexPair()
      source.accept(theirs)
      return ours
    },
  })
  return [new SimulatedLinkSource({ state: near, end: source }), new SimulatedLink({ state: far, end: sink })]
}

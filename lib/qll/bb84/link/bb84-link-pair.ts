import { StreamChannel } from '../../../channel/stream-channel.ts'
import { SecretKey } from '../../../key/secret-key.ts'
import { AsyncQueue } from '../../../util/async-queue.ts'
import { BackOff } from '../../../util/back-off.ts'
import { BlockNumbers } from '../../../util/block-numbers.ts'
import { EndState } from '../../end-state.ts'
import { createMemoryDuplexPair } from '../../memory-duplex.ts'
import { type LineClock, PhotonLine } from '../photons/photon-line.ts'
import type { PhotonPath } from '../photons/photon-path.ts'
import { SharedKeyTranscripts } from '../session/shared-key-transcripts.ts'
import { Bb84Link } from './bb84-link.ts'
import { type Bb84LinkOptions, checkBb84Options } from './bb84-link-options.ts'
import { type Connect, type EndConnection, EndLoop } from './end-loop.ts'

/** What both ends of a BB84 link within one process are made from. */
export interface Bb84LinkPairOptions extends Omit<Bb84LinkOptions, 'localSiteId' | 'remoteSiteId'> {
  /** The sites of Alice, who prepares the photons, and of Bob, who detects them. */
  siteIds: readonly [string, string]
  /** What the photons really meet, asked before each block. Default: always `channel`. */
  path?: PhotonPath
  /** The time that photons take. Default: the wall clock. */
  clock?: LineClock
  /** Wall clock that block numbers start from, in milliseconds. Default `Date.now`. */
  now?: () => number
}

/**
 * Both ends of a BB84 link within one process, Alice's first; the first round is proved by a key that both are given. They
 * connect within a few turns of the event loop. The caller closes both.
 * @throws {InvalidArgumentError} an option is out of its range, or the light can bring no key
 */
export function createBb84LinkPair(options: Bb84LinkPairOptions): [Bb84Link, Bb84Link] {
  const { siteIds, path = () => options.channel, clock, now, ...common } = options
  const [first, second] = siteIds
  const [atAlice, atBob] = [
    checkBb84Options({ ...common, localSiteId: first, remoteSiteId: second }),
    checkBb84Options({ ...common, localSiteId: second, remoteSiteId: first }),
  ]
  const { parameters, keyBits, heartbeatMs } = atAlice
  const line = new PhotonLine({
    path,
    protocol: parameters.protocol,
    keyBits,
    ...(clock === undefined ? {} : { clock }),
  })
  const secret = SecretKey.random(32)
  const accepted = new AsyncQueue<EndConnection>()
  const connectAlice: Connect = async ({ signal }) => (await accepted.take({ signal }))!
  const connectBob: Connect = async () => {
    for (const stale of accepted.drain()) await stale.close()
    const [near, far] = createMemoryDuplexPair()
    accepted.push(connectionOver(new StreamChannel(near, { peerId: second, heartbeatMs }), line.alice))
    return connectionOver(new StreamChannel(far, { peerId: first, heartbeatMs }), line.bob)
  }
  const ends = [
    { role: 'alice', options: atAlice, connect: connectAlice },
    { role: 'bob', options: atBob, connect: connectBob },
  ] as const
  let open = ends.length
  const release = async () => {
    if (--open > 0) return
    line.close()
    secret.wipe()
  }
  const [alice, bob] = ends.map(end => {
    const state = new EndState(end.options, end.options.kind)
    const backOff = new BackOff({ minMs: 5, maxMs: 50 })
    const bootstrap = () => new SharedKeyTranscripts(secret)
    return new Bb84Link({
      state,
      end: new EndLoop({ ...end, state, backOff, bootstrap, numbers: new BlockNumbers(now) }),
      release,
    })
  })
  return [alice!, bob!]
}

function connectionOver(channel: StreamChannel, records: EndConnection['records']): EndConnection {
  // At once: what is under way on a channel that ends is of no use to either side.
  return { channel, records, close: () => channel.close({ signal: AbortSignal.abort() }) }
}

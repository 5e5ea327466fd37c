import { createHash } from 'node:crypto'
import { expect } from 'chai'
import type { MessageChannel } from '../../../lib/interface/message-channel.ts'
import type { QnlBlock } from '../../../lib/interface/qnl.ts'
import { partOf } from '../../../lib/key/pad.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { Incoming } from '../../../lib/qnl/relay/incoming.ts'
import { joinRanges, rangeBytes } from '../../../lib/qnl/relay/joint.ts'
import { encodeRelayMessage } from '../../../lib/qnl/relay/relay-wire.ts'
import { MATERIAL_BYTES } from '../../../lib/qnl/relay/transfer-key.ts'
import { type LoggedFrame, type LoggedJoint, readFrame, readJoint, watchedChannel } from '../../helpers/frame-log.ts'
import { bytesUsedTwice, type PadUse, padUses } from '../../helpers/pad-recorder.ts'
import { createRelayNetwork, type RelayNetwork, type RelayNetworkOptions } from '../../helpers/relay-network.ts'
import { announcedEquation, jointView, rankOf } from '../../helpers/relay-view.ts'
import { until } from '../../helpers/until.ts'

/** Places in the key and behind it that are looked at. */
const PLACES = [0, 1, 16_000, 31_999, 32_000, 32_063]
const BLOCKS = 8
const path = ['a', 'b', 'c', 'd']
const patience = () => ({ signal: AbortSignal.timeout(20_000) })

interface Logged extends AsyncDisposable {
  readonly network: RelayNetwork
  readonly frames: LoggedFrame[]
  readonly joints: LoggedJoint[]
  readonly uses: PadUse[]
}

/** The chain a - b - c - d whose relays announce, with every message logged. */
async function createAnnouncing(options: Partial<RelayNetworkOptions> = {}): Promise<Logged> {
  const frames: LoggedFrame[] = []
  const joints: LoggedJoint[] = []
  const uses: PadUse[] = []
  const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  const network = await createRelayNetwork({
    links: ['a-b', 'b-c', 'c-d'],
    pairs: () => ({ announce: true }),
    ...options,
    tap: (channel, from, to) =>
      watchedChannel(options.tap?.(channel, from, to) ?? channel, message => {
        const frame = readFrame(message, from, to)
        const joint = readJoint(message, from, to)
        if (frame !== undefined) frames.push(frame)
        if (joint !== undefined) joints.push(joint)
        uses.push(...padUses(message, from, to, digest))
      }),
  })
  network.plan({ paths: [path.join('-')] })
  return { network, frames, joints, uses, [Symbol.asyncDispose]: () => network[Symbol.asyncDispose]() }
}

async function take(network: RelayNetwork, count: number): Promise<QnlBlock[]> {
  const blocks: QnlBlock[] = []
  for (let i = 0; i < count; i += 1) {
    const [ours, theirs] = await Promise.all([
      network.node('a').nextBlock('d', patience()),
      network.node('d').nextBlock('a', patience()),
    ])
    expect(ours.number).to.equal(theirs.number)
    expect(ours.secret.equals(theirs.secret)).to.equal(true)
    expect([ours.trustClass, theirs.trustClass]).to.deep.equal(['relayed', 'relayed'])
    expect([...theirs.relays]).to.deep.equal(['b', 'c'])
    blocks.push(ours)
  }
  return blocks
}

/** How much of the keys is known to who read all announcements and holds these relays. */
function learned(held: readonly string[], { frames, joints }: Pick<Logged, 'frames' | 'joints'>): number {
  const view = jointView(held, { frames, joints, places: PLACES })
  const transfers = [...new Set(joints.map(({ transfer }) => transfer))]
  const keys = transfers.flatMap(transfer => PLACES.map(at => announcedEquation(frames, { transfer, at })))
  return keys.length - (rankOf([...view, ...keys]) - rankOf(view))
}

describe('relays that announce (rule L5)', function () {
  this.timeout(60_000)

  it('give both ends the same blocks, and send no block from relay to relay', async () => {
    await using logged = await createAnnouncing()
    const { network, frames, joints } = logged
    await take(network, BLOCKS)
    // Each relay's word goes to the destination at once; what goes from site to site only names the ranges.
    expect(new Set(joints.map(({ from, to }) => `${from}-${to}`))).to.deep.equal(new Set(['b-d', 'c-d']))
    expect(Math.max(...frames.map(({ bytes }) => bytes.byteLength))).to.be.below(1000)
    expect(frames.every(({ chunks }) => chunks.every(({ reserves }) => reserves))).to.equal(true)
  })

  it('pass announcements on along the path where they have no connection to the destination', async () => {
    await using logged = await createAnnouncing()
    const { network, joints } = logged
    await network.cutChannel('b', 'd', { keepDown: true })
    joints.length = 0
    await take(network, BLOCKS)
    const ways = joints.map(({ from, to, place }) => `${path[place]}: ${from}-${to}`)
    expect(new Set(ways)).to.deep.equal(new Set(['b: b-c', 'b: c-d', 'c: c-d']))
  })

  it('use each range for one announcement on each side, and nothing else', async () => {
    await using logged = await createAnnouncing()
    const { network, frames, joints, uses } = logged
    await take(network, BLOCKS)
    expect(bytesUsedTwice(uses)).to.equal(0)
    const words = joints.map(({ transfer, place }) => `${transfer} ${place}`)
    expect(new Set(words).size).to.equal(words.length)
    const ranges = frames.flatMap(({ from, chunks }) => chunks.map(({ transfer }) => `${from} ${transfer}`))
    expect(new Set(ranges).size).to.equal(ranges.length)
  })

  it('tell who reads all announcements nothing of any key, and a relay the keys that it relays', async () => {
    await using logged = await createAnnouncing()
    await take(logged.network, BLOCKS)
    expect(learned([], logged)).to.equal(0)
    expect(learned(['b'], logged)).to.be.at.least(BLOCKS * PLACES.length)
    // Would two announcements share a range, two keys would be known to differ by what is said: the rank sees it.
    const [first, second] = logged.frames.filter(({ from }) => from === 'b')
    const spoiled = logged.frames.map(frame => (frame === second ? { ...frame, ranges: first!.ranges } : frame))
    expect(learned([], { ...logged, frames: spoiled })).to.be.above(0)
  })

  it('are not believed by a site that did not ask for it', async () => {
    await using logged = await createAnnouncing({ pairs: siteId => ({ announce: siteId !== 'd' }) })
    const { network, frames } = logged
    const wait = new AbortController()
    const block = network.node('a').nextBlock('d', { signal: wait.signal })
    setTimeout(() => wait.abort(new Error('none came')), 300)
    expect(await block.catch((error: Error) => error.message)).to.equal('none came')
    expect(frames).to.deep.equal([])
  })

  it('are not heard from a site beside the path', async () => {
    let beside: MessageChannel | undefined
    await using logged = await createAnnouncing({
      links: ['a-b', 'b-c', 'c-d', 'd-e'],
      tap: (channel, from, to) => {
        if (from === 'e' && to === 'd') beside = channel
        return channel
      },
    })
    await take(logged.network, 1)
    const word = { type: 'joint', source: 'a', dest: 'd', transfer: 1n, path, joint: new Uint8Array(8) } as const
    for (const place of [0, 1, 2]) await beside!.send(encodeRelayMessage({ ...word, place, tag: new Uint8Array(16) }))
    const { counters } = logged.network.node('d')
    await until(() => counters.refused['not from that site'] === 3, 'three words that are not heard')
  })

  const common = { source: 'a', dest: 'd', transfer: 7n, chunkBytes: 1024, domainOf: (site: string) => site }

  it('carry no shares, and need a relay', () => {
    const open = (split: boolean, paths: readonly string[][]) =>
      Incoming.open({ ...common, split, announced: true, paths })
    expect(open(false, [path])).to.not.equal(undefined)
    const other = ['a', 'e', 'd']
    expect(open(true, [path, other])).to.equal(undefined)
    expect(open(false, [['a', 'd']])).to.equal(undefined)
  })

  it('cannot speak for each other: a word with a wrong tag opens nothing, and the right one still does', () => {
    const incoming = Incoming.open({ ...common, split: false, announced: true, paths: [path] })!
    const ranges = [1, 2, 3].map(link => SecretKey.random(rangeBytes(link)))
    const copy = (link: number) => partOf(ranges[link - 1]!, 0, rangeBytes(link))
    const key = copy(1)
    const { source, dest, transfer } = common
    const context = { source, dest, transfer, path }
    const said = [1, 2].map(place => ({
      type: 'joint' as const,
      ...context,
      place,
      ...joinRanges(copy(place), copy(place + 1), { ...context, place }),
    }))
    const [first, second] = said as [(typeof said)[number], (typeof said)[number]]
    const flipped = { ...second, joint: Uint8Array.from(second.joint, (byte, at) => (at === 5 ? byte ^ 1 : byte)) }
    const chunk = { ...common, share: 0, chunk: 0, attempt: 0, path, hop: 3, weight: 256, weak: false, sinceMs: 0 }
    expect(incoming.announce(flipped)).to.equal('more')
    expect(incoming.take({ ...chunk, reserves: true, sizeBytes: rangeBytes(3), content: copy(3) })).to.equal(
      'wrong tag',
    )
    expect(incoming.announce({ ...first, place: 2 })).to.equal('wrong tag')
    expect(incoming.announce({ ...second, path: ['a', 'c', 'b', 'd'] })).to.equal('unannounced')
    expect(incoming.announce(first)).to.equal('more')
    expect(incoming.announce(second)).to.equal('whole')
    expect(key.sizeBytes).to.equal(MATERIAL_BYTES)
    expect(incoming.announce(second)).to.equal('unannounced')
  })
})

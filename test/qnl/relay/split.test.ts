import { createHash } from 'node:crypto'
import { expect } from 'chai'
import type { MessageChannel } from '../../../lib/interface/message-channel.ts'
import { type LoggedFrame, readFrame, watchedChannel } from '../../helpers/frame-log.ts'
import { bytesUsedTwice, type PadUse, padUses } from '../../helpers/pad-recorder.ts'
import { createRelayNetwork, type RelayNetwork, type RelayNetworkOptions } from '../../helpers/relay-network.ts'
import { keyEquation, rankOf, viewOf } from '../../helpers/relay-view.ts'
import { until } from '../../helpers/until.ts'

const CHUNK_BYTES = 1024
/** Places in the material that are looked at: the ends, the middle, both sides of a chunk's end, the keys of the tags. */
const PLACES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 16_000, 31_999, 32_000, 32_063]
const patience = () => ({ signal: AbortSignal.timeout(20_000) })

/** A network whose every message is logged. */
async function createLoggedNetwork(options: RelayNetworkOptions) {
  const frames: LoggedFrame[] = []
  const uses: PadUse[] = []
  const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  const network = await createRelayNetwork({
    limits: { chunkBytes: CHUNK_BYTES, resendMs: 50 },
    ...options,
    tap: (channel, from, to) =>
      watchedChannel(options.tap?.(channel, from, to) ?? channel, message => {
        const frame = readFrame(message, from, to)
        if (frame !== undefined) frames.push(frame)
        uses.push(...padUses(message, from, to, digest))
      }),
  })
  return { network, frames, uses }
}

async function take(network: RelayNetwork, count: number) {
  for (let i = 0; i < count; i += 1) {
    const [ours, theirs] = await Promise.all([
      network.node('a').nextBlock('z', patience()),
      network.node('z').nextBlock('a', patience()),
    ])
    expect(ours.number).to.equal(theirs.number)
    expect(ours.secret.equals(theirs.secret)).to.equal(true)
    expect(ours.trustClass).to.equal('split')
  }
}

function sentAgain(frames: readonly LoggedFrame[]): boolean {
  return frames.some(({ chunks }) => chunks.some(({ attempt }) => attempt > 0))
}

/** The keys of which a byte went over the network. */
function keysIn(frames: readonly LoggedFrame[], shares: number) {
  const transfers = new Set(frames.flatMap(({ chunks }) => chunks.map(({ transfer }) => transfer)))
  return [...transfers].flatMap(transfer =>
    PLACES.map(at => keyEquation({ source: 'a', dest: 'z', transfer, shares, at })),
  )
}

/** How many bytes of keys the relays know something of, at the places looked at. */
function learned(held: readonly string[], frames: readonly LoggedFrame[], shares: number): number {
  const keys = keysIn(frames, shares)
  const view = viewOf(held, frames, { chunkBytes: CHUNK_BYTES, places: PLACES })
  return keys.length - (rankOf([...view, ...keys]) - rankOf(view))
}

describe('split over disjoint paths', function () {
  this.timeout(60_000)

  it('tells one relay that reads all messages nothing of any key, and two of two shares everything', async () => {
    const { network, frames, uses } = await createLoggedNetwork({ links: ['a-b', 'b-z', 'a-c', 'c-z'] })
    await using _ = network
    network.plan({ paths: ['a-b-z', 'a-c-z'], mode: 'split' })
    await take(network, 5)
    expect(keysIn(frames, 2).length).to.be.at.least(5 * PLACES.length)
    for (const relay of [[], ['b'], ['c']]) expect(learned(relay, frames, 2), relay.join()).to.equal(0)
    expect(learned(['b', 'c'], frames, 2)).to.be.at.least(5 * PLACES.length)
    expect(bytesUsedTwice(uses)).to.equal(0)
  })

  it('tells a relay nothing with the direct link as one of the paths', async () => {
    const { network, frames } = await createLoggedNetwork({ links: ['a-b', 'b-z', 'a-z'] })
    await using _ = network
    network.plan({ paths: ['a-b-z', 'a-z'], mode: 'split' })
    await take(network, 3)
    expect(learned(['b'], frames, 2)).to.equal(0)
    expect(learned(['a'], frames, 2)).to.be.at.least(3 * PLACES.length)
  })

  it('tells a relay nothing after shares were sent again over another path, in the middle of a block', async () => {
    let deaf = false
    const { network, frames, uses } = await createLoggedNetwork({
      links: ['a-b', 'b-z', 'a-c', 'c-z', 'a-d', 'd-z'],
      // What c sends on is lost from some moment on: one share is there, the other never comes.
      tap: (channel, from, to) => (from !== 'c' || to !== 'z' ? channel : lossy(channel, () => deaf)),
    })
    await using _ = network
    network.plan({ paths: ['a-b-z', 'a-c-z'], mode: 'split', rateBps: 20_000_000 })
    await take(network, 2)
    deaf = true
    await until(() => sentAgain(frames), 'chunks that are sent again')
    network.plan({ paths: ['a-b-z', 'a-d-z'], mode: 'split', rateBps: 20_000_000 })
    await take(network, 20)
    const rerouted = () =>
      frames.some(({ chunks }) => chunks.some(({ attempt, path }) => attempt > 0 && path[1] === 'd'))
    await until(rerouted, 'chunks that are sent again over d')
    await take(network, 2)
    for (const relay of ['b', 'c', 'd']) expect(learned([relay], frames, 2), relay).to.equal(0)
    expect(learned(['b', 'd'], frames, 2)).to.be.above(0)
    expect(bytesUsedTwice(uses)).to.equal(0)
  })

  it('gives a block up rather than send a share through the relay of another share', async () => {
    let deaf = false
    const { network, frames } = await createLoggedNetwork({
      links: ['a-b', 'b-z', 'a-c', 'c-z', 'b-c'],
      tap: (channel, from, to) => (from !== 'c' || to !== 'z' ? channel : lossy(channel, () => deaf)),
    })
    await using _ = network
    network.plan({ paths: ['a-b-z', 'a-c-z'], mode: 'split', rateBps: 20_000_000 })
    await take(network, 2)
    deaf = true
    await until(() => sentAgain(frames), 'chunks that are sent again')
    // Disjoint in itself, and yet each share would meet the relay of the other.
    network.plan({ paths: ['a-c-z', 'a-b-z'], mode: 'split', rateBps: 20_000_000 })
    network.plan({ paths: ['a-c-b-z'], mode: 'split', rateBps: 20_000_000 })
    deaf = false
    network.plan({ paths: ['a-b-z', 'a-c-z'], mode: 'split', rateBps: 20_000_000 })
    await take(network, 10)
    for (const relay of ['b', 'c']) expect(learned([relay], frames, 2), relay).to.equal(0)
  })

  it('refuses a plan whose shares meet in a relay, or in who runs two, or are too few', async () => {
    await using network = await createRelayNetwork({
      links: ['a-b', 'b-z', 'a-c', 'c-z', 'b-c'],
      domains: { b: 'one operator', c: 'one operator' },
    })
    const node = network.node('a')
    for (const paths of [['a-b-z', 'a-c-z'], ['a-b-z', 'a-c-b-z'], ['a-b-z'], ['a-b-z', 'a-b-z']]) {
      network.plan({ paths, mode: 'split' })
      const { rateBps } = await node.setDemand('z', { rateBps: 1000, weight: 1, kind: 'continuous', mode: 'split' })
      expect(rateBps, paths.join()).to.equal(0)
    }
  })

  it('takes and sends no whole key where its KMS asked for shares, whatever the plan says', async () => {
    const { network, frames } = await createLoggedNetwork({ links: ['a-b', 'b-z'] })
    await using _ = network
    await network.node('z').setDemand('a', { rateBps: 1000, weight: 1, kind: 'continuous', mode: 'split' })
    network.plan({ paths: ['a-b-z'] })
    const wait = new AbortController()
    const block = network.node('a').nextBlock('z', { signal: wait.signal })
    setTimeout(() => wait.abort(new Error('none came')), 300)
    expect(await block.catch((error: Error) => error.message)).to.equal('none came')
    expect(frames).to.deep.equal([])
  })

  it('takes no fewer shares than this site wants, whatever plan and other end say', async () => {
    const five = { links: ['a-b', 'b-z', 'a-c', 'c-z', 'a-d', 'd-z'], splitOf: () => ({ minShares: 3 }) } as const
    await using network = await createRelayNetwork(five)
    const [node, demand] = [network.node('a'), { rateBps: 1000, weight: 1, kind: 'continuous', mode: 'split' } as const]
    network.plan({ paths: ['a-b-z', 'a-c-z'], mode: 'split' })
    expect((await node.setDemand('z', demand)).rateBps).to.equal(0)
    expect(node.report().demands).to.deep.equal([{ remoteSiteId: 'z', demand: { ...demand, shares: 3 } }])
    network.plan({ paths: ['a-b-z', 'a-c-z', 'a-d-z'], mode: 'split' })
    expect((await node.setDemand('z', demand)).rateBps).to.equal(1000)
    await take(network, 2)
  })

  it('takes no fewer shares than its KMS asks for, whatever plan and other end say', async () => {
    const { network, frames } = await createLoggedNetwork({ links: ['a-b', 'b-z', 'a-c', 'c-z', 'a-d', 'd-z'] })
    await using _ = network
    const demand = { rateBps: 1000, weight: 1, kind: 'continuous', mode: 'split', shares: 3 } as const
    const two = { paths: ['a-b-z', 'a-c-z'], mode: 'split' } as const
    // The far end's KMS: the site that sends would be content with two.
    await network.node('z').setDemand('a', demand)
    network.plan(two)
    const wait = new AbortController()
    const block = network.node('a').nextBlock('z', { signal: wait.signal })
    setTimeout(() => wait.abort(new Error('none came')), 300)
    expect(await block.catch((error: Error) => error.message)).to.equal('none came')
    expect(frames).to.deep.equal([])
    expect((await network.node('a').setDemand('z', demand)).rateBps).to.equal(0)
    network.plan({ ...two, paths: [...two.paths, 'a-d-z'] })
    expect((await network.node('a').status()).demands[0]!.grantedBps).to.equal(1000)
    await take(network, 2)
  })

  it('refuses at the far end an offer of fewer shares than that end wants', async () => {
    const { network, frames } = await createLoggedNetwork({
      links: ['a-b', 'b-z', 'a-c', 'c-z'],
      splitOf: siteId => ({ minShares: siteId === 'z' ? 3 : 2 }),
    })
    await using _ = network
    network.plan({ paths: ['a-b-z', 'a-c-z'], mode: 'split' })
    const wait = new AbortController()
    const block = network.node('a').nextBlock('z', { signal: wait.signal })
    setTimeout(() => wait.abort(new Error('none came')), 300)
    expect(await block.catch((error: Error) => error.message)).to.equal('none came')
    expect(frames).to.deep.equal([])
  })

  it('is what a site says of a pair itself, before and against what its KMS asks', async () => {
    await using network = await createRelayNetwork({
      links: ['a-b', 'b-z', 'a-z'],
      pairs: () => ({ mode: 'split' }),
    })
    const demand = { rateBps: 1000, weight: 1, kind: 'continuous', mode: 'multipath' } as const
    // Without a plan there are no shares, and the link alone is not taken for them.
    expect((await network.node('a').setDemand('z', demand)).rateBps).to.equal(0)
    expect(network.node('a').report().demands[0]!.demand).to.deep.include({ mode: 'split', shares: 2 })
    network.plan({ paths: ['a-z'] })
    expect((await network.node('a').status()).demands[0]!.grantedBps).to.equal(0)
    network.plan({ paths: ['a-b-z', 'a-z'], mode: 'split' })
    await take(network, 2)
  })
})

/** A channel that loses every frame while `isDeaf`. */
function lossy(channel: MessageChannel, isDeaf: () => boolean) {
  return {
    peerId: channel.peerId,
    send: async (message: Uint8Array) => {
      if (isDeaf() && message[0] === 4) return
      await channel.send(message)
    },
    receive: channel.receive.bind(channel),
    close: channel.close.bind(channel),
    [Symbol.asyncDispose]: () => channel.close(),
  }
}

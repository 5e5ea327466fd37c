import { expect } from 'chai'
import fc from 'fast-check'
import { createMemoryChannelPair } from '../../../lib/channel/memory-channel.ts'
import { ProtocolError } from '../../../lib/errors.ts'
import type { Link, LinkBlock } from '../../../lib/interface/link.ts'
import type { MessageChannel } from '../../../lib/interface/message-channel.ts'
import type { TelemetryEvent } from '../../../lib/interface/telemetry.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { LinkShelf } from '../../../lib/qll/remote/link-shelf.ts'
import {
  decodeFromLink,
  decodeToLink,
  encodeFromLink,
  encodeToLink,
  type FromLink,
} from '../../../lib/qll/remote/link-wire.ts'
import { createRemoteLink } from '../../../lib/qll/remote/remote-link.ts'
import { serveLink } from '../../../lib/qll/remote/serve-link.ts'
import { createSimulatedLinkPair } from '../../../lib/qll/simulated-link-pair.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'

const linkId = 'a-b'

/** A link end behind a process of its own: channels are opened as often as one asks. */
function linkProcess() {
  const [link, far] = createSimulatedLinkPair({ linkId, siteIds: ['a', 'b'], rateBps: 100_000_000, bufferBlocks: 8 })
  const telemetry = new TelemetryHub()
  const events: TelemetryEvent[] = []
  telemetry.subscribe(event => events.push(event))
  const shelf = new LinkShelf(link, telemetry)
  const serving: Promise<unknown>[] = []
  const dial = async (): Promise<MessageChannel> => {
    const [ours, theirs] = createMemoryChannelPair(['qnl', 'link'])
    serving.push(serveLink(new Map([[linkId, shelf]]), theirs, { peerIds: ['qnl'] }).catch(error => error))
    return ours
  }
  const remote = (dialling = dial) =>
    createRemoteLink({
      linkId,
      localSiteId: 'a',
      remoteSiteId: 'b',
      expected: link.status(),
      dial: dialling,
      backOff: { minMs: 1, maxMs: 5 },
    })
  const close = async (...links: Link[]) => {
    for (const each of links) await each.close()
    await Promise.all(serving)
    shelf.clear()
    await link.close()
    await far.close()
  }
  return { link, far, shelf, events, dial, remote, close }
}

/** What the process of the link says next, decoded; statuses are passed over. */
async function next(channel: MessageChannel): Promise<FromLink> {
  for (;;) {
    const message = decodeFromLink((await channel.receive())!)
    if (message.type !== 'status') return message
  }
}

describe('RemoteLink', () => {
  it('keeps a block at the link until it is acknowledged, and sends it again after a lost connection', async () => {
    const process = linkProcess()
    const channel = await process.dial()
    await channel.send(encodeToLink({ type: 'open', linkId, held: [] }))
    expect((await next(channel)).type).to.equal('hello')
    await channel.send(encodeToLink({ type: 'want', upTo: 1, after: 0n }))
    const first = await next(channel)
    if (first.type !== 'block') throw new Error(`It sent ${first.type}`)
    await channel.close()
    const link = process.remote()
    const again = await link.nextBlock()
    expect(again.number).to.equal(first.number)
    expect(again.secret.equals(first.secret)).to.equal(true)
    expect(process.shelf.above(-1n)).to.equal(undefined)
    await process.close(link)
  })

  it('gives no block to anybody before the link has let go of it', async () => {
    const process = linkProcess()
    const link = process.remote()
    for (let n = 0; n < 6; n += 1) {
      const { number, secret } = await link.nextBlock()
      const left = process.shelf.above(number - 1n)
      expect(left?.number).to.not.equal(number)
      secret.wipe()
    }
    await process.close(link)
  })

  it('gives a block once, whenever the connection is lost', async () => {
    const process = linkProcess()
    let open: MessageChannel | undefined
    const link = process.remote(async () => {
      open = await process.dial()
      return open
    })
    const numbers: bigint[] = []
    const twins = new Map<bigint, SecretKey>()
    for (let n = 0; n < 60; n += 1) {
      const taking: Promise<LinkBlock> = link.nextBlock()
      // Cut between any two messages of the exchange.
      for (let turns = n % 6; turns > 0; turns -= 1) await new Promise(resolve => setImmediate(resolve))
      if (n % 2 === 1) await open?.close()
      const { number, secret } = await taking
      numbers.push(number)
      let twin = twins.get(number)
      while (twin === undefined) {
        const block = await process.far.nextBlock()
        twins.set(block.number, block.secret)
        twin = twins.get(number)
      }
      expect(secret.equals(twin)).to.equal(true)
      secret.wipe()
    }
    expect(numbers).to.deep.equal([...new Set(numbers)].sort((a, b) => (a < b ? -1 : 1)))
    await process.close(link)
  })

  it('says what it is before the link answers, why it is down, and waits for it', async () => {
    const process = linkProcess()
    let isAway = true
    const link = process.remote(async () => {
      if (isAway) throw new Error('nobody at home')
      return process.dial()
    })
    expect(link.status()).to.include({ state: 'down', kind: 'simulated', blockSizeBytes: 32_000, rateBps: 0 })
    const waiting = link.nextBlock()
    isAway = false
    ;(await waiting).secret.wipe()
    await until(() => link.status().state === 'up', 'the link is up')
    await process.close(link)
  })

  it('serves nobody but its own network layer, and no link that is not here', async () => {
    const { shelf, close } = linkProcess()
    const links = new Map([[linkId, shelf]])
    const [stranger, theirs] = createMemoryChannelPair(['mallory', 'link'])
    await rejectsWith(serveLink(links, theirs, { peerIds: ['qnl'] }), 'ERR_QKD_UNAUTHORIZED')
    await stranger.close()
    for (const [message, code] of [
      [encodeToLink({ type: 'open', linkId: 'elsewhere', held: [] }), 'ERR_QKD_UNAUTHORIZED'],
      [encodeToLink({ type: 'received', number: 1n }), 'ERR_QKD_PROTOCOL'],
    ] as const) {
      const [ours, other] = createMemoryChannelPair(['qnl', 'link'])
      const serving = serveLink(links, other, { peerIds: ['qnl'] })
      await ours.send(message)
      await rejectsWith(serving, code)
    }
    await close()
  })

  it('tells how much key was destroyed that nobody had taken', async () => {
    const process = linkProcess()
    const channel = await process.dial()
    await channel.send(encodeToLink({ type: 'open', linkId, held: [] }))
    await channel.send(encodeToLink({ type: 'want', upTo: 2, after: 0n }))
    const blocks = [await next(channel), await next(channel), await next(channel)]
    expect(blocks.map(({ type }) => type)).to.deep.equal(['hello', 'block', 'block'])
    await channel.close()
    await process.close()
    const burned = process.events.filter(event => event.type === 'link-key-burned')
    expect(burned).to.have.length(1)
    expect(burned[0]).to.include({ linkId, bytes: 64_000 })
  })

  it('reads whatever comes as a message or as an error of the protocol', () => {
    const secret = SecretKey.random(64)
    const samples = [
      encodeToLink({ type: 'open', linkId, held: [1n, 2n] }),
      encodeToLink({ type: 'want', upTo: 7, after: 9n }),
      encodeFromLink({ type: 'released', number: 5n }),
      encodeFromLink({ type: 'block', number: 5n, bufferedBits: 0n, secret }),
    ]
    const broken = fc
      .tuple(fc.constantFrom(...samples), fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 20 }))
      .map(([sample, at, byte, less]) => {
        const copy = Uint8Array.from(sample)
        copy[at % copy.byteLength] = byte
        return copy.subarray(0, Math.max(0, copy.byteLength - less))
      })
    fc.assert(
      fc.property(fc.oneof(broken, fc.uint8Array({ maxLength: 200 })), bytes => {
        for (const decode of [decodeToLink, decodeFromLink]) {
          try {
            const message = decode(bytes)
            if (message.type === 'block') message.secret.wipe()
          } catch (error) {
            expect(error).to.be.instanceOf(ProtocolError)
          }
        }
      }),
      { numRuns: 1_000 },
    )
    secret.wipe()
  })
})

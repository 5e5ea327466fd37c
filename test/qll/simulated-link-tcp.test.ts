import { expect } from 'chai'
import fc from 'fast-check'
import { SecretKey } from '../../lib/key/secret-key.ts'
import type { QuantumFrame } from '../../lib/qll/quantum-wire.ts'
import type { SimulatedLink } from '../../lib/qll/simulated-link.ts'
import {
  createSimulatedLinkConnector,
  createSimulatedLinkListener,
  type SimulatedLinkConnectorOptions,
  type SimulatedLinkListenerOptions,
} from '../../lib/qll/simulated-link-tcp.ts'
import { BlockMatcher } from '../compliance/block-matcher.ts'
import { statusOf } from '../compliance/link-status.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { listenRaw, RawEnd } from './raw-end.ts'
import { createTcpRelay } from './tcp-relay.ts'

const rateBps = 50_000_000
const backOff = { minMs: 5, maxMs: 20 }
const listen = (options: Partial<SimulatedLinkListenerOptions> = {}) =>
  createSimulatedLinkListener({
    linkId: 'alice-bob',
    localSiteId: 'alice',
    remoteSiteId: 'bob',
    rateBps,
    port: 0,
    ...options,
  })
const dial = (port: number, options: Partial<SimulatedLinkConnectorOptions> = {}) =>
  createSimulatedLinkConnector({
    linkId: 'alice-bob',
    localSiteId: 'bob',
    remoteSiteId: 'alice',
    port,
    backOff,
    ...options,
  })
const identity = { linkId: 'alice-bob', siteId: 'alice', peerSiteId: 'bob', blockSizeBytes: 32_000, rateBps }
const hello: QuantumFrame = {
  ...identity,
  type: 'hello',
  siteId: 'bob',
  peerSiteId: 'alice',
  lastNumber: 0n,
  floor: 0n,
}
const isUp = ({ state }: { state: string }) => state === 'up'
const isDown = ({ state }: { state: string }) => state === 'down'
const downFor = (link: SimulatedLink, text: string) => statusOf(link, status => !!status.reason?.includes(text))

describe('createSimulatedLinkConnector', () => {
  it('says why it is not connected, and connects once the other end listens', async () => {
    const { link: first, port } = await listen()
    await first.close()
    await using b = dial(port)
    await downFor(b, 'ECONNREFUSED')
    const { link: a } = await listen({ port })
    await using _ = a
    await statusOf(b, isUp)
  })

  it('says at both ends in what they differ', async () => {
    const { link: a, port } = await listen()
    await using _ = a
    const differences: [Partial<SimulatedLinkConnectorOptions>, string][] = [
      [{ linkId: 'other' }, 'The other end is of link "other", this one of "alice-bob"'],
      [{ localSiteId: 'carol' }, 'The other end is at site "carol", where "bob" is expected'],
      [{ remoteSiteId: 'carol' }, 'The other end expects site "carol", and this one is "alice"'],
      [{ blockSizeBytes: 64 }, 'The other end has blocks of 64 bytes, this one of 32000'],
      [{ rateBps: 1 }, 'The other end names a rate of 1 b/s, this one 50000000'],
    ]
    for (const [options, text] of differences) {
      await using b = dial(port, options)
      await downFor(b, text)
      await downFor(a, text)
    }
  })

  it('refuses a listening end of another link', async () => {
    await using server = await listenRaw(async end => {
      await end.next('hello')
      end.send({ ...identity, type: 'welcome', linkId: 'other' })
    })
    await using b = dial(server.port)
    await downFor(b, 'The other end is of link "other", this one of "alice-bob"')
  })

  it('closes the connection when the other end breaks a rule, says so, and never gives the blocks of it', async () => {
    const block = (number: bigint, sizeBytes = 32_000): QuantumFrame => ({
      type: 'block',
      number,
      secret: SecretKey.random(sizeBytes),
    })
    const welcome: QuantumFrame = { ...identity, type: 'welcome' }
    const faults: [QuantumFrame[], string, number][] = [
      [[welcome, block(5n), block(5n)], 'Block 5 is not above 5, the last one', 1],
      [[welcome, block(5n), block(4n)], 'Block 4 is not above 5, the last one', 1],
      [[welcome, block(1n, 31_999)], 'A block of 31999 bytes, not 32000', 0],
      [[welcome, block(1n), block(2n), block(3n)], 'more blocks than it had credit for', 2],
      [[welcome, block(1n, 32_001)], 'A frame of 32010 bytes is not from 1 to 32009', 0],
      [[block(1n)], 'more blocks than it had credit for', 0],
      [[welcome, welcome], 'A frame of type welcome is out of place', 0],
      [[welcome, { type: 'credit', blocks: 1 }], 'A frame of type credit is out of place', 0],
    ]
    for (const [frames, text, goodBlocks] of faults) {
      let served = false
      await using server = await listenRaw(async end => {
        if (served) return
        served = true
        await end.next('hello')
        for (const frame of frames) end.send(frame)
      })
      await using b = dial(server.port, { bufferBlocks: 2 })
      await downFor(b, text)
      expect(b.status().bufferedBits).to.equal(goodBlocks * 256_000)
    }
  })

  it('gives the other end credit anew for blocks that are below the floor when they come', async () => {
    const answers: unknown[] = []
    await using server = await listenRaw(async end => {
      expect(await end.next('hello')).to.include({ lastNumber: 0n, floor: 0n })
      end.send({ ...identity, type: 'welcome' })
      const floor = await end.next('floor')
      for (let number = 1n; number <= 2n; number += 1n) {
        end.send({ type: 'block', number, secret: SecretKey.random(32_000) })
        answers.push(await end.next('received'), await end.next('credit'))
      }
      end.send({ type: 'block', number: floor!.number + 1n, secret: SecretKey.random(32_000) })
    })
    await using b = dial(server.port, { bufferBlocks: 2 })
    await statusOf(b, isUp)
    expect((await b.nextBlock({ after: 77n })).number).to.equal(78n)
    expect(answers).to.deep.equal([
      { type: 'received', number: 1n },
      { type: 'credit', blocks: 1 },
      { type: 'received', number: 2n },
      { type: 'credit', blocks: 1 },
    ])
  })

  it('survives any bytes from the listening end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 5000 }), async bytes => {
        await using server = await listenRaw(end => end.socket.end(bytes))
        await using b = dial(server.port)
        await statusOf(b, status => status.state === 'down' && status.reason !== 'Not connected yet')
        expect(b.status().bufferedBits).to.equal(0)
      }),
      { numRuns: 30 },
    )
  })

  it('counts a listening end that falls silent as gone', async () => {
    await using server = await listenRaw(async end => {
      await end.next('hello')
      end.send({ ...identity, type: 'welcome' })
    })
    await using b = dial(server.port, { heartbeatMs: 20 })
    await statusOf(b, isUp)
    await downFor(b, 'No sign of life for 60 ms')
  })

  it('closes while it connects', async () => {
    await using server = await listenRaw(() => {})
    const b = dial(server.port)
    await b.close()
    await rejectsWith(b.nextBlock(), 'ERR_QKD_CLOSED')
    const c = dial(server.port)
    await new Promise(resolve => setImmediate(resolve))
    await c.close()
  })
})

describe('createSimulatedLinkListener', () => {
  it('listens on loopback, and says where it can not listen', async () => {
    const { link: a, port } = await listen()
    await using _ = a
    const refusal = await rejectsWith(listen({ port }), 'ERR_QKD_LINK_DOWN')
    expect(refusal.message).to.match(/^Link "alice-bob" can't listen at 127\.0\.0\.1:\d+: .*EADDRINUSE/)
  })

  it('offers a block only once the other end has it, in order', async () => {
    const { link: a, port } = await listen({ bufferBlocks: 3 })
    await using _ = a
    const raw = await RawEnd.connect(port)
    raw.send(hello)
    raw.send({ type: 'credit', blocks: 100 })
    const sent = [await raw.next('block'), await raw.next('block'), await raw.next('block')]
    expect(a.status().bufferedBits).to.equal(0)
    raw.send({ type: 'received', number: sent[0]!.number })
    const block = await a.nextBlock()
    expect(block.number).to.equal(sent[0]?.number)
    expect(block.secret.equals(sent[0]!.secret)).to.equal(true)
    raw.send({ type: 'received', number: sent[2]!.number })
    await downFor(a, `A receipt for block ${sent[2]?.number}, which is not the next one`)
    expect(a.status().bufferedBits).to.equal(0)
  })

  it('keeps what the other end proves to have after a cut, and nothing else', async () => {
    const { link: a, port } = await listen({ bufferBlocks: 3 })
    await using _ = a
    const first = await RawEnd.connect(port)
    first.send(hello)
    first.send({ type: 'credit', blocks: 3 })
    const sent = [await first.next('block'), await first.next('block'), await first.next('block')]
    first.socket.resetAndDestroy()
    await statusOf(a, isDown)
    const second = await RawEnd.connect(port)
    second.send({ ...hello, lastNumber: sent[1]!.number })
    second.send({ type: 'credit', blocks: 1 })
    const next = await second.next('block')
    expect(next?.number, 'a number is never used again').to.equal(sent[2]!.number + 1n)
    expect([(await a.nextBlock()).number, (await a.nextBlock()).number]).to.deep.equal([
      sent[0]?.number,
      sent[1]?.number,
    ])
    second.send({ type: 'received', number: next!.number })
    expect((await a.nextBlock()).number).to.equal(next?.number)
    second.socket.destroy()
  })

  it('starts above the last number that the other end saw, when its own clock was set back', async () => {
    const { link: a, port } = await listen({ now: () => 1000 })
    await using _ = a
    const raw = await RawEnd.connect(port)
    raw.send({ ...hello, lastNumber: 2n ** 60n })
    raw.send({ type: 'credit', blocks: 1 })
    expect((await raw.next('block'))?.number).to.equal(2n ** 60n + 1n)
    raw.socket.destroy()
  })

  it('serves one living connection, and says so to another', async () => {
    const { link: a, port } = await listen()
    await using _ = a
    await using b = dial(port)
    await statusOf(b, isUp)
    await using c = dial(port)
    await downFor(c, 'Another connection serves this link')
    expect(b.status().state).to.equal('up')
    expect(a.status().state).to.equal('up')
    await b.close()
    await statusOf(c, isUp)
  })

  it('gives the place of an end that fell silent to the next one', async () => {
    const { link: a, port } = await listen({ heartbeatMs: 20 })
    await using _ = a
    const silent = await RawEnd.connect(port)
    silent.send(hello)
    expect(await silent.next('welcome')).to.include({ linkId: 'alice-bob', rateBps })
    await using b = dial(port, { heartbeatMs: 20 })
    await statusOf(b, isUp)
    silent.socket.destroy()
  })

  it('stays up through any bytes from strangers', async () => {
    const { link: a, port } = await listen()
    await using _ = a
    await using b = dial(port)
    await statusOf(a, isUp)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 5000 }), async bytes => {
        const raw = await RawEnd.connect(port)
        raw.socket.end(bytes)
        while ((await raw.next('bye')) !== undefined);
      }),
      { numRuns: 30 },
    )
    expect(a.status().state).to.equal('up')
    const matcher = new BlockMatcher([options => a.nextBlock(options), options => b.nextBlock(options)])
    await matcher.match(3)
    await matcher.level()
  })

  it('bounds the strangers that say nothing', async () => {
    const { link: a, port } = await listen()
    await using _ = a
    const strangers = await Promise.all(Array.from({ length: 8 }, () => RawEnd.connect(port)))
    const late = await RawEnd.connect(port)
    expect(await late.next('welcome')).to.equal(undefined)
    for (const { socket } of strangers) socket.destroy()
    await using b = dial(port)
    await statusOf(b, isUp)
  })

  it('refuses rules broken by the other end', async () => {
    const faults: [QuantumFrame[], string][] = [
      [[{ type: 'credit', blocks: 1 }], 'A frame of type credit is out of place'],
      [[hello, hello], 'A frame of type hello is out of place'],
      [[hello, { type: 'rate', rateBps: 1 }], 'A frame of type rate is out of place'],
      [[hello, { type: 'received', number: 1n }], 'A receipt for block 1, which is not the next one'],
      [[{ type: 'block', number: 1n, secret: SecretKey.random(9) }], 'A frame of type block is out of place'],
    ]
    for (const [frames, text] of faults) {
      const { link: a, port } = await listen()
      await using _ = a
      const raw = await RawEnd.connect(port)
      for (const frame of frames) raw.send(frame)
      expect(await raw.next('bye')).to.deep.equal({ type: 'bye', reason: text })
      await downFor(a, text)
    }
  })
})

describe('a link that is cut', () => {
  it('loses no block at one end alone, wherever the cut falls', async () => {
    const { link: a, port } = await listen({ blockSizeBytes: 500, bufferBlocks: 8 })
    await using _ = a
    const relay = await createTcpRelay(() => port)
    await using b = dial(relay.port, { blockSizeBytes: 500, bufferBlocks: 8 })
    const matcher = new BlockMatcher([options => a.nextBlock(options), options => b.nextBlock(options)])
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5000 }), async sizeBytes => {
        await Promise.all([statusOf(a, isUp), statusOf(b, isUp)])
        const cut = Promise.all([a, b].map(end => nextDown(end)))
        relay.cutAfter(sizeBytes)
        let whole = true
        const done = cut.then(() => {
          whole = false
        })
        while (whole) await matcher.match(1)
        await done
        await matcher.match(1)
        await matcher.level()
      }),
      { numRuns: 40 },
    )
    await Promise.all([a.close(), b.close()])
    await relay.close()
  })
})

/** Resolves at the next change to `down`. */
function nextDown(link: SimulatedLink): Promise<void> {
  return new Promise(resolve => {
    const stop = link.onStatus(status => {
      if (status.state !== 'down') return
      stop()
      resolve()
    })
  })
}

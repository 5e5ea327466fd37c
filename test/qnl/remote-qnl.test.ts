import { expect } from 'chai'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import type { Demand, Qnl, QnlEvent } from '../../lib/interface/qnl.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { DirectQnl } from '../../lib/qnl/direct-qnl.ts'
import { createRemoteQnl } from '../../lib/qnl/remote-qnl.ts'
import { serveQnl } from '../../lib/qnl/serve-qnl.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { RawPeer } from './raw-peer.ts'

const steady: Demand = { rateBps: 1_000_000, weight: 1, kind: 'continuous', mode: 'single' }
const backOff = { minMs: 1, maxMs: 5 }

/** A remote QNL whose other end speaks by hand. */
function createByHand(): { qnl: Qnl; raw: RawPeer } {
  const [atQnl, atKms] = RawPeer.pair()
  return { qnl: createRemoteQnl({ siteId: 'alice', channel: atKms }), raw: new RawPeer(atQnl) }
}

/** Resolves with the first event that satisfies `wanted`. */
function eventOf(qnl: Qnl, type: QnlEvent['type']): Promise<QnlEvent> {
  return new Promise(resolve => {
    const stop = qnl.onEvent(event => {
      if (event.type !== type) return
      stop()
      resolve(event)
    })
  })
}

describe('createRemoteQnl with a channel', () => {
  it('gives a block that was on its way when its taker gave up to the next one', async () => {
    const { qnl, raw } = createByHand()
    await raw.hello()
    const giveUp = new AbortController()
    const lost = qnl.nextBlock('bob', { signal: giveUp.signal }).catch(error => error)
    const { id, head } = await raw.next('call')
    expect(head).to.deep.equal({ op: 'nextBlock', remoteSiteId: 'bob', after: '0' })
    giveUp.abort(new Error('changed my mind'))
    await raw.block(id, 7n)
    expect(await lost).to.have.property('message', 'changed my mind')
    await raw.next('cancel')
    expect((await qnl.nextBlock('bob')).number).to.equal(7n)
    await qnl.close()
  })

  it('gives the blocks in order when a new taker comes before the cancelled call is answered', async () => {
    const { qnl, raw } = createByHand()
    await raw.hello()
    const giveUp = new AbortController()
    const lost = qnl.nextBlock('bob', { signal: giveUp.signal }).catch(() => {})
    const first = await raw.next('call')
    giveUp.abort()
    await lost
    const next = [qnl.nextBlock('bob'), qnl.nextBlock('bob')]
    await raw.next('cancel')
    const [second, third] = [await raw.next('call'), await raw.next('call')]
    await raw.block(first.id, 7n)
    await raw.next('cancel')
    await raw.block(second.id, 8n)
    await raw.send({ type: 'cancelled', id: third.id, head: {} })
    expect((await Promise.all(next)).map(({ number }) => number)).to.deep.equal([7n, 8n])
    await qnl.close()
  })

  it('passes over a kept block that the next taker has spent', async () => {
    const { qnl, raw } = createByHand()
    await raw.hello()
    const giveUp = new AbortController()
    const lost = qnl.nextBlock('bob', { signal: giveUp.signal }).catch(() => {})
    const first = await raw.next('call')
    giveUp.abort()
    await lost
    await raw.next('cancel')
    await raw.block(first.id, 7n)
    const next = qnl.nextBlock('bob', { after: 7n })
    const second = await raw.next('call')
    expect(second.head).to.include({ after: '7' })
    await raw.block(second.id, 8n)
    expect((await next).number).to.equal(8n)
    await qnl.close()
  })

  it('refuses pending and later calls when the channel is lost', async () => {
    const { qnl, raw } = createByHand()
    await raw.hello()
    const pending = [qnl.nextBlock('bob'), qnl.status(), qnl.remoteSiteIds(), qnl.setDemand('bob', steady)]
    const refused = Promise.all(pending.map(call => rejectsWith(call, 'ERR_QKD_CLOSED')))
    await raw.next('call')
    await raw.channel.close()
    await refused
    const { message } = await rejectsWith(qnl.nextBlock('bob'), 'ERR_QKD_CLOSED')
    expect(message).to.include('The QNL of site "alice" is out of use')
    await qnl.close()
  })

  it('tells the error of the QNL as the embedded one would throw it', async () => {
    const { qnl, raw } = createByHand()
    await raw.hello()
    const call = rejectsWith(qnl.nextBlock('bob'), 'ERR_QKD_LINK_DOWN')
    const { id } = await raw.next('call')
    const head = { code: 'ERR_QKD_LINK_DOWN', message: 'Dark', details: [{ linkId: 'l' }], retryAfterMs: 5 } as const
    await raw.send({ type: 'failure', id, head: { ...head, details: [...head.details] } })
    expect(await call).to.deep.include({ message: 'Dark', details: [{ linkId: 'l' }], retryAfterMs: 5 })
    await qnl.close()
  })

  it('cuts off a QNL that is not the one expected, or breaks the rules', async () => {
    const faults: [(raw: RawPeer) => Promise<void>, string][] = [
      [raw => raw.hello('carol'), 'The QNL is that of site "carol", where "alice" is expected'],
      [raw => raw.hello('alice', 9), 'The QNL speaks version 9 of its messages, this end 2'],
      [raw => raw.block(1, 1n), 'A message of type block comes before the hello'],
      [raw => raw.hello().then(() => raw.block(99, 1n)), 'A block for call 99, which did not ask for it'],
      [raw => raw.hello().then(() => raw.hello()), 'A message of type hello is out of place'],
      [raw => raw.hello().then(() => raw.channel.send(Buffer.alloc(9))), 'The head of a message is not JSON'],
      [
        async raw => {
          await raw.hello()
          await raw.send({ type: 'answer', id: (await raw.next('call')).id, head: { value: [1] } })
        },
        'The answer to remoteSiteIds is wrong: /0: must be string',
      ],
      [
        raw => raw.hello().then(() => raw.send({ type: 'answer', id: 5, head: { value: [] } })),
        'An answer to call 5, which was not made',
      ],
    ]
    for (const [act, text] of faults) {
      const { qnl, raw } = createByHand()
      const pending = qnl.remoteSiteIds().catch((error: Error) => error.message)
      await act(raw)
      expect(await pending).to.include(text)
      await raw.closed()
      await qnl.close()
    }
  })

  it('bounds the calls that wait', async () => {
    const { qnl, raw } = createByHand()
    const waiters = Array.from({ length: 256 }, (_, n) => (n % 2 === 0 ? qnl.nextBlock('bob') : qnl.status()))
    const settled = Promise.all(waiters.map(waiter => waiter.catch(error => error.code)))
    await rejectsWith(qnl.nextBlock('bob'), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(qnl.status(), 'ERR_QKD_INVALID_ARGUMENT')
    await qnl.close()
    expect(new Set(await settled)).to.deep.equal(new Set(['ERR_QKD_CLOSED']))
    await raw.closed()
  })

  it('bounds the calls that are open at the QNL, cancelled ones included, and loses none', async () => {
    const { qnl, raw } = createByHand()
    await raw.hello()
    await rejectsWith(qnl.nextBlock('', {}), 'ERR_QKD_NO_ROUTE')
    for (let round = 0; round < 600; round += 1) {
      const giveUp = new AbortController()
      const taker = qnl.nextBlock('bob', { signal: giveUp.signal }).catch(() => {})
      await Promise.resolve()
      giveUp.abort()
      await taker
    }
    const last = qnl.nextBlock('bob')
    let calls = 0
    let cancelled = 0
    while (calls < 512 || cancelled < 512) {
      const bytes = await raw.channel.receive({ signal: AbortSignal.timeout(8000) })
      if (bytes?.[0] === 1) calls += 1
      else cancelled += 1
    }
    for (let id = 1; id <= 512; id += 1) await raw.send({ type: 'cancelled', id, head: {} })
    const { id } = await raw.next('call')
    await raw.block(id, 5n)
    expect((await last).number).to.equal(5n)
    await qnl.close()
  })
})

describe('createRemoteQnl with a dial function', () => {
  /** Alice's QNL on a link, and a client that dials it; each channel's far end is kept so that a test can break it. */
  function createAlice(dial: (connect: () => MessageChannel) => Promise<MessageChannel>) {
    const ends = createSimulatedLinkPair({ linkId: 'l', siteIds: ['alice', 'bob'], rateBps: 100_000_000 })
    const embedded = new DirectQnl({ siteId: 'alice', links: [ends[0]] })
    const channels: MessageChannel[] = []
    const connect = () => {
      const [atQnl, atKms] = RawPeer.pair()
      channels.push(atQnl)
      void serveQnl(embedded, atQnl, { peerIds: ['kme'] })
      return atKms
    }
    const qnl = createRemoteQnl({ siteId: 'alice', backOff, dial: () => dial(connect) })
    const cut = async () => {
      await channels.at(-1)?.close()
    }
    return {
      qnl,
      embedded,
      ends,
      channels,
      cut,
      async [Symbol.asyncDispose]() {
        await Promise.all([qnl, embedded, ...ends].map(part => part.close()))
      },
    }
  }

  it('waits for the first connection, however often it fails', async () => {
    let tries = 0
    await using alice = createAlice(async connect => {
      tries += 1
      if (tries < 4) throw new Error('Nobody there')
      return connect()
    })
    expect(await alice.qnl.remoteSiteIds()).to.deep.equal(['bob'])
    expect(tries).to.equal(4)
  })

  it('lets a call give up while there is no connection, and consumes nothing by it', async () => {
    let lift: () => void = () => {}
    const barrier = new Promise<void>(resolve => {
      lift = resolve
    })
    await using alice = createAlice(async connect => {
      await barrier
      return connect()
    })
    const signal = AbortSignal.timeout(20)
    for (const call of [alice.qnl.nextBlock('bob', { signal }), alice.qnl.status({ signal })]) {
      expect(await call.catch(error => error)).to.equal(signal.reason)
    }
    lift()
    const [here, there] = await Promise.all([alice.qnl.nextBlock('bob'), alice.ends[1].nextBlock()])
    expect(here.number).to.equal(there.number)
  })

  it('goes on by itself when the connection is cut under waiting calls', async () => {
    await using alice = createAlice(async connect => connect())
    const { qnl, ends, channels, cut } = alice
    let last = (await qnl.nextBlock('bob')).number
    for (let round = 1; round <= 5; round += 1) {
      const blocks = Promise.all(Array.from({ length: 10 }, () => qnl.nextBlock('bob')))
      const taken = Array.from({ length: 10 }, () => ends[1].nextBlock())
      await cut()
      for (const { number } of await blocks) {
        expect(number > last).to.equal(true)
        last = number
      }
      await Promise.all(taken)
      expect(channels.length).to.be.greaterThan(round)
    }
  })

  it('says its demands again after a reconnection, and tells the KMS what was lost meanwhile', async () => {
    await using alice = createAlice(async connect => connect())
    const { qnl, embedded, ends, cut } = alice
    await Promise.all([qnl.nextBlock('bob'), ends[1].nextBlock()])
    expect(await qnl.setDemand('bob', steady)).to.include({ rateBps: 1_000_000 })
    // As a QNL would be that was restarted and knows of nothing.
    await embedded.setDemand('bob', { ...steady, rateBps: 0 })
    const [unserved, restored] = [eventOf(qnl, 'pair-unserved'), eventOf(qnl, 'restored')]
    await cut()
    expect(await unserved).to.deep.equal({
      type: 'pair-unserved',
      remoteSiteId: 'bob',
      reason: 'No connection to the QNL: The QNL has closed the connection',
    })
    expect(await restored).to.deep.equal({ type: 'restored', remoteSiteId: 'bob', rateBps: 1_000_000 })
    expect((await embedded.status()).demands).to.deep.equal([
      { remoteSiteId: 'bob', askedBps: 1_000_000, grantedBps: 1_000_000 },
    ])
  })

  it('says a demand last that was made while there was no connection, and tells that the pair is served', async () => {
    let reconnect: () => void = () => {}
    const reconnected = new Promise<void>(resolve => {
      reconnect = resolve
    })
    let dialled = 0
    await using alice = createAlice(async connect => {
      dialled += 1
      if (dialled > 1) await reconnected
      return connect()
    })
    const { qnl, embedded, ends, cut } = alice
    await Promise.all([qnl.nextBlock('bob'), ends[1].nextBlock()])
    await qnl.setDemand('bob', steady)
    const [unserved, restored] = [eventOf(qnl, 'pair-unserved'), eventOf(qnl, 'restored')]
    await cut()
    await unserved
    const less = qnl.setDemand('bob', { ...steady, rateBps: 5000 })
    reconnect()
    expect(await less).to.include({ rateBps: 5000 })
    await restored
    expect((await qnl.status()).demands).to.deep.equal([{ remoteSiteId: 'bob', askedBps: 5000, grantedBps: 5000 }])
    expect((await embedded.status()).demands[0]).to.include({ askedBps: 5000 })
  })

  it('closes while it dials, and closes the channel that comes too late', async () => {
    let arrive: (channel: MessageChannel) => void = () => {}
    const late = new Promise<MessageChannel>(resolve => {
      arrive = resolve
    })
    const qnl = createRemoteQnl({ siteId: 'alice', backOff, dial: () => late })
    const waiter = rejectsWith(qnl.nextBlock('bob'), 'ERR_QKD_CLOSED')
    const closing = qnl.close()
    await waiter
    const [atQnl, atKms] = RawPeer.pair()
    arrive(atKms)
    await closing
    expect(await atQnl.receive()).to.equal(undefined)
  })
})

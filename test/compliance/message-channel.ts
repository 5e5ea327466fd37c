import assert from 'node:assert/strict'
import { MAX_MESSAGE_BYTES, type MessageChannel } from '../../lib/interface/message-channel.ts'
import { type ComplianceCase, runSuite, type TestSetup } from './suite.ts'

/** What the suite needs of a backend. */
export interface MessageChannelFixture {
  readonly idA: string
  readonly idB: string
  /** A fresh channel: the end at A and the end at B. */
  open(): Promise<readonly [MessageChannel, MessageChannel]>
}

type Case = ComplianceCase<MessageChannelFixture>

const text = (message: Uint8Array | undefined) => (message === undefined ? undefined : Buffer.from(message).toString())
const bytes = (value: string) => new TextEncoder().encode(value)
const hasCode = (code: string) => (error: unknown) => (error as { code?: string }).code === code

/** A case with a fresh channel, closed at the end whatever happens. */
const withChannel = (run: (a: MessageChannel, b: MessageChannel, fixture: MessageChannelFixture) => Promise<void>) =>
  async function withFreshChannel(fixture: MessageChannelFixture): Promise<void> {
    const [a, b] = await fixture.open()
    try {
      await run(a, b, fixture)
    } finally {
      await Promise.all([a.close(), b.close()])
    }
  }

/** Sends 64 KiB messages until one has to wait; gives how many went through, and the one that waits. */
async function fill(channel: MessageChannel): Promise<{ accepted: number; waiting: Promise<void> }> {
  for (let accepted = 0; accepted < 4_096; accepted += 1) {
    const waiting = channel.send(new Uint8Array(65_536).fill(accepted))
    const settled = await Promise.race([
      waiting.then(() => true),
      new Promise<false>(resolve => setTimeout(resolve, 300, false)),
    ])
    if (!settled) return { accepted, waiting }
  }
  throw new Error('256 MiB were taken and nobody received them')
}

const cases: readonly Case[] = [
  [
    'names the authenticated peer at each end',
    withChannel(async (a, b, { idA, idB }) => {
      assert.equal(a.peerId, idB)
      assert.equal(b.peerId, idA)
    }),
  ],
  [
    'delivers messages whole, once and in order, both ways at once',
    withChannel(async (a, b) => {
      const count = 200
      const exchange = async (from: MessageChannel, to: MessageChannel, name: string) => {
        const sent = Array.from({ length: count }, (_, n) => `${name} ${n} ${'x'.repeat(n * 7)}`)
        const sending = (async () => {
          for (const message of sent) await from.send(bytes(message))
        })()
        const received: unknown[] = []
        while (received.length < count) received.push(text(await to.receive()))
        await sending
        assert.deepEqual(received, sent)
      }
      await Promise.all([exchange(a, b, 'to B'), exchange(b, a, 'to A')])
    }),
  ],
  [
    'keeps the order of sends that were not awaited',
    withChannel(async (a, b) => {
      const sent = Array.from({ length: 50 }, (_, n) => String(n))
      const sending = Promise.all(sent.map(message => a.send(bytes(message))))
      for (const message of sent) assert.equal(text(await b.receive()), message)
      await sending
    }),
  ],
  [
    'carries the largest message, byte for byte',
    withChannel(async (a, b) => {
      const message = Uint8Array.from({ length: MAX_MESSAGE_BYTES }, (_, n) => (n * 31) % 251)
      const [received] = await Promise.all([b.receive(), a.send(message)])
      assert.ok(received !== undefined && Buffer.from(received).equals(message))
    }),
  ],
  [
    'refuses an empty and an oversized message, and goes on',
    withChannel(async (a, b) => {
      await assert.rejects(a.send(new Uint8Array(0)), hasCode('ERR_QKD_INVALID_ARGUMENT'))
      await assert.rejects(a.send(new Uint8Array(MAX_MESSAGE_BYTES + 1)), hasCode('ERR_QKD_INVALID_ARGUMENT'))
      await a.send(bytes('fine'))
      assert.equal(text(await b.receive()), 'fine')
    }),
  ],
  [
    'has taken the bytes when send resolves, so that the sender may wipe them',
    withChannel(async (a, b) => {
      const message = bytes('secret')
      await a.send(message)
      message.fill(0)
      assert.equal(text(await b.receive()), 'secret')
    }),
  ],
  [
    'gives the receiver bytes of its own',
    withChannel(async (a, b) => {
      const message = bytes('mine')
      await a.send(message)
      const received = await b.receive()
      received?.fill(0)
      assert.equal(text(message), 'mine')
    }),
  ],
  [
    'makes the sender wait while the other end does not receive, and loses nothing',
    withChannel(async (a, b) => {
      const { accepted, waiting } = await fill(a)
      for (let n = 0; n <= accepted; n += 1) assert.equal((await b.receive())?.[0], n % 256)
      await waiting
    }),
  ],
  [
    'does not send a message whose send was aborted before',
    withChannel(async (a, b) => {
      const reason = new Error('changed my mind')
      await assert.rejects(a.send(bytes('never'), { signal: AbortSignal.abort(reason) }), reason)
      await a.send(bytes('next'))
      assert.equal(text(await b.receive()), 'next')
    }),
  ],
  [
    'takes back a send that is aborted while it waits its turn',
    withChannel(async (a, b) => {
      const { accepted, waiting } = await fill(a)
      const controller = new AbortController()
      const reason = new Error('changed my mind')
      const aborted = assert.rejects(a.send(bytes('never'), { signal: controller.signal }), reason)
      controller.abort(reason)
      await aborted
      for (let n = 0; n <= accepted; n += 1) await b.receive()
      await waiting
      await a.send(bytes('next'))
      assert.equal(text(await b.receive()), 'next')
    }),
  ],
  [
    'rejects an aborted receive with the reason and keeps the message for the next',
    withChannel(async (a, b) => {
      const controller = new AbortController()
      const reason = new Error('no patience')
      const aborted = assert.rejects(b.receive({ signal: controller.signal }), reason)
      controller.abort(reason)
      await aborted
      await a.send(bytes('late'))
      assert.equal(text(await b.receive()), 'late')
      await assert.rejects(b.receive({ signal: controller.signal }), reason)
    }),
  ],
  [
    'delivers what was sent before the close, then tells the end each time',
    withChannel(async (a, b) => {
      for (const message of ['one', 'two', 'three']) await a.send(bytes(message))
      const closing = a.close()
      for (const message of ['one', 'two', 'three']) assert.equal(text(await b.receive()), message)
      assert.equal(await b.receive(), undefined)
      assert.equal(await b.receive(), undefined)
      await closing
    }),
  ],
  [
    'tells a waiting receiver that the other end has closed',
    withChannel(async (a, b) => {
      const waiting = b.receive()
      await a.close()
      assert.equal(await waiting, undefined)
    }),
  ],
  [
    'refuses to send to an end that has closed',
    withChannel(async (a, b) => {
      await a.close()
      assert.equal(await b.receive(), undefined)
      await assert.rejects(b.send(bytes('hello?')), hasCode('ERR_QKD_CLOSED'))
    }),
  ],
  [
    'refuses send and receive after its own close, also those that wait',
    withChannel(async a => {
      const waiting = assert.rejects(a.receive(), hasCode('ERR_QKD_CLOSED'))
      await a.close()
      await waiting
      await assert.rejects(a.send(bytes('x')), hasCode('ERR_QKD_CLOSED'))
      await assert.rejects(a.receive(), hasCode('ERR_QKD_CLOSED'))
    }),
  ],
  [
    'closes twice, and from both ends at once',
    withChannel(async (a, b) => {
      await Promise.all([a.close(), a.close(), b.close()])
      await a[Symbol.asyncDispose]()
    }),
  ],
  [
    'closes in time while the other end does not receive',
    withChannel(async a => {
      const { waiting } = await fill(a)
      const ended = assert.rejects(waiting, hasCode('ERR_QKD_CLOSED'))
      await a.close()
      await ended
    }),
  ],
]

/** Runs the contract of `MessageChannel` against one backend. */
export function messageChannelCompliance(setup: TestSetup<MessageChannelFixture>): void {
  runSuite('MessageChannel', setup, cases)
}

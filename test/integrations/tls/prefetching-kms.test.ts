import { expect } from 'chai'
import { connect, createPrefetchingKms, createServer, qkdInfo } from '../../../integrations/tls/index.ts'
import { type GetKeyOptions, type Key, type Kms, PoolExhaustedError } from '../../../lib/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'
import { createKmsPair } from './kms-pair.ts'
import { next, watchServer } from './tls-pair.ts'
import { WatchedKms } from './watched-kms.ts'

const sizeBits = 256

describe('createPrefetchingKms', () => {
  it('draws some keys in one request in the wake of the first, and gives each once', async () => {
    await using site = await createShelves({ keys: 3 })
    const first = await site.take()
    await until(() => site.alice.keys.length === 4, 'the keys drawn ahead')
    expect(site.requests).to.deep.equal([1, 3])
    const rest = [await site.take(), await site.take(), await site.take()]
    expect(new Set([first, ...rest].map(({ keyId }) => keyId)).size).to.equal(4)
    const ahead = site.ahead(first).slice(0, 3)
    expect(rest.map(({ keyId }) => keyId)).to.deep.equal(ahead.map(({ keyId }) => keyId))
  })

  it('asks for what is missing in one request at a time', async () => {
    await using site = await createShelves({ keys: 4 })
    const keys = await Promise.all(Array.from({ length: 12 }, () => site.take()))
    expect(new Set(keys.map(({ keyId }) => keyId)).size).to.equal(12)
    expect(site.mostRefills).to.equal(1)
  })

  it('keeps peers and levels apart', async () => {
    await using site = await createShelves({ keys: 2 })
    const first = await site.take()
    await until(() => site.alice.keys.length === 3, 'the keys drawn ahead')
    const held = new Set(site.ahead(first).map(({ keyId }) => keyId))
    const [forCarol] = await site.kms.getKey('carol', { sizeBits })
    const [leveled] = await site.kms.getKey('bob', { sizeBits, level: 'quantum' })
    const [longer] = await site.kms.getKey('bob', { sizeBits: 512 })
    expect([forCarol, leveled, longer].some(key => held.has(key!.keyId))).to.equal(false)
    expect(longer!.secret.sizeBits).to.equal(512)
  })

  it('wipes what nobody took when its time is over, and draws no more for it', async () => {
    await using site = await createShelves({ keys: 3, maxAgeMs: 50 })
    const first = await site.take()
    await until(() => site.alice.keys.length === 4, 'the keys drawn ahead')
    await until(() => site.ahead(first).every(({ secret }) => secret.wiped), 'the end of the keys')
    expect(site.requests).to.deep.equal([1, 3])
    expect((await site.take()).secret.wiped).to.equal(false)
  })

  it('wipes what it holds when it is closed, and leaves its Kms open', async () => {
    await using site = await createShelves({ keys: 3 })
    const first = await site.take()
    await until(() => site.alice.keys.length === 4, 'the keys drawn ahead')
    await site.kms.close()
    expect(site.ahead(first).every(({ secret }) => secret.wiped)).to.equal(true)
    await rejectsWith(site.take(), 'ERR_QKD_CLOSED')
    expect(await site.alice.getKey('bob', { sizeBits })).to.have.length(1)
  })

  it('wipes what comes after it was closed', async () => {
    await using site = await createShelves({ keys: 3 })
    const first = await site.take()
    await site.kms.close()
    await until(() => site.refills === 0, 'the end of the request')
    expect(site.ahead(first).every(({ secret }) => secret.wiped)).to.equal(true)
  })

  it('answers from the KMS alone when nothing could be drawn ahead, and passes its errors on', async () => {
    await using site = await createShelves({ keys: 3 })
    site.alice.alter = keys => {
      if (keys.length === 1) return keys
      for (const { secret } of keys) secret.wipe()
      throw new PoolExhaustedError('Empty')
    }
    expect((await site.take()).keyId).not.to.equal((await site.take()).keyId)
    site.alice.alter = () => {
      throw new PoolExhaustedError('Empty')
    }
    await rejectsWith(site.take(), 'ERR_QKD_POOL_EXHAUSTED')
  })

  it('gives connections their keys', async () => {
    await using site = await createShelves({ keys: 2 })
    const server = createServer(site.bob, { peers: [{ saeId: 'alice' }] })
    await using watched = await watchServer(server)
    const keyIds = new Set<string>()
    for (let n = 0; n < 5; n += 1) {
      const socket = await connect(site.kms, { peerSaeId: 'bob', host: '127.0.0.1', port: watched.port })
      keyIds.add(qkdInfo(await next(watched.sessions))!.keyId)
      socket.destroy()
    }
    expect(keyIds.size).to.equal(5)
  })

  it('checks its options at once', async () => {
    const { alice } = await createKmsPair()
    expect(() => createPrefetchingKms(alice, { keys: 33, maxAgeMs: 1000 })).to.throw('prefetch.keys')
    expect(() => createPrefetchingKms(alice, { keys: 1, maxAgeMs: 0 })).to.throw('prefetch.maxAgeMs')
  })
})

/** Counts what is asked for in one request, and how many requests for several keys run at once. */
class CountingKms extends WatchedKms {
  readonly requests: number[] = []
  refills = 0
  mostRefills = 0

  override async getKey(slaveSaeId: string, options: GetKeyOptions = {}): Promise<Key[]> {
    const refill = options.number === undefined ? 0 : 1
    this.requests.push(options.number ?? 1)
    this.refills += refill
    this.mostRefills = Math.max(this.mostRefills, this.refills)
    try {
      return await super.getKey(slaveSaeId, options)
    } finally {
      this.refills -= refill
    }
  }
}

async function createShelves({ keys, maxAgeMs = 10_000 }: { keys: number; maxAgeMs?: number }) {
  const pair: { alice: Kms; bob: Kms } = await createKmsPair()
  const alice = new CountingKms(pair.alice)
  const kms = createPrefetchingKms(alice, { keys, maxAgeMs })
  return {
    alice,
    bob: pair.bob,
    kms,
    requests: alice.requests,
    get refills() {
      return alice.refills
    },
    get mostRefills() {
      return alice.mostRefills
    },
    /** What was drawn besides `taken`. */
    ahead: (taken: Key) => alice.keys.filter(key => key !== taken),
    take: async (): Promise<Key> => (await kms.getKey('bob', { sizeBits }))[0]!,
    [Symbol.asyncDispose]: () => kms.close(),
  }
}

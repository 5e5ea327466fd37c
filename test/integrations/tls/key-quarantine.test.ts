import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { type FetchedPsk, KeyQuarantine, type KeyQuarantineOptions } from '../../../integrations/tls/key-quarantine.ts'
import { addressGroup, LookupLimits } from '../../../integrations/tls/lookup-limits.ts'
import { HandshakeRefusal } from '../../../integrations/tls/refusal.ts'
import { SecretKey } from '../../../lib/index.ts'

const identity = { masterSaeId: 'alice', keyId: 'id' }

function createQuarantine(options: Partial<KeyQuarantineOptions> = {}) {
  const fetched: FetchedPsk[] = []
  const quarantine = new KeyQuarantine({
    fetch: async () => {
      const psk: FetchedPsk = { psk: SecretKey.random(32), level: 'quantum' }
      fetched.push(psk)
      return psk
    },
    acquire: () => () => {},
    capacity: 10,
    ttlMs: 10_000,
    fetchTimeoutMs: 10_000,
    ...options,
  })
  return { quarantine, fetched }
}

describe('KeyQuarantine', () => {
  it('shares one fetch among all who ask for a key, then and later', async () => {
    const { quarantine, fetched } = createQuarantine()
    const [one, two] = await Promise.all([quarantine.get(identity, 'a'), quarantine.get(identity, 'b')])
    expect(one).to.equal(two)
    expect(await quarantine.get(identity, 'c')).to.equal(one)
    expect(fetched).to.have.length(1)
    quarantine.clear()
  })

  it('gives a key to one handshake at a time, and to none once it is spent', async () => {
    const { quarantine } = createQuarantine()
    const key = await quarantine.get(identity, 'a')
    expect([key.claim(), key.claim()]).to.deep.equal([true, false])
    key.release()
    expect(key.claim()).to.equal(true)
    key.spend()
    key.release()
    expect(key.claim()).to.equal(false)
    expect(key.psk.wiped).to.equal(true)
    await expectRefused(quarantine.get(identity, 'a'), 'in-use')
  })

  it('wipes a key that nobody proved in time, and does not ask for it again', async () => {
    const { quarantine, fetched } = createQuarantine({ ttlMs: 5 })
    const key = await quarantine.get(identity, 'a')
    while (!key.psk.wiped) await setImmediate()
    await expectRefused(quarantine.get(identity, 'a'), 'in-use')
    expect(fetched).to.have.length(1)
  })

  it('leaves a key to the handshake that has it when its time is over', async () => {
    const { quarantine } = createQuarantine({ ttlMs: 5 })
    const [key, other] = await Promise.all([
      quarantine.get(identity, 'a'),
      quarantine.get({ ...identity, keyId: 'later' }, 'a'),
    ])
    key.claim()
    // The timers run in order: once the later key is gone, the time of the claimed one is over as well.
    while (!other.psk.wiped) await setImmediate()
    expect(key.psk.wiped).to.equal(false)
    key.release()
    expect(key.psk.wiped).to.equal(true)
  })

  it('refuses further keys when it is full, and pushes none out', async () => {
    const { quarantine } = createQuarantine({ capacity: 2 })
    const first = await quarantine.get({ ...identity, keyId: '1' }, 'a')
    await quarantine.get({ ...identity, keyId: '2' }, 'a')
    await expectRefused(quarantine.get({ ...identity, keyId: '3' }, 'a'), 'overload')
    expect(await quarantine.get({ ...identity, keyId: '1' }, 'a')).to.equal(first)
    first.spend()
    await quarantine.get({ ...identity, keyId: '3' }, 'a')
    quarantine.clear()
  })

  it('keeps nothing of a fetch that failed', async () => {
    let failures = 1
    const { quarantine } = createQuarantine({
      capacity: 1,
      fetch: async () => {
        if (failures-- > 0) throw new HandshakeRefusal('unknown-key', 'No')
        return { psk: SecretKey.random(32), level: undefined }
      },
    })
    await expectRefused(quarantine.get(identity, 'a'), 'unknown-key')
    expect((await quarantine.get(identity, 'a')).level).to.equal(undefined)
    quarantine.clear()
  })

  it('lets as many fetches as it allows listen for its end, without a warning of a leak', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error) => void warnings.push(warning)
    process.on('warning', onWarning)
    const { quarantine } = createQuarantine({
      capacity: 30,
      fetch: (_, { signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true })),
    })
    const fetches = Array.from({ length: 30 }, (_, n) => quarantine.get({ ...identity, keyId: String(n) }, 'a'))
    await setImmediate()
    quarantine.clear()
    for (const fetch of fetches) await expectRefused(fetch, 'closed')
    process.off('warning', onWarning)
    expect(warnings).to.deep.equal([])
  })

  it('wipes what a fetch brings after its time, and what it holds when it is cleared', async () => {
    const late = SecretKey.random(32)
    let deliver = (_: FetchedPsk) => {}
    const slow = createQuarantine({
      fetchTimeoutMs: 5,
      fetch: () =>
        new Promise(resolve => {
          deliver = resolve
        }),
    })
    await expectRefused(slow.quarantine.get(identity, 'a'), 'kms')
    deliver({ psk: late, level: undefined })
    await setImmediate()
    expect(late.wiped).to.equal(true)

    const { quarantine } = createQuarantine()
    const held = await quarantine.get(identity, 'a')
    quarantine.clear()
    await setImmediate()
    expect(held.psk.wiped).to.equal(true)
    const pending = slow.quarantine.get({ ...identity, keyId: '2' }, 'a')
    slow.quarantine.clear()
    await expectRefused(pending, 'closed')
  })
})

describe('LookupLimits', () => {
  it('lets a look-up that found no key count for its address for a while more, and for nobody else', () => {
    const limits = new LookupLimits({ max: 3, maxPerAddress: 2, onChange: () => {} })
    for (let n = 0; n < 2; n += 1) limits.acquire('192.0.2.1')(true)
    expect(() => limits.acquire('192.0.2.1')).to.throw(HandshakeRefusal)
    for (const address of ['192.0.2.2', '192.0.2.3', '192.0.2.4']) limits.acquire(address)
  })

  it('bounds look-ups in all and for each address, and tells how many are under way', () => {
    const pending: number[] = []
    const limits = new LookupLimits({ max: 3, maxPerAddress: 2, onChange: count => pending.push(count) })
    const releases = [limits.acquire('192.0.2.1'), limits.acquire('192.0.2.1')]
    expect(() => limits.acquire('192.0.2.1')).to.throw(HandshakeRefusal)
    releases.push(limits.acquire('192.0.2.2'))
    expect(() => limits.acquire('192.0.2.3')).to.throw(HandshakeRefusal)
    for (const release of releases) release()
    expect(pending).to.deep.equal([1, 2, 3, 2, 1, 0])
    limits.acquire('192.0.2.1')()
  })

  it('counts an IPv6 network of 64 bits as one address, and IPv4 within IPv6 as IPv4', () => {
    expect(addressGroup('2001:db8::1')).to.equal(addressGroup('2001:db8:0:0:ffff::2'))
    expect(addressGroup('2001:db8::1')).to.not.equal(addressGroup('2001:db8:0:1::1'))
    expect(addressGroup('fe80::1%eth0')).to.equal(addressGroup('fe80::2'))
    expect(addressGroup('::ffff:192.0.2.1')).to.equal(addressGroup('192.0.2.1'))
    expect(addressGroup('::1')).to.not.equal(addressGroup('192.0.2.1'))
    expect(addressGroup('192.0.2.1')).to.not.equal(addressGroup('192.0.2.2'))
    expect(addressGroup(undefined)).to.equal(addressGroup(''))
  })
})

async function expectRefused(promise: Promise<unknown>, reason: string): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).to.be.instanceOf(HandshakeRefusal).with.property('reason', reason)
}

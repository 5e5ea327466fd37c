import { expect } from 'chai'
import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import { acceptAgreement } from '../../lib/client/agreement/accept.ts'
import { keyFingerprint } from '../../lib/client/agreement/fingerprint.ts'
import { initiateAgreement } from '../../lib/client/agreement/initiate.ts'
import { decodeMessage, encodeMessage } from '../../lib/client/agreement/message.ts'
import type { AgreementOutcome } from '../../lib/client/agreement/outcome.ts'
import { PoolExhaustedError } from '../../lib/errors.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { hkdf, hmacTag } from '../../lib/key/hkdf.ts'
import { lp } from '../../lib/key/lp.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { deferred } from '../../lib/util/deferred.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { until } from '../helpers/until.ts'
import { createHosts, type Hosts, keyOf } from './agreement-hosts.ts'

describe('an agreement', () => {
  let hosts: Hosts

  before(async () => {
    hosts = await createHosts()
  })
  after(() => hosts?.[Symbol.asyncDispose]())
  beforeEach(() => hosts.forget())

  function openChannel() {
    const [alice, bob] = createMemoryChannelPair(['alice', 'bob'])
    return { alice, bob }
  }

  describe('by initiateAgreement and acceptAgreement', () => {
    it('give a key that is none of the KMS, and wipe that one', async () => {
      const given: Buffer[] = []
      hosts.alice.alter = keys => {
        given.push(...keys.map(({ secret }) => exportKey(secret)))
        return keys
      }
      const [alice, bob] = (await hosts.agree(openChannel())).map(keyOf)
      expect(exportKey(alice!.secret)).to.deep.equal(exportKey(bob!.secret))
      expect(given).to.have.length(1)
      expect(exportKey(alice!.secret)).to.not.deep.equal(given[0])
      expect(hosts.allWiped()).to.equal(true)
    })

    it('tell level, trust class, roles, purpose and key_ID of the key', async () => {
      const [alice, bob] = await hosts.agree(openChannel(), { alice: { level: 'quantum' } })
      for (const { secret, ...key } of [keyOf(alice), keyOf(bob)]) {
        expect(key).to.deep.equal({
          masterSaeId: 'alice',
          slaveSaeId: 'bob',
          purpose: 'test',
          keyId: hosts.alice.keys[0]!.keyId,
          sizeBits: 256,
          level: 'quantum',
          trustClass: 'direct',
        })
      }
    })

    it('leave the channel to the application at a clean boundary', async () => {
      const { alice, bob } = openChannel()
      const application = async () => {
        keyOf(await hosts.initiate(alice))
        await alice.send(Buffer.from('loaded?'))
        return Buffer.from((await alice.receive())!).toString()
      }
      const answering = application()
      keyOf(await hosts.accept(bob))
      expect(Buffer.from((await bob.receive())!).toString()).to.equal('loaded?')
      await bob.send(Buffer.from('loaded'))
      expect(await answering).to.equal('loaded')
    })

    it('serve one of several purposes, and say which', async () => {
      const [alice, bob] = await hosts.agree(openChannel(), {
        alice: { purpose: 'two' },
        bob: { purpose: ['one', 'two'] },
      })
      expect([keyOf(alice).purpose, keyOf(bob).purpose]).to.deep.equal(['two', 'two'])
    })

    it('let the responder wait longer for an offer than for the rest', async () => {
      const { alice, bob } = openChannel()
      const early = await hosts.accept(bob, { timeoutMs: 30 })
      expect(early).to.deep.equal({ outcome: 'timed-out', waitingFor: 'peer', burnedKeyId: undefined })
      const accepting = hosts.accept(bob, { offerTimeoutMs: 10_000, timeoutMs: 40 })
      hosts.bob.beforeFetch = ({ signal }) => new Promise((_, reject) => signal!.addEventListener('abort', reject))
      const initiating = hosts.initiate(alice)
      expect(await accepting).to.include({ outcome: 'timed-out', waitingFor: 'kms' })
      expect(await initiating).to.include({ outcome: 'refused', code: 'timed-out' })
    })

    it('agree on levels before a key is taken', async () => {
      const [alice, bob] = await hosts.agree(openChannel(), {
        alice: { level: 'quantum' },
        bob: { allowedLevels: ['hybrid'] },
      })
      expect(alice).to.deep.equal({ outcome: 'refused', code: 'wrong-level', burnedKeyId: undefined })
      expect(bob).to.deep.equal({ outcome: 'mismatch', fault: 'wrong-level', burnedKeyId: undefined })
      expect(hosts.alice.keys).to.be.empty
    })

    it('refuse a level that turns out only with the key, without a look-up at the responder', async () => {
      const [alice, bob] = await hosts.agree(openChannel(), { bob: { allowedLevels: ['hybrid'] } })
      const burnedKeyId = hosts.alice.keys[0]!.keyId
      expect(alice).to.deep.equal({ outcome: 'refused', code: 'wrong-level', burnedKeyId })
      expect(bob).to.deep.equal({ outcome: 'mismatch', fault: 'wrong-level', burnedKeyId })
      expect(hosts.bob.keys).to.be.empty
      expect(hosts.allWiped()).to.equal(true)
    })

    it('take an allowed level, and none that a KMS keeps to itself', async () => {
      const allowedLevels = ['quantum'] as const
      keyOf((await hosts.agree(openChannel(), { bob: { allowedLevels } }))[1])
      hosts.bob.alter = keys => keys.map(key => ({ ...key, level: undefined }))
      const [, bob] = await hosts.agree(openChannel(), { bob: { allowedLevels } })
      expect(bob).to.include({ outcome: 'mismatch', fault: 'wrong-level' })
      keyOf((await hosts.agree(openChannel()))[1])
    })

    it('call nothing a one-time pad', async () => {
      for (const kms of [hosts.alice, hosts.bob]) {
        kms.alter = keys => keys.map(key => ({ ...key, level: 'one-time-pad' as const }))
      }
      for (const outcome of await hosts.agree(openChannel())) expect(keyOf(outcome).level).to.equal('quantum')
    })

    it('fail where the two KMSs call the key by different levels', async () => {
      hosts.bob.alter = keys => keys.map(key => ({ ...key, level: 'expanded' as const }))
      const [alice, bob] = await hosts.agree(openChannel())
      expect(alice).to.include({ outcome: 'refused', code: 'wrong-level' })
      expect(bob).to.include({ outcome: 'mismatch', fault: 'wrong-level' })
    })

    it('name the argument that is wrong, before anything is sent', async () => {
      const { alice, bob } = openChannel()
      for (const [name, options] of [
        ['peerSaeId', { peerSaeId: 'carol' }],
        ['peerSaeId', { peerSaeId: 'alice' }],
        ['purpose', { purpose: '' }],
        ['purpose', { purpose: ' padded' }],
        ['purpose', { purpose: 'p'.repeat(129) }],
        ['sizeBits', { sizeBits: 128 }],
        ['sizeBits', { sizeBits: 1024 }],
        ['sizeBits', { sizeBits: 260 }],
        ['level', { level: 'one-time-pad' }],
        ['level', { level: 'best' as 'quantum' }],
        ['timeoutMs', { timeoutMs: 0 }],
      ] as const) {
        expect((await rejectsWith(hosts.initiate(alice, options), 'ERR_QKD_INVALID_ARGUMENT')).message).to.include(name)
      }
      for (const [name, options] of [
        ['purpose', { purpose: [] }],
        ['purpose', { purpose: ['fine', ''] }],
        ['allowedLevels', { allowedLevels: ['one-time-pad'] }],
        ['offerTimeoutMs', { offerTimeoutMs: 2 ** 31 }],
      ] as const) {
        expect((await rejectsWith(hosts.accept(bob, options), 'ERR_QKD_INVALID_ARGUMENT')).message).to.include(name)
      }
      const [toBob] = createMemoryChannelPair(['bob', 'bob'])
      expect((await rejectsWith(hosts.accept(toBob), 'ERR_QKD_INVALID_ARGUMENT')).message).to.include('channel.peerId')
      expect(hosts.alice.keys).to.be.empty
    })

    it('run one at a time on a channel', async () => {
      const { alice, bob } = openChannel()
      const first = hosts.agree({ alice, bob })
      await rejectsWith(hosts.initiate(alice), 'ERR_QKD_INVALID_ARGUMENT')
      for (const outcome of await first) keyOf(outcome)
    })

    it('refuse each other where both begin at once, and take no key', async () => {
      const { alice, bob } = openChannel()
      const outcomes = await Promise.all([
        hosts.initiate(alice),
        initiateAgreement(hosts.bob, bob, { peerSaeId: 'alice', purpose: 'test' }),
      ])
      const busy = { outcome: 'refused', code: 'busy', burnedKeyId: undefined }
      expect(outcomes).to.deep.equal([busy, busy])
      expect([...hosts.alice.keys, ...hosts.bob.keys]).to.be.empty
    })
  })

  describe('that fails', () => {
    it('passes the error of the initiator’s KMS on, and tells the responder', async () => {
      hosts.alice.alter = () => {
        throw new PoolExhaustedError('Empty')
      }
      const { alice, bob } = openChannel()
      const accepting = hosts.accept(bob)
      await rejectsWith(hosts.initiate(alice), 'ERR_QKD_POOL_EXHAUSTED')
      expect(await accepting).to.deep.equal({ outcome: 'refused', code: 'kms-failed', burnedKeyId: undefined })
    })

    it('passes the refusal of the responder’s KMS on, and tells the initiator', async () => {
      // Somebody was quicker with this key_ID.
      hosts.bob.beforeFetch = async () => {
        hosts.bob.beforeFetch = () => {}
        await hosts.bob.getKeyWithIds('alice', [hosts.alice.keys[0]!.keyId])
      }
      const { alice, bob } = openChannel()
      const initiating = hosts.initiate(alice)
      await rejectsWith(hosts.accept(bob), 'ERR_QKD_KEY_NOT_FOUND')
      const burnedKeyId = hosts.alice.keys[0]!.keyId
      expect(await initiating).to.deep.equal({ outcome: 'refused', code: 'kms-refused', burnedKeyId })
      expect(hosts.alice.keys[0]!.secret.wiped).to.equal(true)
    })

    it('refuses what a KMS should not have given: another size, level or number of keys', async () => {
      for (const alter of [
        ([key]) => [{ ...key!, secret: SecretKey.random(16) }],
        ([key]) => [{ ...key!, level: 'expanded' }],
        ([key]) => [key!, { ...key!, secret: SecretKey.random(32) }],
        () => [],
      ] as Hosts['alice']['alter'][]) {
        hosts.forget()
        hosts.alice.alter = alter
        const { alice, bob } = openChannel()
        const accepting = hosts.accept(bob)
        await rejectsWith(hosts.initiate(alice, { level: 'quantum' }), 'ERR_QKD_KME_RESPONSE')
        expect(await accepting).to.include({ outcome: 'refused', code: 'kms-failed' })
        expect(hosts.allWiped()).to.equal(true)
      }
    })

    it('finds a responder whose KMS gave another key, key_ID or size', async () => {
      for (const [fault, alter] of [
        ['wrong-proof', ([key]) => [{ ...key!, secret: SecretKey.random(32) }]],
        ['wrong-key', ([key]) => [{ ...key!, secret: SecretKey.random(64) }]],
        ['wrong-key', ([key]) => [{ ...key!, keyId: '00000000-0000-4000-8000-000000000000' }]],
      ] as [string, Hosts['bob']['alter']][]) {
        hosts.forget()
        hosts.bob.alter = alter
        const [alice, bob] = await hosts.agree(openChannel())
        const burnedKeyId = hosts.alice.keys[0]!.keyId
        expect(bob).to.deep.equal({ outcome: 'mismatch', fault, burnedKeyId })
        expect(alice).to.deep.equal({ outcome: 'refused', code: fault, burnedKeyId })
        expect(hosts.allWiped()).to.equal(true)
      }
    })

    it('wipes a key that its KMS delivers after the wait was over', async () => {
      const released = deferred<void>()
      const { bob } = hosts
      // It does not heed the signal.
      const deaf: Kms = {
        saeId: 'bob',
        getStatus: () => bob.getStatus('alice'),
        getKey: () => bob.getKey('alice'),
        getKeyWithIds: async (master, keyIds) => {
          await released.promise
          return await bob.getKeyWithIds(master, keyIds)
        },
        close: async () => {},
        [Symbol.asyncDispose]: async () => {},
      }
      const ends = openChannel()
      const initiating = hosts.initiate(ends.alice)
      const outcome = await acceptAgreement(deaf, ends.bob, { purpose: 'test', offerTimeoutMs: 5_000, timeoutMs: 60 })
      expect(outcome).to.include({ outcome: 'timed-out', waitingFor: 'kms' })
      expect(await initiating).to.include({ outcome: 'refused', code: 'timed-out' })
      released.resolve()
      await until(() => bob.keys.length === 1 && hosts.allWiped(), 'the late key is wiped')
    })

    it('blames the end that was waited for', async () => {
      const { alice, bob } = openChannel()
      const initiating = hosts.initiate(alice, { timeoutMs: 200 })
      const { agreementId } = decodeMessage((await bob.receive())!)
      await bob.send(encodeMessage({ type: 'ready', agreementId, nonce: Buffer.alloc(32) }))
      const outcome = await initiating
      const burnedKeyId = hosts.alice.keys[0]!.keyId
      expect(outcome).to.deep.equal({ outcome: 'timed-out', waitingFor: 'peer', burnedKeyId })
      expect(hosts.allWiped()).to.equal(true)
    })

    it('rejects with the reason of an abort in the middle, tells the other end and wipes', async () => {
      const reason = new Error('Enough')
      for (const side of ['alice', 'bob'] as const) {
        hosts.forget()
        const controller = new AbortController()
        hosts.bob.beforeFetch = () => controller.abort(reason)
        const { alice, bob } = openChannel()
        const { signal } = controller
        const both = [
          hosts.initiate(alice, side === 'alice' ? { signal } : {}),
          hosts.accept(bob, side === 'bob' ? { signal } : {}),
        ]
        const [aborted, other] = side === 'alice' ? both : both.toReversed()
        expect(await aborted!.catch((error: unknown) => error)).to.equal(reason)
        // Bob may have been quicker with his confirmation than he heard of the end.
        const told = await other!
        if (told.outcome !== 'agreed') expect(told).to.include({ outcome: 'refused', code: 'cancelled' })
        expect(hosts.allWiped()).to.equal(true)
      }
    })

    it('does nothing at all for a signal that is aborted already', async () => {
      const reason = new Error('Enough')
      const { alice, bob } = openChannel()
      expect(await hosts.initiate(alice, { signal: AbortSignal.abort(reason) }).catch(error => error)).to.equal(reason)
      expect(await hosts.accept(bob, { signal: AbortSignal.abort(reason) }).catch(error => error)).to.equal(reason)
      await alice.send(Buffer.from('first'))
      expect(Buffer.from((await bob.receive())!).toString()).to.equal('first')
    })

    it('ends at both where either closes while the responder asks its KMS', async () => {
      for (const side of ['alice', 'bob'] as const) {
        hosts.forget()
        const ends = openChannel()
        hosts.bob.beforeFetch = () => ends[side].close()
        const [alice, bob] = await hosts.agree(ends)
        const burnedKeyId = hosts.alice.keys[0]!.keyId
        expect(alice).to.deep.equal({ outcome: 'peer-closed', burnedKeyId })
        expect(bob).to.deep.equal({ outcome: 'peer-closed', burnedKeyId })
        expect(hosts.allWiped()).to.equal(true)
      }
    })

    it('burns its key: neither end can have it again', async () => {
      hosts.bob.alter = ([key]) => [{ ...key!, secret: SecretKey.random(32) }]
      const [failed] = await hosts.agree(openChannel())
      const { burnedKeyId } = failed as Exclude<AgreementOutcome, { outcome: 'agreed' }>
      hosts.forget()
      await rejectsWith(hosts.bob.getKeyWithIds('alice', [burnedKeyId!]), 'ERR_QKD_KEY_NOT_FOUND')
      const [next] = await hosts.agree(openChannel())
      expect(keyOf(next).keyId).to.not.equal(burnedKeyId)
    })

    it('leaves the channel good for the next one, whatever it left in it', async () => {
      const ends = openChannel()
      hosts.bob.beforeFetch = () => new Promise(() => {})
      for (const timeouts of [
        { alice: { timeoutMs: 40 }, bob: { timeoutMs: 80 } },
        { alice: { timeoutMs: 80 }, bob: { timeoutMs: 40 } },
        { alice: { timeoutMs: 60 }, bob: { timeoutMs: 60 } },
      ]) {
        for (const outcome of await hosts.agree(ends, timeouts))
          expect(outcome.outcome).to.be.oneOf(['timed-out', 'refused'])
      }
      hosts.forget()
      for (const outcome of await hosts.agree(ends)) keyOf(outcome)
    })
  })

  describe('keyFingerprint', () => {
    it('is the same eight hex digits at both ends, and others for another key', async () => {
      const ends = openChannel()
      const [alice, bob] = (await hosts.agree(ends)).map(keyOf)
      const [other] = (await hosts.agree(ends)).map(keyOf)
      expect(keyFingerprint(alice!)).to.match(/^[0-9a-f]{8}$/)
      expect(keyFingerprint(bob!)).to.equal(keyFingerprint(alice!))
      expect(keyFingerprint(other!)).to.not.equal(keyFingerprint(alice!))
      const shown = hkdf(alice!.secret, { hash: 'sha256', info: 'qkdkit/1 fingerprint', sizeBytes: 32 })
      expect(keyFingerprint(alice!)).to.equal(hmacTag('sha256', shown, lp(alice!.keyId)).toString('hex').slice(0, 8))
    })
  })
})

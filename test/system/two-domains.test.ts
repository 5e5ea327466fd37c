import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { createHttpsTransport } from '../../lib/http/https-transport.ts'
import type { Key, Kms } from '../../lib/interface/kms.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTwoDomains, type TwoDomains } from '../helpers/two-domains.ts'
import { until } from '../helpers/until.ts'

/** Keys, as soon as the sites of both domains have met and have some. */
async function draw(kms: Kms, slaveSaeId: string, options: Parameters<Kms['getKey']>[1] = {}): Promise<Key[]> {
  let keys: Key[] = []
  const isThere = async () => {
    keys = await kms.getKey(slaveSaeId, options).catch(error => {
      if (/NO_ROUTE|POOL_/.test(error.code)) return []
      throw error
    })
    return keys.length > 0
  }
  await until(isThere, `keys for ${slaveSaeId}`, { timeoutMs: 20_000 })
  return keys
}

describe('two domains of two sites each', function () {
  this.timeout(60_000)

  for (const mode of ['asynchronous', 'synchronous'] as const) {
    describe(`with ${mode} acknowledgements`, () => {
      let domains: TwoDomains

      before(async () => {
        domains = await createTwoDomains({ mode })
      })
      after(() => domains[Symbol.asyncDispose]())

      it('gives Carol the keys that Alice was given, once each, whatever the direction', async () => {
        await using alice = domains.kms('alice')
        await using carol = domains.kms('carol')
        for (const [master, slave] of [
          [alice, carol],
          [carol, alice],
        ] as const) {
          const keys = await draw(master, slave.saeId, { number: 3, sizeBits: 512 })
          const ids = keys.map(({ keyId }) => keyId)
          const fetched = await slave.getKeyWithIds(master.saeId, ids)
          expect(fetched.map(({ keyId }) => keyId)).to.deep.equal(ids)
          for (const [at, key] of fetched.entries()) {
            expect(key.secret.equals(keys[at]!.secret)).to.equal(true)
            expect(key).to.include({ level: 'quantum', trustClass: 'relayed', sizeBits: 512 })
            expect(keys[at]).to.include({ level: 'quantum', trustClass: 'relayed' })
          }
          await rejectsWith(slave.getKeyWithIds(master.saeId, ids), 'ERR_QKD_KEY_NOT_FOUND')
        }
      })

      it('serves many at once in both directions', async () => {
        await using alice = domains.kms('alice')
        await using carol = domains.kms('carol')
        await draw(alice, 'carol')
        await draw(carol, 'alice')
        const rounds = Array.from({ length: 12 }, async (_, at) => {
          const [master, slave] = at % 2 === 0 ? [alice, carol] : [carol, alice]
          const [key] = await master.getKey(slave.saeId)
          const [same] = await slave.getKeyWithIds(master.saeId, [key!.keyId])
          return same!.secret.equals(key!.secret)
        })
        expect(await Promise.all(rounds)).to.deep.equal(Array(12).fill(true))
      })

      it('serves hosts of the border sites too', async () => {
        for (const [from, to] of [
          ['amos', 'cleo'],
          ['amos', 'carol'],
          ['alice', 'cleo'],
        ] as const) {
          await using master = domains.kms(from)
          await using slave = domains.kms(to)
          const [key] = await draw(master, to)
          const [same] = await slave.getKeyWithIds(from, [key!.keyId])
          expect(same!.secret.equals(key!.secret), `${from} and ${to}`).to.equal(true)
        }
      })

      it('gives one key to several hosts of the other domain', async () => {
        await using alice = domains.kms('alice')
        const [key] = await draw(alice, 'carol', { additionalSlaveSaeIds: ['carl', 'anna'] })
        for (const saeId of ['carol', 'carl', 'anna']) {
          await using slave = domains.kms(saeId)
          const [same] = await slave.getKeyWithIds('alice', [key!.keyId])
          expect(same!.secret.equals(key!.secret), saeId).to.equal(true)
        }
      })

      it('keeps a key from everybody whom it was not drawn for', async () => {
        await using alice = domains.kms('alice')
        await using carol = domains.kms('carol')
        await using carl = domains.kms('carl')
        const [key] = await draw(alice, 'carol')
        await rejectsWith(carl.getKeyWithIds('alice', [key!.keyId]), 'ERR_QKD_UNAUTHORIZED')
        const [same] = await carol.getKeyWithIds('alice', [key!.keyId])
        expect(same!.secret.equals(key!.secret)).to.equal(true)
      })
    })
  }

  describe('where something is missing', () => {
    let domains: TwoDomains
    let alice: Kms
    let carol: Kms

    beforeEach(async () => {
      domains = await createTwoDomains()
      alice = domains.kms('alice')
      carol = domains.kms('carol')
      await draw(alice, 'carol')
    })
    afterEach(async () => {
      await Promise.all([alice.close(), carol.close()])
      await domains[Symbol.asyncDispose]()
    })

    it('releases no key that the far side has not confirmed', async () => {
      await domains.stop('inner-2')
      const refused = await alice.getKey('carol', { timeoutMs: 4_000 }).catch(error => error)
      expect(refused).to.be.an('error')
      expect(refused.code).to.match(/ERR_QKD_(NO_ROUTE|POOL_DESYNC|KME_UNREACHABLE|POOL_EXHAUSTED)/)
      await domains.start('inner-2')
      const [key] = await draw(alice, 'carol')
      const [same] = await carol.getKeyWithIds('alice', [key!.keyId])
      expect(same!.secret.equals(key!.secret)).to.equal(true)
    })

    it('keeps a key over a restart of the slave’s site, and its end too', async () => {
      const [kept, taken] = await alice.getKey('carol', { number: 2 })
      await carol.getKeyWithIds('alice', [taken!.keyId])
      await carol.close()
      await domains.stop('inner-2')
      await domains.start('inner-2')
      carol = domains.kms('carol')
      let same: Awaited<ReturnType<Kms['getKeyWithIds']>> | undefined
      await until(async () => {
        same = await carol.getKeyWithIds('alice', [kept!.keyId]).catch(error => {
          if (error.code === 'ERR_QKD_KEY_NOT_FOUND') throw error
          return undefined
        })
        return same !== undefined
      }, 'the key after the restart')
      expect(same![0]!.secret.equals(kept!.secret)).to.equal(true)
      await rejectsWith(carol.getKeyWithIds('alice', [taken!.keyId]), 'ERR_QKD_KEY_NOT_FOUND')
    })

    it('erases what is voided, and lets no other domain void it', async () => {
      const [key] = await alice.getKey('carol')
      const request = { key_ids: [key!.keyId], initiator_sae_id: 'alice', target_sae_ids: ['carol'] }
      const body = Buffer.from(JSON.stringify(request))
      const post = async (name: string) => {
        await using transport = createHttpsTransport({
          ...domains.credentials(name),
          baseUrl: domains.site('border-2').address.border!.url,
          minVersion: 'TLSv1.3',
        })
        return await transport.request({ method: 'POST', target: '/kmapi/v1/ext_keys/void', body: Buffer.from(body) })
      }
      expect((await post('kme-inner-1')).status).to.equal(401)
      const { status, body: acks } = await post('kme-border-1')
      expect(status).to.equal(200)
      expect(JSON.parse(Buffer.from(acks).toString())).to.deep.include({
        ack_status: 'voided',
        initiator_sae_id: 'alice',
        target_sae_ids: ['carol'],
        key_id_container: [{ key_id: key!.keyId }],
      })
      await until(
        () =>
          carol.getKeyWithIds('alice', [key!.keyId]).then(
            () => expect.fail('a voided key was given'),
            error => error.code === 'ERR_QKD_KEY_NOT_FOUND',
          ),
        'the key is gone',
      )
    })

    it('goes on after both ends of the border were down', async () => {
      await domains.stop('border-2')
      const refused = await alice.getKey('carol', { timeoutMs: 3_000 }).catch(error => error)
      expect(refused.code).to.equal('ERR_QKD_NO_ROUTE')
      await domains.stop('border-1')
      await domains.start('border-2')
      await domains.start('border-1')
      const [key] = await draw(alice, 'carol')
      const [same] = await carol.getKeyWithIds('alice', [key!.keyId])
      expect(same!.secret.equals(key!.secret)).to.equal(true)
    })

    it('writes in the audit log of each site what crossed', async () => {
      const [key] = await alice.getKey('carol')
      await carol.getKeyWithIds('alice', [key!.keyId])
      const events = { 'inner-1': 'issue', 'border-1': 'share', 'border-2': 'share', 'inner-2': 'deliver' } as const
      for (const [name, event] of Object.entries(events)) {
        const log = await readFile(domains.auditFile(name as keyof typeof events), 'utf8')
        const line = log.split('\n').find(text => text.includes(key!.keyId) && text.includes(`"${event}"`))
        expect(line, `${name}: ${event}`).to.be.a('string')
        expect(line).to.include('alice').and.include('carol')
      }
    })
  })

  it('refuses by the policy of the border, and by what the domains have agreed', async () => {
    const deny = { rules: [{ name: 'stay-home', match: { slave: ['carl'] }, deny: true }], otherwise: 'allow' } as const
    await using domains = await createTwoDomains({ policies: { 'border-2': deny } })
    await using alice = domains.kms('alice')
    await draw(alice, 'carol')
    const refused = await alice.getKey('carl').catch(error => error)
    expect(refused.code).to.match(/ERR_QKD_(NO_ROUTE|POLICY_DENIED)/)
    // The domains have agreed on keys of level quantum: none may be called more.
    const level = await alice.getKey('carol', { level: 'hybrid' }).catch(error => error)
    expect(level.code).to.equal('ERR_QKD_POLICY_DENIED')
    expect(await alice.getKey('carol')).to.have.length(1)
  })
})

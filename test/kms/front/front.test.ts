import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { StoreError } from '../../../lib/errors.ts'
import { createFront } from '../../../lib/front.ts'
import type { AuditLog } from '../../../lib/interface/audit.ts'
import type { Key, Kms, TrustClass } from '../../../lib/interface/kms.ts'
import type { PolicyFile } from '../../../lib/interface/policy.ts'
import type { TelemetryEvent } from '../../../lib/interface/telemetry.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { FrontDirectory } from '../../../lib/kms/front/front-directory.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { createFrontPair } from './front-pair.ts'

const policy: PolicyFile = {
  rules: [
    { name: 'carol gets none', match: { slave: ['carol'] }, deny: true },
    {
      name: 'small and slow',
      match: { master: ['alice'] },
      maxKeySizeBits: 512,
      maxKeysPerRequest: 4,
      rate: { bitsPerSecond: 2_560, burstBits: 2_560 },
    },
  ],
  otherwise: 'allow',
}

/** A front whose rule takes direct keys alone, and the KMS behind it, which says so much of its keys. */
function frontOf(told: Partial<Pick<Key, 'level' | 'trustClass'>>, trustClass: TrustClass = 'direct') {
  const secrets: SecretKey[] = []
  const kms = {
    saeId: 'alice',
    getKey: async () => {
      const secret = SecretKey.random(32)
      secrets.push(secret)
      return [{ keyId: '0a2dd6ae-7a2d-4d9c-9a2e-3f6b7c8d9e0f', secret, sizeBits: 256, ...told }]
    },
    close: async () => {},
  } as unknown as Kms
  const directory = new FrontDirectory({
    local: { siteId: 'site-a', kmeId: 'front', saeIds: ['alice'] },
    peers: [{ siteId: 'site-b', kmeId: 'kme-b', saeIds: ['bob'], level: 'quantum', trustClass, open: () => kms }],
    keys: { keySizeBits: 256, minKeySizeBits: 64, maxKeySizeBits: 1_024, maxKeyPerRequest: 8 },
    policy: { rules: [{ name: 'direct', trustClasses: ['direct'] }], otherwise: 'deny' },
    telemetry: new TelemetryHub(),
  })
  return { directory, secrets }
}

describe('Front', () => {
  it('decides by its policy before it asks for a key, and takes another one while it serves', async () => {
    await using pair = await createFrontPair({ policy })
    const [front] = pair.fronts
    const alice = pair.remote('alice')
    await rejectsWith(alice.getKey('carol'), 'ERR_QKD_POLICY_DENIED')
    await rejectsWith(alice.getKey('bob', { sizeBits: 1_024 }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(alice.getKey('bob', { number: 5 }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(alice.getKey('bob', { level: 'hybrid' }), 'ERR_QKD_POLICY_DENIED')
    expect(pair.foreign.issuedCount).to.equal(0)
    expect(await alice.getStatus('bob')).to.include({ maxKeySizeBits: 512, maxKeyPerRequest: 4 })
    for (let count = 0; count < 2; count += 1) await alice.getKey('bob', { number: 4 })
    await rejectsWith(alice.getKey('bob', { number: 4 }), 'ERR_QKD_POOL_EXHAUSTED')
    expect(pair.foreign.issuedCount).to.equal(8)
    front.setPolicy({ rules: [], otherwise: 'deny' })
    await rejectsWith(alice.getKey('bob'), 'ERR_QKD_POLICY_DENIED')
    front.setPolicy({ rules: [], otherwise: 'allow' })
    expect(await alice.getKey('bob', { number: 20 })).to.have.length(20)
    await alice.close()
  })

  it('lets the policy of the far site refuse what this one drew, and leaves the key at the KME', async () => {
    await using pair = await createFrontPair()
    const [alice, bob] = [pair.remote('alice'), pair.remote('bob')]
    const [given] = await alice.getKey('bob')
    pair.fronts[1].setPolicy({ rules: [{ name: 'none', deny: true }], otherwise: 'allow' })
    await rejectsWith(bob.getKeyWithIds('alice', [given!.keyId]), 'ERR_QKD_POLICY_DENIED')
    expect(pair.foreign.fetchedCount).to.equal(0)
    pair.fronts[1].setPolicy({ rules: [], otherwise: 'allow' })
    const [fetched] = await bob.getKeyWithIds('alice', [given!.keyId])
    expect(fetched!.secret.equals(given!.secret)).to.equal(true)
    await Promise.all([alice.close(), bob.close()])
  })

  it('writes who was given which key, and who was refused, before a key leaves', async () => {
    await using dir = await createTempDir()
    const file = join(dir.path, 'audit.log')
    const events: TelemetryEvent[] = []
    await using pair = await createFrontPair()
    await using front = await createFront({ ...pair.configs[0], audit: { file } })
    front.telemetry.subscribe(event => events.push(event))
    const alice = front.kmsFor('alice')
    const keys = await alice.getKey('bob', { number: 2, integration: 'tls' })
    await rejectsWith(alice.getKey('nobody'), 'ERR_QKD_INVALID_ARGUMENT')
    await front.close()
    const lines = (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    const issued = lines.find(({ event }) => event === 'issue')
    expect(issued).to.deep.include({
      masterSaeId: 'alice',
      slaveSaeId: 'bob',
      peerSiteId: 'site-b',
      integration: 'tls',
    })
    expect(issued.keyIds).to.deep.equal(keys.map(({ keyId }) => keyId))
    expect(lines.some(({ event, outcome }) => event === 'refuse' && outcome === 'ERR_QKD_INVALID_ARGUMENT')).to.equal(
      true,
    )
    const types = events.map(({ type }) => type)
    expect(types).to.deep.equal(['key-issued', 'key-issued', 'key-refused'])
  })

  it('wipes a key of which the audit log cannot tell', async () => {
    await using pair = await createFrontPair()
    const audit = { record: () => Promise.reject(new StoreError('the disk is full')) } as unknown as AuditLog
    const secrets: { wiped: boolean }[] = []
    const real = pair.fronts[0].kmsFor('alice')
    await using directory = new FrontDirectory({
      local: { siteId: 'site-a', kmeId: 'front', saeIds: ['alice'] },
      peers: [
        {
          siteId: 'site-b',
          kmeId: 'kme-b',
          saeIds: ['bob'],
          level: 'quantum',
          trustClass: 'direct',
          open: () =>
            Object.assign(Object.create(real), {
              getKey: async (...args: Parameters<typeof real.getKey>) => {
                const keys = await real.getKey(...args)
                secrets.push(...keys.map(({ secret }) => secret))
                return keys
              },
              close: async () => {},
            }),
        },
      ],
      keys: { keySizeBits: 256, minKeySizeBits: 64, maxKeySizeBits: 1_024, maxKeyPerRequest: 8 },
      audit,
      telemetry: new TelemetryHub(),
    })
    await rejectsWith(directory.kmsFor('alice').getKey('bob', { number: 3 }), 'ERR_QKD_STORE')
    expect(secrets.map(({ wiped }) => wiped)).to.deep.equal([true, true, true])
  })

  for (const [what, told, code] of [
    ['as good as it is held to be', { level: 'quantum', trustClass: 'direct' }, undefined],
    ['of which nothing is said', {}, undefined],
    ['better than it is held to be', { level: 'one-time-pad', trustClass: 'direct' }, undefined],
    ['of a lower level', { level: 'expanded', trustClass: 'direct' }, 'ERR_QKD_POLICY_DENIED'],
    ['of a class that the rule does not take', { level: 'quantum', trustClass: 'relayed' }, 'ERR_QKD_POLICY_DENIED'],
  ] as const) {
    it(`${code === undefined ? 'passes on' : 'wipes'} a key ${what}`, async () => {
      const { directory, secrets } = frontOf({ ...told })
      await using _ = directory
      const got = await directory
        .kmsFor('alice')
        .getKey('bob', { minLevel: 'quantum' })
        .catch(error => error)
      expect(got.code).to.equal(code)
      expect(secrets.map(({ wiped }) => wiped)).to.deep.equal([code !== undefined])
    })
  }

  it('looks at the level that a host asks for before it fetches, and fetches from a KME that tells none', async () => {
    await using pair = await createFrontPair()
    const [alice, bob] = [pair.remote('alice'), pair.remote('bob')]
    const [given] = await alice.getKey('bob')
    const ids = [given!.keyId]
    await rejectsWith(bob.getKeyWithIds('alice', ids, { minLevel: 'hybrid' }), 'ERR_QKD_POLICY_DENIED')
    expect(pair.foreign.fetchedCount).to.equal(0)
    const [fetched] = await bob.getKeyWithIds('alice', ids, { minLevel: 'quantum' })
    expect(fetched!.secret.equals(given!.secret)).to.equal(true)
    await Promise.all([alice.close(), bob.close()])
  })

  it('asks for no key where the rule takes none of the class', async () => {
    const { directory, secrets } = frontOf({}, 'relayed')
    await using _ = directory
    await rejectsWith(directory.kmsFor('alice').getKey('bob'), 'ERR_QKD_POLICY_DENIED')
    expect(secrets).to.deep.equal([])
  })

  it('refuses hosts that are not its own, and every call once it is closed', async () => {
    const pair = await createFrontPair()
    const [front] = pair.fronts
    expect(() => front.kmsFor('mallory')).to.throw(/not registered/)
    expect(() => front.kmsFor('bob')).to.throw(/not registered/)
    const alice = front.kmsFor('alice')
    await pair[Symbol.asyncDispose]()
    await rejectsWith(alice.getKey('bob'), 'ERR_QKD_CLOSED')
  })
})

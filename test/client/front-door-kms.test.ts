import { expect } from 'chai'
import { createFrontDoorKms } from '../../lib/client/front-door-kms.ts'
import { createProfileKms } from '../../lib/client/profile-kms.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import { species } from '../helpers/kme-zoo/species.ts'
import { createZooKme } from '../helpers/kme-zoo/zoo-kme.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'

const authority = createTestAuthority()
const kme = authority.issue('kme')
const zoo = (name: 'etsi' | 'dske' | 'qkdnetsim') => {
  const { behaviour, plain, prefix } = species[name]
  return createZooKme(behaviour, { ...(!plain && { credentials: kme }), ...(prefix && { prefix }) })
}

describe('createProfileKms', () => {
  it('asks the KME that serves the host at the other end, each in its own way', async () => {
    await using main = await zoo('etsi')
    await using north = await zoo('dske')
    await using south = await zoo('qkdnetsim')
    const open = (saeId: string) => {
      const tls = authority.issue(saeId)
      return createProfileKms({
        saeId,
        kme: main.url,
        tls,
        peerKmes: [
          { saes: ['nora'], kme: north.url, profile: 'dske', kmeId: 'kme', tls },
          { saes: ['sam', 'sue'], kme: south.url, profile: 'qkdnetsim', tls },
        ],
      })
    }
    await using alice = open('alice')
    for (const [slave, behind] of [
      ['nora', north],
      ['sue', south],
      ['bob', main],
    ] as const) {
      await using kms = createProfileKms({ saeId: slave, tls: authority.issue(slave), ...accessOf(slave, behind.url) })
      const before = behind.consuming
      const [given] = await alice.getKey(slave)
      expect((await alice.getStatus(slave)).slaveSaeId).to.equal(slave)
      const [fetched] = await kms.getKeyWithIds('alice', [given!.keyId])
      expect(fetched!.secret.equals(given!.secret)).to.equal(true)
      expect(behind.consuming - before).to.equal(2)
    }
    expect([main, north, south].map(({ consuming }) => consuming)).to.deep.equal([2, 2, 2])
  })
})

const PROFILES = { nora: 'dske', sue: 'qkdnetsim', bob: 'etsi' } as const
const accessOf = (slave: keyof typeof PROFILES, url: string) => ({ kme: url, profile: PROFILES[slave] })

describe('FrontDoorKms', () => {
  const kmsOf = (saeId: string) => {
    const calls: string[] = []
    const call = (name: string) => async (other: string) => {
      calls.push(`${name} ${other}`)
      return []
    }
    const kms = {
      saeId,
      getStatus: call('status'),
      getKey: call('get'),
      getKeyWithIds: call('fetch'),
      close: call('close'),
    } as unknown as Kms
    return { kms, calls }
  }

  it('routes every call by the host at the other end, and closes all that is behind it, once', async () => {
    const [main, peer] = [kmsOf('alice'), kmsOf('alice')]
    const door = createFrontDoorKms({ main: main.kms, peers: [{ kms: peer.kms, saes: ['carol', 'dora'] }] })
    expect(door.saeId).to.equal('alice')
    await door.getStatus('carol')
    await door.getKey('bob')
    await door.getKey('carol', { additionalSlaveSaeIds: ['dora'] })
    await door.getKeyWithIds('dora', ['x'])
    await door.close()
    await door.close()
    expect(peer.calls).to.deep.equal(['status carol', 'get carol', 'fetch dora', 'close undefined'])
    expect(main.calls).to.deep.equal(['get bob', 'close undefined'])
    await rejectsWith(door.getKey('bob'), 'ERR_QKD_CLOSED')
  })

  it('refuses hosts that nobody serves, and keys for hosts behind two KMSs', async () => {
    const [one, two] = [kmsOf('alice'), kmsOf('alice')]
    const door = createFrontDoorKms({
      peers: [
        { kms: one.kms, saes: ['bob'] },
        { kms: two.kms, saes: ['carol'] },
      ],
    })
    await rejectsWith(door.getKey('dora'), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(door.getKey('bob', { additionalSlaveSaeIds: ['carol'] }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(door.getKey('alice'), 'ERR_QKD_INVALID_ARGUMENT')
    expect([...one.calls, ...two.calls]).to.deep.equal([])
  })

  it('refuses to be made of KMSs of two hosts, of none, or with a host in two places', () => {
    const [alice, other] = [kmsOf('alice').kms, kmsOf('amy').kms]
    const wrong = [
      { peers: [] },
      { main: alice, peers: [{ kms: other, saes: ['bob'] }] },
      { peers: [{ kms: alice, saes: ['bob', 'bob'] }] },
      { peers: [{ kms: alice, saes: ['alice'] }] },
    ]
    for (const options of wrong) expect(() => createFrontDoorKms(options)).to.throw()
  })
})

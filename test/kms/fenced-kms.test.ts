import { expect } from 'chai'
import type { Key, Kms } from '../../lib/interface/kms.ts'
import { FencedKms } from '../../lib/kms/owner/fenced-kms.ts'
import { createLocalPair, type Site } from '../../lib/site.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'

describe('FencedKms', () => {
  let sites: [Site, Site]
  let isOwner: boolean
  /** Called when the KMS behind has a key ready, durable and audited. */
  let onKey: (keys: readonly Key[]) => void
  let alice: Kms

  before(async () => {
    sites = await createLocalPair()
    const kms = sites[0].kmsFor('alice')
    const behind = Object.create(kms, {
      getKey: {
        value: async (...args: Parameters<Kms['getKey']>) => {
          const keys = await kms.getKey(...args)
          onKey(keys)
          return keys
        },
      },
      getKeyWithIds: { value: (...args: Parameters<Kms['getKeyWithIds']>) => kms.getKeyWithIds(...args) },
      getStatus: { value: (...args: Parameters<Kms['getStatus']>) => kms.getStatus(...args) },
    }) as Kms
    alice = new FencedKms(behind, () => isOwner)
  })
  after(() => Promise.all(sites.map(site => site.close())))
  beforeEach(() => {
    isOwner = true
    onKey = () => {}
  })

  it('gives keys while its process owns the pools', async () => {
    const [key] = await alice.getKey('bob')
    const [same] = await sites[1].kmsFor('bob').getKeyWithIds('alice', [key!.keyId])
    expect(same!.secret.equals(key!.secret)).to.equal(true)
  })

  it('refuses, and draws none, once it does not', async () => {
    isOwner = false
    let drawn = 0
    onKey = () => {
      drawn += 1
    }
    const error = await rejectsWith(alice.getKey('bob'), 'ERR_QKD_KME_UNREACHABLE')
    expect(error.details).to.deep.equal([{ sent: false }])
    expect(drawn).to.equal(0)
    await rejectsWith(alice.getKeyWithIds('bob', ['00000000-0000-4000-8000-000000000000']), 'ERR_QKD_KME_UNREACHABLE')
  })

  it('keeps back and wipes a key that was ready when the time was over', async () => {
    let ready: readonly Key[] = []
    onKey = keys => {
      ready = keys
      isOwner = false
    }
    const error = await rejectsWith(alice.getKey('bob'), 'ERR_QKD_KME_UNREACHABLE')
    expect(error.details).to.deep.equal([{ sent: true }])
    expect(ready.map(({ secret }) => secret.wiped)).to.deep.equal([true])
  })

  it('tells the state of the pool whoever owns it', async () => {
    isOwner = false
    expect((await alice.getStatus('bob')).slaveSaeId).to.equal('bob')
  })
})

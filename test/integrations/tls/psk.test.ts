import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { derivePsk, LentPsk, type PskContext } from '../../../integrations/tls/psk.ts'
import { exportKey, type Key, PskHandshakeError, SecretKey } from '../../../lib/index.ts'
import { rolePsk } from './plain-client.ts'

const context: PskContext = { masterSaeId: 'alice', slaveSaeId: 'bob', keyId: 'id', binding: 'role' }

describe('derivePsk', () => {
  it('binds a key to its client, its server and its key_ID', () => {
    const bytes = randomBytes(32)
    const derive = (over: Partial<PskContext>) =>
      exportKey(derivePsk(SecretKey.copyOf(bytes), { ...context, ...over })).toString('hex')
    const variants = [
      {},
      { masterSaeId: 'bob', slaveSaeId: 'alice' },
      { masterSaeId: 'carol' },
      { slaveSaeId: 'carol' },
      { keyId: 'other' },
      { binding: 'raw' as const },
    ].map(derive)
    expect(new Set(variants).size).to.equal(variants.length)
  })

  it('is the HKDF that the documentation gives', () => {
    const secret = SecretKey.random(32)
    const expected = rolePsk({ keyId: 'id', secret } as Key)
    expect(exportKey(derivePsk(secret, context)).equals(expected)).to.equal(true)
  })

  it('takes the key over: wiped for role, itself for raw', () => {
    const [one, two] = [SecretKey.random(32), SecretKey.random(64)]
    expect(derivePsk(one, context).sizeBytes).to.equal(32)
    expect(one.wiped).to.equal(true)
    expect(derivePsk(two, { ...context, binding: 'raw' })).to.equal(two)
    expect(two.wiped).to.equal(false)
  })

  it('refuses keys that TLS should not or OpenSSL cannot use, and wipes them', () => {
    for (const [binding, sizeBytes] of [
      ['role', 1],
      ['role', 31],
      ['raw', 31],
      ['raw', 513],
    ] as const) {
      const secret = SecretKey.random(sizeBytes)
      expect(() => derivePsk(secret, { ...context, binding })).to.throw(PskHandshakeError)
      expect(secret.wiped).to.equal(true)
    }
    expect(derivePsk(SecretKey.random(513), context).sizeBytes).to.equal(32)
  })
})

describe('LentPsk', () => {
  it('is a copy that is wiped without the key', () => {
    const psk = SecretKey.random(32)
    const lent = new LentPsk(psk)
    expect(lent.bytes.equals(exportKey(psk))).to.equal(true)
    lent.wipe()
    expect(lent.bytes.equals(Buffer.alloc(32))).to.equal(true)
    expect(psk.wiped).to.equal(false)
  })
})

import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadKerberosConfig } from '../../../integrations/kerberos/config/kerberos-config.ts'
import { krb5ConfValue, listedEnctypes } from '../../../integrations/kerberos/doctor/enctype-list.ts'
import { parsePrincipal } from '../../../integrations/kerberos/principal.ts'
import { keyedPrincipal } from '../../../integrations/kerberos/versions/keyed-principal.ts'
import { type KeyVault, LedgerFile } from '../../../integrations/kerberos/versions/ledger-store.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const TRUST = 'krbtgt/B.QKD@A.QKD'
const valid = {
  kdc: { realm: 'A.QKD' },
  listen: {},
  peers: [{ saeId: 'bob', host: 'b.test', port: 7188 }],
  principals: [
    { principal: TRUST, role: 'issuer', peer: 'bob' },
    { principal: 'krbtgt/A.QKD@B.QKD', role: 'acceptor', peer: 'bob' },
  ],
}

describe('loadKerberosConfig', () => {
  const load = async (config: object) => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'kerberos.json')
    await writeFile(path, JSON.stringify(config))
    return await loadKerberosConfig(path)
  }

  it('fills in what Debian and the defaults say', async () => {
    const config = await load(valid)
    expect(config.kdc).to.include({ database: '/var/lib/krb5kdc/principal', stashFile: '/etc/krb5kdc/stash' })
    expect(config).to.include({ mode: 'setup', controlSocket: '/run/qkd/kerberos.sock', timeoutMs: 5_000 })
    expect(config.principals[0]).to.include({ ticketLifeSeconds: 36_000, rotateSeconds: 600, window: 1 })
  })

  const [issuer, acceptor] = valid.principals
  for (const [what, config, pointer, words] of [
    ['neither a KDC nor a keytab', { ...valid, kdc: undefined, keytab: undefined }, '/', 'either "kdc" or "keytab"'],
    ['an issuer without a KDC', { ...valid, kdc: undefined, keytab: '/k' }, '/principals/0/role', 'needs "kdc"'],
    ['mode plugin on a service host', { ...valid, kdc: undefined, keytab: '/k', mode: 'plugin' }, '/mode', 'plugin'],
    ['a principal of another realm', { ...valid, kdc: { realm: 'C.QKD' } }, '/principals/0/principal', 'own realm'],
    ['a peer that is not listed', { ...valid, peers: [] }, '/principals/0/peer', 'not among "peers"'],
    ['an acceptor that nobody can reach', { ...valid, peers: [{ saeId: 'bob' }] }, '/principals/0/peer', 'where bob'],
    ['nowhere to listen', { ...valid, listen: undefined }, '/listen', 'say where'],
    ['a principal twice', { ...valid, principals: [issuer, issuer, acceptor] }, '/principals/1/principal', 'twice'],
    ['an unknown type', { ...valid, principals: [{ ...issuer, enctypes: ['des3'] }] }, '/principals/0', 'not served'],
    [
      'a name that is none',
      { ...valid, principals: [{ ...issuer, principal: 'a b' }] },
      '/principals/0',
      'no principal',
    ],
    [
      'a rotation too often',
      { ...valid, principals: [{ ...issuer, rotateSeconds: 1 }] },
      '/principals/0',
      'rotateSeconds',
    ],
    ['a misspelt field', { ...valid, kcd: {} }, '/', '"kcd" is not known'],
  ] as const) {
    it(`refuses ${what}, and says where and what to do`, async () => {
      const { message } = await rejectsWith(load(config), 'ERR_QKD_CONFIG')
      expect(message).to.contain(pointer).and.to.contain(words)
    })
  }
})

describe('LedgerFile', () => {
  const vault: KeyVault = {
    seal: async () => 'sealed',
    open: async (_, { enctype }) => ({ enctype, secret: SecretKey.copyOf(Buffer.alloc(32, 1)) }),
  }
  const saved = () => ({
    principal: TRUST,
    foreign: { kvnos: [3], endsMs: undefined },
    versions: [
      {
        principal: TRUST,
        epoch: 4,
        kvno: 4,
        keyId: 'id',
        state: 'current' as const,
        keys: [{ enctype: 20 as const, secret: SecretKey.copyOf(Buffer.alloc(32, 1)) }],
        sinceMs: 5,
        endsMs: undefined,
      },
    ],
  })

  it('gives back what was saved, from a file that only its owner reads', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'state.json')
    const file = new LedgerFile(path, vault)
    expect(await file.load()).to.deep.equal([])
    await file.save([saved()])
    expect((await stat(path)).mode & 0o777).to.equal(0o600)
    expect(await readFile(path, 'utf8')).to.not.contain('0101')
    const [{ versions, ...rest }] = (await file.load()) as [ReturnType<typeof saved>]
    expect(rest).to.deep.equal({ principal: TRUST, foreign: { kvnos: [3], endsMs: undefined } })
    const { keys, ...version } = versions[0]!
    const { keys: wanted, ...before } = saved().versions[0]!
    expect(version).to.deep.equal(before)
    expect(keys[0]!.secret.equals(wanted[0]!.secret)).to.equal(true)
  })

  it('says what is wrong with a file that is damaged, and what to do', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'state.json')
    for (const text of ['', '{', 'null', '{"format":"other"}', '{"format":"qkdkit kerberos versions 1"}']) {
      await writeFile(path, text)
      const { message } = await rejectsWith(new LedgerFile(path, vault).load(), 'ERR_QKD_STORE')
      expect(message).to.contain(path).and.to.contain('move it away')
    }
  })
})

describe('listedEnctypes', () => {
  it('knows names, short names and families of krb5.conf, and takes away', () => {
    expect([...listedEnctypes('aes256-cts-hmac-sha384-192, aes128-cts')]).to.deep.equal([20, 17])
    expect([...listedEnctypes('DEFAULT -aes128-sha1 -aes256-cts')]).to.deep.equal([20, 19])
    expect([...listedEnctypes('des3 rc4')]).to.deep.equal([])
  })

  it('is read from the right section', () => {
    const text = '[realms]\n permitted_enctypes = des3\n[libdefaults]\n\tpermitted_enctypes = aes256-sha2 \n'
    expect(krb5ConfValue(text, 'libdefaults', 'permitted_enctypes')).to.equal('aes256-sha2')
    expect(krb5ConfValue(text, 'libdefaults', 'default_realm')).to.equal(undefined)
  })
})

describe('parsePrincipal', () => {
  it('takes names apart, and refuses what a dump, a keytab or a command line would read as something else', () => {
    expect(parsePrincipal('HTTP/a.b@R.X')).to.deep.equal({ components: ['HTTP', 'a.b'], realm: 'R.X' })
    for (const name of [
      '',
      'a',
      'a@',
      '@R',
      'a@R@S',
      'a/@R',
      'a b@R',
      'a\tb@R',
      'a\n@R',
      'a"@R',
      'a;@R',
      'a*@R',
      'ä@R',
    ]) {
      expect(() => parsePrincipal(name), JSON.stringify(name)).to.throw('no principal')
    }
  })
})

describe('keyedPrincipal', () => {
  it('lets a KDC that gets no new key stop after ten rotations, and never before an hour', () => {
    const terms = { principal: TRUST, role: 'issuer', peerSaeId: 'bob' } as const
    expect(keyedPrincipal(terms).maxAgeSeconds).to.equal(6_000)
    expect(keyedPrincipal({ ...terms, ticketLifeSeconds: 600, rotateSeconds: 60 }).maxAgeSeconds).to.equal(3_600)
    expect(keyedPrincipal({ ...terms, maxAgeSeconds: 0 }).maxAgeSeconds).to.equal(0)
  })
})

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { createGssAcceptor, type GssAcceptor } from '../../../../integrations/kerberos/gssapi/gss-acceptor.ts'
import { createNegotiate } from '../../../../integrations/kerberos/gssapi/negotiate.ts'
import { readKeytab } from '../../../../integrations/kerberos/keytab.ts'
import { KvnoTable } from '../../../../integrations/kerberos/kvno-table.ts'
import { exportKey, SecretKey } from '../../../../lib/index.ts'
import { buildKdcModule } from '../../../helpers/kdc-module.ts'
import { requireKerberos, type TestClient } from '../../../helpers/kdc-realm.ts'
import { requireKerberosPackage, type TestKerberosPackage } from '../../../helpers/kerberos-package.ts'
import { peerProgram } from '../../../helpers/peer-program.ts'
import { createPluginRealms, type PluginRealms, rotate } from '../../../helpers/plugin-realms.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'

const SERVICE = 'HTTP/www.test@A.QKD'
const HOST_SERVICE = 'HTTP@www.test'

describe('GssAcceptor', function () {
  // The package is compiled where it is not there yet.
  this.timeout(180_000)
  let kerberos: TestKerberosPackage
  let realms: PluginRealms
  let table: KvnoTable
  let nowMs: number
  let acceptor: GssAcceptor
  let client: TestClient
  const outer = { ...process.env }

  before(async function () {
    requireKerberos(this)
    peerProgram(this, 'krb5-config', 'libkrb5-dev')
    peerProgram(this, 'curl', 'curl')
    kerberos = await requireKerberosPackage(this)
    await buildKdcModule('all')
  })
  beforeEach(async () => {
    nowMs = Date.now()
    realms = await createPluginRealms({ names: ['A.QKD'], now: () => nowMs })
    await realms.addPoolPrincipal(0, SERVICE)
    await realms.startAgent(0, { validMs: 0 })
    table = new KvnoTable({ now: () => nowMs })
    acceptor = await createGssAcceptor({
      services: [SERVICE],
      resolve: (principal, kvno) => table.resolve(principal, kvno),
      keytabPath: join(realms.directory, 'www.keytab'),
      kerberos,
      now: () => nowMs,
    })
    client = realms.client()
    Object.assign(process.env, acceptor.environment, {
      KRB5_CONFIG: client.env.KRB5_CONFIG,
      KRB5CCNAME: client.env.KRB5CCNAME,
    })
    newVersion()
  })
  afterEach(async () => {
    for (const name of ['KRB5_KTNAME', 'KRB5_CONFIG', 'KRB5CCNAME']) {
      if (outer[name] === undefined) delete process.env[name]
      else process.env[name] = outer[name]
    }
    await acceptor.close()
    table[Symbol.dispose]()
    await realms[Symbol.asyncDispose]()
  })

  const newVersion = () =>
    rotate({ issuer: realms.agents[0]!.table, acceptors: [table] }, SERVICE, { retainMs: 60_000 })
  /** A client's end with a ticket under the current version. */
  const begin = async (mechOID = kerberos.GSS_MECH_OID_KRB5) => {
    await client.kinit('alice', 'alice-pw')
    const initiator = await kerberos.initializeClient(HOST_SERVICE, { mechOID })
    return { initiator, token: Buffer.from(await initiator.step(''), 'base64') }
  }

  for (const mechanism of ['GSS_MECH_OID_KRB5', 'GSS_MECH_OID_SPNEGO'] as const) {
    it(`finds the key by the kvno in the token, and proves itself to the client (${mechanism})`, async () => {
      for (const kvno of [1, 2]) {
        const { initiator, token } = await begin(kerberos[mechanism])
        const { reply, ...accepted } = await acceptor.accept(token)
        expect(accepted).to.deep.equal({ client: 'alice@A.QKD', service: SERVICE, kvno })
        await initiator.step(reply!.toString('base64'))
        expect(initiator.contextComplete).to.equal(true)
        newVersion()
      }
    })
  }

  it('keeps a window of versions in its keytab, for its owner alone, and none that has ended', async () => {
    const early = await begin()
    newVersion()
    const late = await begin()
    await Promise.all([acceptor.accept(early.token), acceptor.accept(late.token)])
    const path = join(realms.directory, 'www.keytab')
    const kvnos = async () => [...new Set(readKeytab(await readFile(path)).map(({ kvno }) => kvno))].sort()
    expect(await kvnos()).to.deep.equal([1, 2])
    expect((await stat(path)).mode & 0o777).to.equal(0o600)
    nowMs += 60_001
    newVersion()
    await acceptor.accept((await begin()).token)
    expect(await kvnos()).to.deep.equal([2, 3])
    await acceptor.close()
    expect(await stat(path).catch((error: NodeJS.ErrnoException) => error.code)).to.equal('ENOENT')
    await rejectsWith(acceptor.accept(early.token), 'ERR_QKD_CLOSED')
  })

  it('refuses a kvno that nobody announced here, and one whose time is over', async () => {
    rotate({ issuer: realms.agents[0]!.table, acceptors: [] }, SERVICE)
    const unknown = await rejectsWith(acceptor.accept((await begin()).token), 'ERR_QKD_UNAUTHORIZED')
    expect(unknown.message).to.match(/kvno 2 of HTTP\/www\.test@A\.QKD was never announced to this host/)
  })

  it('refuses a token that was shown before, one under a key that differs in one bit, and one that was altered', async () => {
    const { token } = await begin()
    await acceptor.accept(token)
    expect((await rejectsWith(acceptor.accept(token), 'ERR_QKD_UNAUTHORIZED')).message).to.match(/replay/)

    const altered = (await begin()).token
    altered[altered.byteLength - 1]! ^= 1
    expect((await rejectsWith(acceptor.accept(altered), 'ERR_QKD_UNAUTHORIZED')).message).to.match(/integrity/i)

    const current = newVersion()
    table.forget(SERVICE, current.epoch)
    const keys = current.keys.map(({ enctype, secret }) => {
      const bytes = exportKey(secret)
      bytes[0]! ^= 0x80
      return { enctype, secret: SecretKey.adopt(bytes) }
    })
    table.announce({ principal: SERVICE, epoch: current.epoch, keyId: 'stale', keys })
    const stale = await rejectsWith(acceptor.accept((await begin()).token), 'ERR_QKD_UNAUTHORIZED')
    expect(stale.message).to.match(/cannot decrypt ticket/)
  })

  it('refuses a ticket for another service, and what is no token', async () => {
    await realms.realms[0]!.kadmin('addprinc -randkey HTTP/other.test')
    await client.kinit('alice', 'alice-pw')
    const initiator = await kerberos.initializeClient('HTTP@other.test', { mechOID: kerberos.GSS_MECH_OID_KRB5 })
    const token = Buffer.from(await initiator.step(''), 'base64')
    const error = await rejectsWith(acceptor.accept(token), 'ERR_QKD_UNAUTHORIZED')
    expect(error.message).to.match(/HTTP\/other\.test@A\.QKD is not accepted here/)
    for (const bytes of [Buffer.alloc(0), Buffer.from('NTLMSSP'), token.subarray(0, 40), Buffer.alloc(70_000, 0x60)]) {
      await rejectsWith(acceptor.accept(bytes), 'ERR_QKD_PROTOCOL')
    }
  })

  it('lets curl in by HTTP Negotiate, and nobody without a ticket', async () => {
    const negotiate = createNegotiate(acceptor)
    const server = createServer(async (request, response) => {
      const accepted = await negotiate(request, response)
      if (accepted !== undefined) response.end(`${accepted.client} by kvno ${accepted.kvno}\n`)
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const curl = async (...options: string[]) => {
      const args = ['-s', '-w', '%{http_code}', '--resolve', `www.test:${port}:127.0.0.1`, `http://www.test:${port}/`]
      return (await promisify(execFile)('curl', [...options, ...args], { env: client.env })).stdout
    }
    try {
      await client.kinit('alice', 'alice-pw')
      expect(await curl('--negotiate', '-u', ':')).to.equal('alice@A.QKD by kvno 1\n200')
      newVersion()
      await client.kinit('alice', 'alice-pw')
      expect(await curl('--negotiate', '-u', ':')).to.equal('alice@A.QKD by kvno 2\n200')
      expect(await curl()).to.equal('401')
      expect(await curl('-H', 'Authorization: Negotiate AAAA')).to.equal('401')
    } finally {
      server.close()
    }
  })
})

describe('createGssAcceptor', () => {
  it('says which package is missing where it is not installed', async () => {
    const options = { services: [SERVICE], resolve: () => undefined, keytabPath: '/nowhere/keytab' }
    const error = await rejectsWith(createGssAcceptor(options), 'ERR_QKD_MISSING_DEPENDENCY')
    expect(error.message).to.match(/npm install kerberos@7/)
    await rejectsWith(createGssAcceptor({ ...options, services: [] }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(createGssAcceptor({ ...options, services: ['www'] }), 'ERR_QKD_INVALID_ARGUMENT')
  })
})

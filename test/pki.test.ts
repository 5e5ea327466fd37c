import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { InvalidArgumentError } from '../lib/errors.ts'
import { type CertificatePair, createCertificateAuthority, type IssueOptions, issueCertificate } from '../lib/pki.ts'
import { certificateIdentity } from '../lib/util/certificate-identity.ts'
import { peerProgram } from './helpers/peer-program.ts'
import { createTempDir } from './helpers/temp-dir.ts'

const run = promisify(execFile)
const ca = createCertificateAuthority({ commonName: 'Test CA', days: 30 })
const issue = (options: Partial<IssueOptions> = {}, authority = ca) =>
  issueCertificate(authority, { commonName: 'alice', usage: 'both', days: 30, ...options })

describe('createCertificateAuthority', () => {
  it('makes a self-signed authority whose key is its own', () => {
    const certificate = new X509Certificate(ca.certificatePem)
    expect(certificate.ca).to.equal(true)
    expect(certificate.checkIssued(certificate)).to.equal(true)
    expect(certificate.verify(certificate.publicKey)).to.equal(true)
    expect(ca.privateKeyPem).to.match(/^-----BEGIN PRIVATE KEY-----/)
  })

  it('writes times after 2049 as GeneralizedTime', () => {
    const { certificatePem } = createCertificateAuthority({ commonName: 'Far CA', days: 36_500 })
    const end = new Date(new X509Certificate(certificatePem).validTo).getTime()
    expect(Math.abs(end - (Date.now() + 36_500 * 86_400_000))).to.be.below(60_000)
  })

  it('refuses names and days out of range', () => {
    const make = (commonName: string, days: number) => () => createCertificateAuthority({ commonName, days })
    expect(make('', 1)).to.throw(InvalidArgumentError, 'commonName')
    expect(make('x'.repeat(65), 1)).to.throw(InvalidArgumentError, 'commonName')
    expect(make('x', 0)).to.throw(InvalidArgumentError, 'days')
    expect(make('x', 1.5)).to.throw(InvalidArgumentError, 'days')
  })
})

describe('issueCertificate', () => {
  it('names the holder in the common name and in URI, DNS and IP alternative names', () => {
    const { certificatePem } = issue({
      commonName: 'kme-ä',
      uriSans: ['urn:qkdkit:kme:kme-a'],
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1', '::1', '2001:db8::a:1', '::ffff:1.2.3.4'],
    })
    const certificate = new X509Certificate(certificatePem)
    const identity = certificateIdentity(certificate)
    expect(identity.commonName).to.equal('kme-ä')
    expect(identity.uriSans).to.deep.equal(['urn:qkdkit:kme:kme-a'])
    expect(identity.dnsSans).to.deep.equal(['localhost'])
    for (const address of ['127.0.0.1', '::1', '2001:db8::a:1', '::ffff:1.2.3.4']) {
      expect(certificate.checkIP(address), address).to.not.equal(undefined)
    }
    expect(certificate.checkIP('2001:db8::1')).to.equal(undefined)
  })

  it('gives every certificate its own serial number and key', () => {
    const pairs = [issue(), issue()].map(({ certificatePem }) => new X509Certificate(certificatePem))
    expect(pairs[0]!.serialNumber).to.not.equal(pairs[1]!.serialNumber)
    expect(pairs[0]!.publicKey.equals(pairs[1]!.publicKey)).to.equal(false)
  })

  it('refuses an authority that is none, has another key, or is no PEM', () => {
    const other = createCertificateAuthority({ commonName: 'Other CA', days: 1 })
    expect(() => issue({}, issue())).to.throw(InvalidArgumentError, 'not a certificate authority')
    expect(() => issue({}, { ...ca, privateKeyPem: other.privateKeyPem })).to.throw(InvalidArgumentError, 'key')
    expect(() => issue({}, { certificatePem: 'x', privateKeyPem: 'y' })).to.throw(InvalidArgumentError, 'PEM')
  })

  it('refuses alternative names that no certificate can hold', () => {
    expect(() => issue({ ipAddresses: ['127.0.0.256'] })).to.throw(InvalidArgumentError, 'ipAddresses')
    expect(() => issue({ ipAddresses: ['fe80::1%eth0'] })).to.throw(InvalidArgumentError, 'ipAddresses')
    expect(() => issue({ dnsNames: ['a b'] })).to.throw(InvalidArgumentError, 'dnsNames')
    expect(() => issue({ uriSans: ['urn:ä'] })).to.throw(InvalidArgumentError, 'uriSans')
  })
})

describe('certificates before openssl', () => {
  async function verify(openssl: string, pair: CertificatePair, ...purpose: string[]) {
    await using dir = await createTempDir()
    const [caFile, file] = [join(dir.path, 'ca.pem'), join(dir.path, 'end.pem')]
    await Promise.all([writeFile(caFile, ca.certificatePem), writeFile(file, pair.certificatePem)])
    return await run(openssl, ['verify', '-x509_strict', ...purpose, '-CAfile', caFile, file])
  }

  it('verify strictly, the authority and what it issued', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    expect((await verify(openssl, ca)).stdout).to.match(/: OK\n$/)
    expect((await verify(openssl, issue({ dnsNames: ['localhost'] }))).stdout).to.match(/: OK\n$/)
  })

  it('verify for their own purpose only', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    const purpose = (name: string, usage: IssueOptions['usage']) =>
      verify(openssl, issue({ usage }), '-purpose', name).then(
        () => 'ok',
        (error: { stderr: string }) => /unsuitable certificate purpose/.exec(error.stderr)?.[0],
      )
    expect(await purpose('sslserver', 'server')).to.equal('ok')
    expect(await purpose('sslclient', 'client')).to.equal('ok')
    expect(await purpose('sslserver', 'client')).to.equal('unsuitable certificate purpose')
    expect(await purpose('sslclient', 'server')).to.equal('unsuitable certificate purpose')
    expect(await purpose('sslclient', 'both')).to.equal('ok')
  })

  it('print as what they are', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    await using dir = await createTempDir()
    const file = join(dir.path, 'end.pem')
    await writeFile(file, issue({ uriSans: ['urn:qkdkit:sae:alice'] }).certificatePem)
    const { stdout } = await run(openssl, ['x509', '-in', file, '-noout', '-text'])
    expect(stdout).to.include('Signature Algorithm: ecdsa-with-SHA256')
    expect(stdout).to.include('NIST CURVE: P-256')
    expect(stdout).to.include('Issuer: CN = Test CA')
    expect(stdout).to.include('URI:urn:qkdkit:sae:alice')
    expect(stdout).to.match(/Basic Constraints: critical\s+CA:FALSE/)
  })
})

describe('certificates before node:tls', () => {
  /** What the server sees of `client`; rejects where either side refuses the other. */
  async function meet(server: CertificatePair, client: CertificatePair): Promise<string | undefined> {
    const listener = createServer({
      cert: server.certificatePem,
      key: server.privateKeyPem,
      ca: ca.certificatePem,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port } = listener.address() as AddressInfo
    const socket = connect({
      host: '127.0.0.1',
      port,
      cert: client.certificatePem,
      key: client.privateKeyPem,
      ca: ca.certificatePem,
    })
    try {
      const accepted = new Promise<TLSSocket>((resolve, reject) => {
        listener.once('secureConnection', resolve).once('tlsClientError', reject)
      })
      const [peer] = await Promise.all([accepted, once(socket, 'secureConnect')])
      const certificate = peer.getPeerX509Certificate()
      return certificate === undefined ? undefined : certificateIdentity(certificate).commonName
    } finally {
      socket.on('error', () => {}).destroy()
      await new Promise(resolve => listener.close(resolve))
    }
  }
  const server = issue({ commonName: 'kme-a', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], usage: 'both' })
  const refused = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: Error) => error,
    )

  it('authenticate both ends', async () => {
    expect(await meet(server, issue({ usage: 'client' }))).to.equal('alice')
  })

  it('are refused from another authority of the same name', async () => {
    const rogue = createCertificateAuthority({ commonName: 'Test CA', days: 30 })
    expect(await refused(meet(server, issue({ usage: 'client' }, rogue)))).to.be.instanceOf(Error)
    const fake = issue({ commonName: 'kme-a', ipAddresses: ['127.0.0.1'] }, rogue)
    expect(await refused(meet(fake, issue({ usage: 'client' })))).to.be.instanceOf(Error)
  })

  it('are refused at an address that they do not name', async () => {
    const elsewhere = issue({ commonName: 'kme-a', ipAddresses: ['127.0.0.2'] })
    expect(await refused(meet(elsewhere, issue()))).to.have.property('code', 'ERR_TLS_CERT_ALTNAME_INVALID')
  })

  it('are refused as a server when they are for clients', async () => {
    const client = issue({ commonName: 'kme-a', ipAddresses: ['127.0.0.1'], usage: 'client' })
    expect(await refused(meet(client, issue()))).to.have.property('code', 'INVALID_PURPOSE')
  })
})

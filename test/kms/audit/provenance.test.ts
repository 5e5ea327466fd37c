import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { exportKey } from '../../../lib/key/export-key.ts'
import { MlDsaCertificate } from '../../../lib/key/ml-dsa-certificate.ts'
import { createMlDsaAuthority, issueMlDsaCertificate } from '../../../lib/key/ml-dsa-issue.ts'
import { mlDsaSpki } from '../../../lib/key/ml-dsa-key.ts'
import { SiteIdentity, siteUri } from '../../../lib/key/site-identity.ts'
import { AuditFile } from '../../../lib/kms/audit/audit-file.ts'
import { type AuditLine, FIRST_LINK, linkOf } from '../../../lib/kms/audit/audit-line.ts'
import { Checkpoints } from '../../../lib/kms/audit/checkpoints.ts'
import { verifyProvenance } from '../../../lib/kms/audit/verify-provenance.ts'
import { createLocalPair } from '../../../lib/site.ts'
import { debugLogger } from '../../../lib/util/debug-logger.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const authority = createMlDsaAuthority({ commonName: 'sites', days: 1 })
const stranger = createMlDsaAuthority({ commonName: 'others', days: 1 })

function identityOf(siteId: string, ca = authority) {
  const { certificatePem: cert, privateKeyPem: key } = issueMlDsaCertificate(ca, {
    commonName: siteId,
    uris: [siteUri(siteId)],
    days: 1,
  })
  return { identity: new SiteIdentity({ cert, key, ca: ca.certificatePem }), cert }
}

describe('provenance in the audit log', function () {
  this.timeout(60_000)
  let dir: Awaited<ReturnType<typeof createTempDir>>
  /** Lines of a log with two signed starts. */
  let lines: string[]
  let keys: { hex: string; base64: string; hash: string }[]
  const signer = identityOf('site-a')

  /** Writes lines as a log of their own and verifies it. */
  const check = async (text: readonly string[], options: Parameters<typeof verifyProvenance>[1] = {}) => {
    const path = join(dir.path, 'altered.log')
    await writeFile(path, text.map(line => `${line}\n`).join(''))
    return verifyProvenance(path, options)
  }

  before(async () => {
    dir = await createTempDir()
    const path = join(dir.path, 'a.log')
    keys = []
    for (let start = 0; start < 2; start += 1) {
      const audit = await AuditFile.open(path, { siteId: 'site-a' })
      const other = await AuditFile.open(join(dir.path, 'b.log'), { siteId: 'site-b' })
      const { identity } = signer
      const head = () => audit.head
      const checkpoints = new Checkpoints({
        siteId: 'site-a',
        log: audit,
        head,
        identity,
        logger: debugLogger('audit'),
      })
      const sites = await createLocalPair({ rateBps: 100_000_000, audits: [audit, other] })
      for (const level of ['quantum', 'hybrid'] as const) {
        const given = await sites[0].kmsFor('alice').getKey('bob', { number: 20, level })
        const keyIds = given.map(({ keyId }) => keyId)
        await sites[1].kmsFor('bob').getKeyWithIds('alice', keyIds)
        for (const { secret } of given) {
          const bytes = exportKey(secret)
          const hash = createHash('sha256').update(bytes).digest('hex')
          keys.push({ hex: bytes.toString('hex'), base64: bytes.toString('base64'), hash })
        }
      }
      await Promise.all(sites.map(site => site.close()))
      await checkpoints.close()
      await audit.close()
      await other.close()
    }
    lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
  })

  after(() => dir[Symbol.asyncDispose]())

  it('tells of every key which block it lies in, of every block how it came, and is signed to the end', async () => {
    const verdict = await check(lines, { key: authority.certificatePem })
    expect(verdict).to.include({ ok: true, siteId: 'site-a', lines: lines.length, keys: 80, keysWithoutOrigin: 0 })
    // The last line of all is the last signature.
    expect(verdict.signedLines).to.equal(lines.length - 1)
    expect(verdict.checkpoints).to.be.at.least(3)
    expect(verdict.blocks).to.be.at.least(8)
    const derivations = lines.map(line => (JSON.parse(line) as AuditLine).derivation).filter(each => each !== undefined)
    expect(new Set(derivations)).to.deep.equal(new Set(['raw', 'hybrid-xor']))
  })

  it('is held against the certificate of the site, or its public key alone', async () => {
    const publicKey = mlDsaSpki(new MlDsaCertificate(signer.cert).publicKey).toString('base64')
    for (const key of [signer.cert, `-----BEGIN PUBLIC KEY-----\n${publicKey}\n-----END PUBLIC KEY-----\n`])
      expect((await check(lines, { key })).ok).to.equal(true)
    const wrong = identityOf('site-a').cert
    for (const key of [wrong, stranger.certificatePem]) {
      const { ok, fault } = await check(lines, { key })
      expect(ok).to.equal(false)
      expect(fault!.message).to.include('signed by somebody else')
      expect((JSON.parse(lines[fault!.line - 1]!) as AuditLine).event).to.equal('checkpoint')
    }
    await rejectsWith(check(lines, { key: 'no key' }), 'ERR_QKD_INVALID_ARGUMENT')
  })

  it('names the first line that was altered, removed, added, exchanged or cut', async () => {
    const at = lines.findIndex(line => line.includes('"event":"issue"'))
    const altered = replaced(lines, at, lines[at]!.replace('"alice"', '"mallory"'))
    const cases: [string, string[], number][] = [
      ['altered', altered, at + 2],
      ['removed', [...lines.slice(0, at), ...lines.slice(at + 1)], at + 1],
      ['said twice', [...lines.slice(0, at + 1), ...lines.slice(at)], at + 2],
      ['exchanged', replaced(replaced(lines, at, lines[at + 1]!), at + 1, lines[at]!), at + 1],
      ['cut', [...lines.slice(0, at), lines[at]!.slice(0, 40)], at + 1],
      ['without its beginning', lines.slice(1), 1],
    ]
    for (const [what, text, first] of cases) {
      const { ok, fault } = await check(text, { key: authority.certificatePem })
      expect(ok, what).to.equal(false)
      expect(fault!.line, what).to.equal(first)
    }
  })

  it('finds out who makes the chain anew after a change: the next signature is over another line', async () => {
    const at = lines.findIndex(line => line.includes('"event":"issue"'))
    const forged = rechained(replaced(lines, at, lines[at]!.replace('"alice"', '"mallory"')))
    const { ok, fault } = await check(forged, { key: authority.certificatePem })
    expect(ok).to.equal(false)
    expect(fault!.line).to.be.above(at + 1)
    expect((JSON.parse(forged[fault!.line - 1]!) as AuditLine).event).to.equal('checkpoint')
    const unsigned = rechained(lines.filter(line => !line.includes('"event":"checkpoint"')))
    expect((await check(unsigned)).fault!.message).to.include('nobody has signed')
  })

  it('goes by the time that was signed, and not by what the last line says of itself', async () => {
    const first = lines.findIndex(line => line.includes('"event":"checkpoint"'))
    const cut = lines.slice(0, first + 1)
    const { at } = (JSON.parse(lines[first]!) as AuditLine).checkpoint!
    const [, rest] = /^\{"n":\d+,"at":"[^"]+"(.*)$/.exec(lines[first]!)!
    const late = `{"n":${first + 1},"at":"2035-01-01T00:00:00.000Z"${rest}`
    const verdict = await check(replaced(cut, first, late), { key: authority.certificatePem })
    expect(verdict).to.include({ ok: true, signedAt: at })
    const forged = late.replace(`"at":"${at}"`, '"at":"2035-01-01T00:00:00.000Z"')
    expect(forged).not.to.equal(late)
    const { fault } = await check(replaced(cut, first, forged), { key: signer.cert })
    expect(fault).to.deep.equal({ line: first + 1, message: 'a checkpoint whose signature is not one of the signer' })
  })

  it('takes no signature of another site, and no other key in the middle of a log that nobody vouches for', async () => {
    const path = join(dir.path, 'mixed.log')
    for (const ca of [authority, stranger]) {
      const audit = await AuditFile.open(path, { siteId: 'site-a' })
      await audit.record({ event: 'start', outcome: 'allowed' })
      const { identity } = identityOf('site-a', ca)
      const head = () => audit.head
      await new Checkpoints({ siteId: 'site-a', log: audit, head, identity, logger: debugLogger('audit') }).close()
      await audit.close()
    }
    const { fault } = await verifyProvenance(path)
    expect(fault!.message).to.include('not the one before')
    expect((await verifyProvenance(path, { key: authority.certificatePem })).fault!.line).to.equal(fault!.line)
    const { identity } = identityOf('site-z')
    const audit = await AuditFile.open(join(dir.path, 'other.log'), { siteId: 'site-a' })
    await audit.record({ event: 'start', outcome: 'allowed' })
    const head = () => audit.head
    await new Checkpoints({ siteId: 'site-a', log: audit, head, identity, logger: debugLogger('audit') }).close()
    await audit.close()
    const other = await verifyProvenance(join(dir.path, 'other.log'), { key: authority.certificatePem })
    expect(other.fault!.message).to.include('does not name urn:qkdkit:site:site-a')
  })

  it('holds no key, and no hash of one', async () => {
    for (const name of ['a.log', 'b.log']) {
      const text = await readFile(join(dir.path, name), 'utf8')
      for (const { hex, base64, hash } of keys)
        for (const trace of [hex, base64.slice(0, 20), hash]) expect(text.includes(trace), name).to.equal(false)
    }
  })
})

/** The lines with numbers and hashes made anew, as somebody would who can write the file. */
function rechained(text: readonly string[]): string[] {
  let link = FIRST_LINK
  return text.map((line, at) => {
    const forged = line
      .replace(/^{"n":\d+/, `{"n":${at + 1}`)
      .replace(/"follows":"[0-9a-f]{64}"}$/, `"follows":"${link}"}`)
    link = linkOf(forged)
    return forged
  })
}

function replaced(text: readonly string[], at: number, line: string): string[] {
  return text.map((each, place) => (place === at ? line : each))
}

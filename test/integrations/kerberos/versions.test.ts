import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { createKeytabSink, keytabVault, loadKeytab, replaceKeytab } from '../../../integrations/kerberos/keytab-sink.ts'
import type { KeyedPrincipalOptions } from '../../../integrations/kerberos/versions/keyed-principal.ts'
import { keyedPrincipal } from '../../../integrations/kerberos/versions/keyed-principal.ts'
import { LedgerFile } from '../../../integrations/kerberos/versions/ledger-store.ts'
import { decodeVersionMessage } from '../../../integrations/kerberos/versions/version-message.ts'
import { ProtocolError } from '../../../lib/errors.ts'
import type { TelemetryEvent } from '../../../lib/interface/telemetry.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'
import { kmsBackends } from '../../helpers/kms-backends.ts'
import { createTestSites, type TestSites } from '../../helpers/test-sites.ts'
import { until } from '../../helpers/until.ts'
import { createAgentPair } from './agent-pair.ts'

const TRUST = 'krbtgt/B.QKD@A.QKD'
const randomKey = () => SecretKey.random(32)
const SERVICE = 'HTTP/host.test@A.QKD'
const issuer = (options: Partial<KeyedPrincipalOptions> = {}): KeyedPrincipalOptions => ({
  principal: TRUST,
  role: 'issuer',
  peerSaeId: 'bob',
  ticketLifeSeconds: 60,
  skewSeconds: 0,
  ...options,
})
const acceptor = (options: Partial<KeyedPrincipalOptions> = {}): KeyedPrincipalOptions =>
  issuer({ role: 'acceptor', peerSaeId: 'alice', ...options })

async function message(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'nothing was refused',
    (error: Error) => error.message,
  )
}

for (const backend of kmsBackends) {
  describe(`KerberosAgent (${backend.name} KMS)`, () => {
    it('has the same key under the same kvno and key_ID at both ends, for every encryption type', async () => {
      await using kms = await backend.create()
      const enctypes = [17, 18, 19, 20] as const
      await using pair = await createAgentPair([
        { kms: kms.alice, principals: [issuer({ enctypes })] },
        { kms: kms.bob, principals: [acceptor({ enctypes })] },
      ])
      for (const kvno of [1, 2]) {
        const { current } = await pair.agents[0].rotate(TRUST)
        expect(current.kvno).to.equal(kvno)
        const [a, b] = pair.ledgers.map(({ table }) => table.current(TRUST)!)
        expect([b!.kvno, b!.keyId]).to.deep.equal([kvno, a!.keyId])
        expect(a!.keys.map(({ enctype }) => enctype)).to.deep.equal([20, 18, 19, 17])
        for (const [i, { secret }] of a!.keys.entries()) expect(secret.equals(b!.keys[i]!.secret)).to.equal(true)
      }
      expect(pair.ledgers[1].table.resolve(TRUST, 1)!.state).to.equal('retained')
    })
  })
}

describe('KerberosAgent', () => {
  let sites: TestSites
  before(async () => {
    sites = await createTestSites()
  })
  after(() => sites[Symbol.asyncDispose]())
  const pairOf = (own: Partial<KeyedPrincipalOptions> = {}, other: Partial<KeyedPrincipalOptions> = {}) =>
    createAgentPair([
      { kms: sites.alice, principals: [issuer(own)] },
      { kms: sites.bob, principals: [acceptor(other)] },
    ])

  it('lets the acceptor have a window of coming versions, and uses them in turn', async () => {
    await using pair = await pairOf({ window: 3 })
    const { agreed } = await pair.agents[0].rotate(TRUST)
    expect(agreed).to.equal(3)
    expect(pair.ledgers[1].table.versions(TRUST).map(({ kvno, state }) => `${kvno} ${state}`)).to.deep.equal([
      '3 announced',
      '2 announced',
      '1 current',
    ])
    const { current } = await pair.agents[0].rotate(TRUST)
    expect(current.kvno).to.equal(2)
    expect(pair.agents[1].status().principals[0]!.announced.map(({ kvno }) => kvno)).to.deep.equal([3, 4])
  })

  it('goes on above what either end has had', async () => {
    await using pair = await pairOf()
    const keys = () => [{ enctype: 20 as const, secret: randomKey() }]
    pair.ledgers[1].table.announce({ principal: TRUST, epoch: 41, keyId: 'lost', keys: keys() })
    expect((await pair.agents[0].rotate(TRUST)).current.kvno).to.equal(42)
  })

  for (const [what, own, other, cause] of [
    ['a principal that the acceptor does not share', {}, { principal: SERVICE }, 'no principal of that name'],
    ['a principal of another issuer', {}, { peerSaeId: 'carol' }, 'no principal of that name'],
    ['an encryption type that it does not take', { enctypes: [18] }, { enctypes: [20] }, 'types 20 are taken, not 18'],
    ['tickets that outlive its keys', { ticketLifeSeconds: 120 }, {}, 'would live 120 s, and keys are kept for 60 s'],
  ] as const) {
    it(`refuses ${what}, says so to the issuer, and takes no key`, async () => {
      await using pair = await pairOf(own, other)
      expect(await message(pair.agents[0].rotate(TRUST))).to.contain(cause)
      expect(pair.ledgers.map(({ table }) => table.versions(TRUST).length)).to.deep.equal([0, 0])
      expect(pair.agents[0].status().principals[0]!.failure).to.contain(cause)
    })
  }

  it('refuses to go past kvno 65535 where the KDC picks the highest, and begins anew by a rekey', async () => {
    const events: TelemetryEvent[] = []
    const telemetry = new TelemetryHub()
    telemetry.subscribe(event => events.push(event))
    await using pair = await createAgentPair([
      { kms: sites.alice, principals: [issuer()], telemetry },
      { kms: sites.bob, principals: [acceptor()] },
    ])
    const keys = () => [{ enctype: 20 as const, secret: randomKey() }]
    for (const { table } of pair.ledgers) table.announce({ principal: TRUST, epoch: 59_999, keyId: 'x', keys: keys() })
    for (const ledger of pair.ledgers) await ledger.promote(TRUST, 59_999)
    await pair.agents[0].rotate(TRUST)
    expect(pair.agents[0].status().alarms).to.deep.equal([`kerberos-kvno ${TRUST}`])
    expect(events).to.deep.include({
      type: 'alarm',
      id: `kerberos-kvno ${TRUST}`,
      severity: 'major',
      state: 'raised',
      text: `${TRUST} has come to kvno 60000 of 65535: run qkd kerberos trust rekey`,
    })
    for (const ledger of pair.ledgers) {
      ledger.table.announce({ principal: TRUST, epoch: 65_535, keyId: 'y', keys: keys() })
      await ledger.promote(TRUST, 65_535)
    }
    expect(await message(pair.agents[0].rotate(TRUST))).to.contain('trust rekey')
    const { current } = await pair.agents[0].rotate(TRUST, { rekey: true })
    expect([current.kvno, current.epoch]).to.deep.equal([1, 65_536])
    expect(pair.ledgers[0].table.versions(TRUST)).to.have.length(1)
    // Tickets under the last one are still understood at the other end.
    expect(pair.ledgers[1].table.resolve(TRUST, 65_535)!.state).to.equal('retained')
    expect((await pair.agents[0].rotate(TRUST)).current.kvno).to.equal(2)
  })

  it('wraps from 65535 to 1 where the KDC asks the agent', async () => {
    await using pair = await pairOf({ wraps: true }, { wraps: true })
    for (const ledger of pair.ledgers) {
      const keys = [{ enctype: 20 as const, secret: randomKey() }]
      ledger.table.announce({ principal: TRUST, epoch: 65_535, keyId: 'y', keys })
      await ledger.promote(TRUST, 65_535)
    }
    expect((await pair.agents[0].rotate(TRUST)).current.kvno).to.equal(1)
    for (const { table } of pair.ledgers) expect(table.resolve(TRUST, 65_535)!.state).to.equal('retained')
  })

  it('rotates by itself when a version is due, and goes on after a failure', async () => {
    await using pair = await createAgentPair([
      { kms: sites.alice, principals: [issuer({ rotateSeconds: 1 })], rotates: true },
      { kms: sites.bob, principals: [acceptor()] },
    ])
    const kvno = () => pair.ledgers[1].table.current(TRUST)?.kvno ?? 0
    await until(() => kvno() >= 1, 'the first version')
    pair.cut()
    await until(() => pair.agents[0].status().principals[0]!.failure !== null, 'a failure')
    pair.mend()
    const before = kvno()
    await until(() => kvno() > before, 'the next version')
    expect(pair.agents[0].status().principals[0]!.failure).to.equal(null)
  })

  it('survives the loss of one end: the other goes on above it', async () => {
    await using pair = await pairOf()
    await pair.agents[0].rotate(TRUST)
    await pair.agents[0].rotate(TRUST)
    pair.ledgers[1].table.forget(TRUST)
    expect((await pair.agents[0].rotate(TRUST)).current.kvno).to.equal(3)
    expect(pair.ledgers[1].table.current(TRUST)!.kvno).to.equal(3)
  })

  it('names who the channel leads to when that is not the acceptor', async () => {
    await using pair = await pairOf({ peerSaeId: 'carol' })
    expect(await message(pair.agents[0].rotate(TRUST))).to.contain('shared with carol, not bob')
  })

  it('refuses a rotation that is not its own to make', async () => {
    await using pair = await pairOf()
    expect(await message(pair.agents[1].rotate(TRUST))).to.contain('not the issuer')
  })

  it('keeps a keytab with the window of coming kvnos, and others’ entries, over a restart', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'qkdkit-'))
    try {
      const path = join(dir, 'krb5.keytab')
      const service = { principal: SERVICE, window: 3 }
      const host = () => ({
        kms: sites.bob,
        principals: [acceptor(service)],
        sink: createKeytabSink(path),
        store: new LedgerFile(join(dir, 'state.json'), keytabVault(path)),
      })
      const kdc = { kms: sites.alice, principals: [issuer(service)] }
      const other = { principal: 'other@A.QKD', timestamp: 1, kvno: 9, enctype: 18, secret: randomKey() }
      await replaceKeytab(path, [other])
      let before: string[] = []
      {
        await using pair = await createAgentPair([kdc, host()])
        await pair.agents[0].rotate(SERVICE)
        await pair.agents[0].rotate(SERVICE)
        const [kept, ...entries] = await loadKeytab(path)
        expect([kept!.principal, kept!.secret.equals(other.secret)]).to.deep.equal(['other@A.QKD', true])
        expect(entries.map(({ kvno }) => kvno)).to.deep.equal([1, 2, 3, 4])
        expect((await stat(path)).mode & 0o777).to.equal(0o600)
        for (const { kvno, secret } of entries) {
          const held = pair.ledgers[0].table.resolve(SERVICE, kvno)!
          expect(secret.equals(held.keys[0]!.secret)).to.equal(true)
        }
        before = pair.ledgers[1].table.versions(SERVICE).map(({ kvno, state, keyId }) => `${kvno} ${state} ${keyId}`)
      }
      await using again = await createAgentPair([kdc, host()])
      const after = again.ledgers[1].table
        .versions(SERVICE)
        .map(({ kvno, state, keyId }) => `${kvno} ${state} ${keyId}`)
      expect(after).to.deep.equal(before)
      expect(await readFile(join(dir, 'state.json'), 'utf8')).to.contain('"sealed":"keytab"')
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})

describe('decodeVersionMessage', () => {
  it('refuses with a ProtocolError alone what is no message', () => {
    const valid = { type: 'propose', principal: TRUST, epoch: 1, enctypes: [20], ticketLifeSeconds: 60 }
    expect(decodeVersionMessage(Buffer.from(JSON.stringify(valid)))).to.deep.equal(valid)
    const fields = ['type', 'principal', 'epoch', 'enctypes', 'ticketLifeSeconds'] as const
    fc.assert(
      fc.property(fc.constantFrom(...fields), fc.jsonValue(), (name, value) => {
        const bytes = Buffer.from(JSON.stringify({ ...valid, [name]: value }))
        try {
          decodeVersionMessage(bytes)
        } catch (error) {
          expect(error).to.be.instanceOf(ProtocolError)
        }
      }),
    )
    for (const bytes of [Buffer.alloc(9_000, 0x20), Buffer.from('null'), Buffer.from('{'), Buffer.from([0xff])]) {
      expect(() => decodeVersionMessage(bytes)).to.throw(ProtocolError)
    }
  })
})

describe('keyedPrincipal', () => {
  it('refuses a rotation so often that no KDC would hold the versions', () => {
    expect(() => keyedPrincipal(issuer({ ticketLifeSeconds: 36_000, rotateSeconds: 10 }))).to.throw('rotateSeconds')
  })

  it('names the field that is out of range', () => {
    for (const field of ['ticketLifeSeconds', 'skewSeconds', 'rotateSeconds', 'window'] as const) {
      expect(() => keyedPrincipal(issuer({ [field]: -1 }))).to.throw(field)
    }
    expect(() => keyedPrincipal(issuer({ principal: 'a b@C' }))).to.throw('no principal')
  })
})

import { expect } from 'chai'
import { createReceiptTelemetry } from '../../lib/client/receipt-telemetry.ts'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import { createHttpsTransport } from '../../lib/http/https-transport.ts'
import type { AuditEntry, AuditLog } from '../../lib/interface/audit.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import type { TelemetryEvent } from '../../lib/interface/telemetry.ts'
import { BlastRadiusSearch } from '../../lib/kms/incident/blast-radius.ts'
import { FencedKms } from '../../lib/kms/owner/fenced-kms.ts'
import { createLocalPair } from '../../lib/site.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createServedTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'
import { ownedBy } from './owner/owner-pair.ts'

function memoryAudit(): AuditLog & { entries: AuditEntry[] } {
  const entries: AuditEntry[] = []
  const close = async () => {}
  return { entries, record: async entry => void entries.push(entry), close, [Symbol.asyncDispose]: close }
}

describe('receipts of hosts for their keys', function () {
  this.timeout(60_000)

  it('stand in the audit log and the stream, and tell an incident who still stands on which key', async () => {
    const audits = [memoryAudit(), memoryAudit()] as const
    const sites = await createLocalPair({ rateBps: 100_000_000, audits })
    const events: TelemetryEvent[] = []
    sites[0].telemetry.subscribe(event => events.push(event))
    const alice = sites[0].kmsFor('alice')
    const [one, two] = await alice.getKey('bob', { number: 2 })
    const common = { use: 'tls', atMs: 1_700_000_000_000 }
    await alice.reportKeys!('bob', [
      { keyId: one!.keyId, state: 'in-use', ...common },
      { keyId: two!.keyId.toUpperCase(), state: 'in-use', ...common },
      { keyId: two!.keyId, state: 'retired', use: 'tls', atMs: 1_700_000_001_000 },
    ])
    const said = audits[0].entries.filter(({ event }) => event === 'receipt')
    expect(said[0]).to.deep.equal({
      event: 'receipt',
      outcome: 'in-use',
      keyIds: [one!.keyId],
      receipt: { saeId: 'alice', peerSaeId: 'bob', ...common },
    })
    const told = events.filter(({ type }) => type === 'key-in-use' || type === 'key-retired')
    expect(told.map(event => `${event.type} ${(event as { keyId: string }).keyId}`)).to.deep.equal([
      `key-in-use ${one!.keyId}`,
      `key-in-use ${two!.keyId}`,
      `key-retired ${two!.keyId}`,
    ])
    const search = new BlastRadiusSearch({ saePair: ['alice', 'bob'] })
    const lines = audits[0].entries.map((entry, n) => ({
      ...entry,
      n: n + 1,
      at: new Date().toISOString(),
      siteId: 'site-a',
      follows: '',
    }))
    for (const line of lines) search.add(line)
    const holders = new Map(
      search.result().keys.map(({ keyId, holders }) => [keyId, holders.find(({ saeId }) => saeId === 'alice')!]),
    )
    expect(holders.get(one!.keyId)).to.include({ inUseSinceMs: common.atMs, use: 'tls' })
    expect(holders.get(one!.keyId)).not.to.have.property('retiredAtMs')
    expect(holders.get(two!.keyId)).to.include({ retiredAtMs: 1_700_000_001_000 })
    await Promise.all(sites.map(site => site.close()))
  })

  it('are refused for keys of others, without a form, and in a flood; nothing of them is written', async () => {
    const audits = [memoryAudit(), memoryAudit()] as const
    const sites = await createLocalPair({
      rateBps: 100_000_000,
      audits,
      sites: [
        { siteId: 'site-a', saeIds: ['alice'] },
        { siteId: 'site-b', saeIds: ['bob', 'carol'] },
      ],
    })
    const alice = sites[0].kmsFor('alice')
    const [key] = await alice.getKey('bob')
    const receipt = { keyId: key!.keyId, state: 'in-use', use: 'tls' } as const
    await rejectsWith(alice.reportKeys!('carol', [receipt]), 'ERR_QKD_UNAUTHORIZED')
    await rejectsWith(alice.reportKeys!('alice', [receipt]), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(alice.reportKeys!('bob', []), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(alice.reportKeys!('bob', [{ ...receipt, use: 'A b' }]), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(
      alice.reportKeys!(
        'bob',
        Array.from({ length: 65 }, () => receipt),
      ),
      'ERR_QKD_INVALID_ARGUMENT',
    )
    expect(audits[0].entries.filter(({ event }) => event === 'receipt')).to.deep.equal([])
    const flood = Array.from({ length: 40 }, () =>
      alice.reportKeys!(
        'bob',
        Array.from({ length: 64 }, () => receipt),
      ),
    )
    const outcomes = await Promise.allSettled(flood)
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(refused.length).to.be.above(10)
    expect((refused[0] as PromiseRejectedResult).reason.code).to.equal('ERR_QKD_POOL_EXHAUSTED')
    await Promise.all(sites.map(site => site.close()))
  })

  it('come over mutual TLS beside the paths of ETSI 014, from agents that tell their telemetry', async () => {
    await using served = await createServedTestSites()
    const events: TelemetryEvent[] = []
    served.sites[0].telemetry.subscribe(event => events.push(event))
    const { url } = served.sites[0].address.etsi014
    const credentials = served.credentials('alice')
    await using kms = createRemoteKms({ saeId: 'alice', baseUrl: url, ...credentials })
    await until(async () => (await kms.getStatus('bob')).storedKeyCount > 0, 'the pool is filled')
    const [key] = await kms.getKey('bob')
    const { keyId } = key!
    const telemetry = createReceiptTelemetry({ kms })
    const rotation = { type: 'rotation', integration: 'strongswan', peer: 'bob', keyId } as const
    telemetry.emit({ ...rotation, outcome: 'in-use' })
    telemetry.emit({ ...rotation, outcome: 'failed', reason: 'no receipt' })
    telemetry.emit({ ...rotation, outcome: 'retired' })
    await until(() => events.some(({ type }) => type === 'key-retired'), 'both came')
    const told = events.filter(({ type }) => type.startsWith('key-in-use') || type === 'key-retired')
    expect(told.map(({ type }) => type)).to.deep.equal(['key-in-use', 'key-retired'])
    expect(told[0]).to.include({ saeId: 'alice', peerSaeId: 'bob', keyId, use: 'strongswan' })
    await rejectsWith(kms.reportKeys!('carol', [{ keyId, state: 'in-use', use: 'tls' }]), 'ERR_QKD_UNAUTHORIZED')
    await using transport = createHttpsTransport({ baseUrl: url, ...credentials })
    const target = '/qkdkit/v1/keys/bob/receipts'
    const answer = (method: string, body: string) =>
      transport.request({ method, target, headers: { 'content-type': 'application/json' }, body: Buffer.from(body) })
    expect((await answer('POST', '{"receipts":[{"key_ID":"x"}]}')).status).to.equal(400)
    expect((await answer('POST', 'no JSON')).status).to.equal(400)
    expect((await answer('GET', '')).status).to.equal(405)
  })

  it('come through a worker or another replica, and are refused there as by the owner itself', async () => {
    const audits = [memoryAudit(), memoryAudit()] as const
    const sites = await createLocalPair({ rateBps: 100_000_000, audits })
    const fenced = { kmsFor: (saeId: string) => new FencedKms(sites[0].kmsFor(saeId), () => true) }
    for (const owner of [sites[0], fenced]) {
      await using pair = await ownedBy(owner, { saeIds: ['alice'] })
      const kms = pair.directory.kmsFor('alice')
      const [key] = await kms.getKey('bob')
      const receipt = { keyId: key!.keyId, state: 'in-use', use: 'tls', atMs: 1_700_000_000_000 } as const
      await kms.reportKeys!('bob', [receipt])
      const last = audits[0].entries.filter(({ event }) => event === 'receipt').at(-1)
      expect(last).to.deep.include({ outcome: 'in-use', keyIds: [key!.keyId] })
      expect(last!.receipt).to.deep.equal({ saeId: 'alice', peerSaeId: 'bob', use: 'tls', atMs: receipt.atMs })
      await rejectsWith(kms.reportKeys!('carol', [receipt]), 'ERR_QKD_UNAUTHORIZED')
      await rejectsWith(kms.reportKeys!('bob', [{ ...receipt, use: 'A b' }]), 'ERR_QKD_INVALID_ARGUMENT')
    }
    await Promise.all(sites.map(site => site.close()))
  })

  it('are asked for once of a KMS that takes none', async () => {
    let calls = 0
    const kms = {
      saeId: 'alice',
      reportKeys: async () => {
        calls += 1
        throw Object.assign(new Error('The KME takes no receipts'), { code: 'ERR_QKD_KME_RESPONSE' })
      },
    } as unknown as Kms
    const telemetry = createReceiptTelemetry({ kms })
    const event = { type: 'rotation', integration: 'kerberos', peer: 'bob', keyId: 'k', outcome: 'in-use' } as const
    telemetry.emit(event)
    await until(() => calls === 1, 'it was asked')
    for (let again = 0; again < 5; again += 1) {
      telemetry.emit(event)
      await new Promise(setImmediate)
    }
    expect(calls).to.equal(1)
  })
})

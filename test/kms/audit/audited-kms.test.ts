import { expect } from 'chai'
import { StoreError } from '../../../lib/errors.ts'
import type { AuditEntry, AuditLog } from '../../../lib/interface/audit.ts'
import { createLocalPair, type Site } from '../../../lib/site.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'

/** An audit log in memory that a test can fill up. */
class TestAudit implements AuditLog {
  /** Decisions; where their key came from is a subject of its own. */
  readonly entries: AuditEntry[] = []
  readonly origins: AuditEntry[] = []
  isFull = false

  async record(entry: AuditEntry): Promise<void> {
    await new Promise(setImmediate)
    if (this.isFull) throw new StoreError('The audit log cannot be written: no space left')
    ;(entry.event === 'block' || entry.event === 'lease' ? this.origins : this.entries).push(entry)
  }

  async close(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

async function auditedPair(): Promise<{ sites: [Site, Site]; audits: [TestAudit, TestAudit] } & AsyncDisposable> {
  const audits: [TestAudit, TestAudit] = [new TestAudit(), new TestAudit()]
  const sites = await createLocalPair({ rateBps: 100_000_000, audits })
  const close = async () => void (await Promise.all(sites.map(site => site.close())))
  return { sites, audits, [Symbol.asyncDispose]: close }
}

describe('a KMS with an audit log', () => {
  it('writes each key that leaves, at both ends, with what decided and what it is', async () => {
    await using pair = await auditedPair()
    const [alice, bob] = [pair.sites[0].kmsFor('alice'), pair.sites[1].kmsFor('bob')]
    const keys = await alice.getKey('bob', { number: 3, level: 'hybrid', integration: 'tls' })
    const keyIds = keys.map(({ keyId }) => keyId)
    await bob.getKeyWithIds('alice', keyIds)
    const who = { masterSaeId: 'alice', slaveSaeId: 'bob', outcome: 'allowed', rule: 'otherwise' }
    const { blocks } = pair.audits[0].entries[0]!
    const what = {
      keyIds,
      sizeBits: 256,
      level: 'hybrid',
      trustClass: 'direct',
      blocks,
      derivation: 'hybrid-xor',
    }
    const isMade = ({ event, outcome, block, way }: AuditEntry) =>
      event === 'block' && outcome === 'made' && blocks!.includes(block!) && way!.shares.length === 1
    expect(pair.audits.map(({ origins }) => origins.some(isMade))).to.deep.equal([true, true])
    expect(pair.audits[0].entries).to.deep.equal([
      { event: 'issue', ...who, peerSiteId: 'site-b', ...what, integration: 'tls' },
    ])
    expect(pair.audits[1].entries).to.deep.equal([{ event: 'deliver', ...who, peerSiteId: 'site-a', ...what }])
  })

  it('writes refusals with their reason, and a new policy', async () => {
    await using pair = await auditedPair()
    const bob = pair.sites[1].kmsFor('bob')
    await rejectsWith(bob.getKeyWithIds('alice', ['00000000-0000-4000-8000-000000000000']), 'ERR_QKD_KEY_NOT_FOUND')
    pair.sites[1].setPolicy({ rules: [], otherwise: 'allow' })
    await until(() => pair.audits[1].entries.length === 2, 'both are written')
    expect(pair.audits[1].entries[0]).to.include({ event: 'refuse', outcome: 'ERR_QKD_KEY_NOT_FOUND' })
    expect(pair.audits[1].entries[1]).to.include({ event: 'policy', reason: '0 rules in force' })
  })

  it('gives no key, and consumes none, while its log is full', async () => {
    await using pair = await auditedPair()
    const [alice, bob] = [pair.sites[0].kmsFor('alice'), pair.sites[1].kmsFor('bob')]
    const [kept] = await alice.getKey('bob')
    const before = pair.sites[0].status().pools[0]!.issuableCells
    pair.audits[0].isFull = true
    const refusals = await Promise.all(
      Array.from({ length: 20 }, (_, n) => rejectsWith(alice.getKey('bob', { number: 1 + (n % 3) }), 'ERR_QKD_STORE')),
    )
    expect(refusals).to.have.length(20)
    // What a lease is asked for at this moment counts again when it is answered.
    await until(() => pair.sites[0].status().pools[0]!.issuableCells >= before, 'nothing was consumed')
    pair.audits[1].isFull = true
    await rejectsWith(bob.getKeyWithIds('alice', [kept!.keyId]), 'ERR_QKD_STORE')
    for (const audit of pair.audits) audit.isFull = false
    expect((await bob.getKeyWithIds('alice', [kept!.keyId]))[0]!.secret.equals(kept!.secret)).to.equal(true)
    const fresh = await alice.getKey('bob', { number: 50 })
    const same = await bob.getKeyWithIds(
      'alice',
      fresh.map(({ keyId }) => keyId),
    )
    expect(fresh.every(({ secret }, n) => secret.equals(same[n]!.secret))).to.equal(true)
  })
})

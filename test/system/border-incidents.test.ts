import { expect } from 'chai'
import type { IncidentSelector, IncidentView } from '../../lib/interface/incident.ts'
import type { OperatorIdentity } from '../../lib/interface/operator.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTwoDomains, type SiteName, type TwoDomains } from '../helpers/two-domains.ts'
import { until } from '../helpers/until.ts'

const operator: OperatorIdentity = { name: 'eve', roles: ['security-officer'], by: 'certificate' }

describe('keys of two domains that an incident holds back', function () {
  this.timeout(60_000)
  let domains: TwoDomains

  const call = (site: SiteName, name: string, args: object) =>
    domains.site(site).operators.perform(name, args, { operator, signal: AbortSignal.timeout(30_000) })

  /** Declares an incident, which every site of the domain knows of when this resolves. */
  const hold = async (site: SiteName, selector: IncidentSelector) => {
    const { id, sites } = (await call(site, 'incident-hold', { selector })) as IncidentView
    expect(sites.map(({ state }) => state)).to.deep.equal(['told'])
    return id
  }

  const getKey = async (from: string, to: string, additionalSlaveSaeIds?: string[]) => {
    await using kms = domains.kms(from)
    return (await kms.getKey(to, additionalSlaveSaeIds && { additionalSlaveSaeIds }))[0]!
  }

  const fetchKey = async (by: string, masterSaeId: string, keyId: string) => {
    await using kms = domains.kms(by)
    return (await kms.getKeyWithIds(masterSaeId, [keyId]))[0]!
  }

  before(async () => {
    domains = await createTwoDomains()
    for (const [from, to] of [
      ['alice', 'carol'],
      ['carol', 'alice'],
      ['amos', 'cleo'],
    ] as const)
      await until(() => getKey(from, to).then(Boolean, () => false), `a key of ${from} for ${to}`, {
        timeoutMs: 20_000,
      })
  })
  afterEach(async () => {
    for (const site of ['inner-1', 'border-1', 'border-2', 'inner-2'] as const) {
      const { incidents } = (await call(site, 'incident-list', {})) as { incidents: IncidentView[] }
      for (const { id, originSiteId } of incidents)
        if (originSiteId === site) await call(site, 'incident-release', { id })
    }
  })
  after(() => domains[Symbol.asyncDispose]())

  it('are not drawn while the border is held, and leave it for nobody who has not fetched them', async () => {
    const key = await getKey('alice', 'carol', ['anna'])
    const id = await hold('inner-1', { relay: 'border-1' })
    await rejectsWith(getKey('alice', 'carol'), 'ERR_QKD_POLICY_DENIED')
    // Anna is no host of another domain, but her key went to one.
    await rejectsWith(fetchKey('anna', 'alice', key.keyId), 'ERR_QKD_POLICY_DENIED')
    await call('inner-1', 'incident-release', { id })
    expect((await fetchKey('anna', 'alice', key.keyId)).secret.equals(key.secret)).to.equal(true)
    await getKey('alice', 'carol')
  })

  for (const [what, relay] of [
    ['the other domain’s KME', 'kme-border-1'],
    ['the own border', 'border-2'],
    ['the own border’s KME', 'kme-border-2'],
  ] as const) {
    it(`stay held that crossed ${what} in the time in question, after that time too`, async () => {
      const sinceMs = Date.now()
      const key = await getKey('alice', 'carol')
      const untilMs = Date.now()
      await until(() => Date.now() > untilMs, 'the time is over')
      const id = await hold('border-2', { relay, sinceMs, untilMs })
      await rejectsWith(fetchKey('carol', 'alice', key.keyId), 'ERR_QKD_POLICY_DENIED')
      const later = await getKey('alice', 'carol')
      await fetchKey('carol', 'alice', later.keyId)
      await call('border-2', 'incident-release', { id })
      expect((await fetchKey('carol', 'alice', key.keyId)).secret.equals(key.secret)).to.equal(true)
    })
  }

  it('go to no host of the border itself that an incident names', async () => {
    const key = await getKey('amos', 'cleo')
    const ids = [
      await hold('border-1', { saePair: ['cleo', 'amos'] }),
      await hold('border-2', { saePair: ['amos', 'cleo'] }),
    ]
    await rejectsWith(getKey('amos', 'cleo'), 'ERR_QKD_POLICY_DENIED')
    await rejectsWith(fetchKey('cleo', 'amos', key.keyId), 'ERR_QKD_POLICY_DENIED')
    await getKey('amos', 'carol')
    await call('border-1', 'incident-release', { id: ids[0] })
    await call('border-2', 'incident-release', { id: ids[1] })
    await fetchKey('cleo', 'amos', key.keyId)
    await getKey('amos', 'cleo')
  })
})

import { expect } from 'chai'
import { type ExamineKmeOptions, examineKme, type KmeExamination } from '../../../lib/client/doctor/examine-kme.ts'
import { createForeignKmePair, type ForeignKmePair } from '../../helpers/foreign-kme.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { createServedTestSites, type ServedTestSites } from '../../helpers/test-sites.ts'
import { until } from '../../helpers/until.ts'

const statesOf = ({ findings }: KmeExamination, check: string) =>
  findings.filter(finding => finding.check === check).map(({ state }) => state)

describe('examineKme', () => {
  describe('at a KME of ours', () => {
    let sites: ServedTestSites
    const ask = (saeId: string, options: Partial<ExamineKmeOptions> = {}) =>
      examineKme({ baseUrl: sites.sites[0].address.etsi014.url, ...sites.credentials(saeId), ...options })

    /** The key_IDs that are issued from now on. */
    const watchIssued = () => {
      const issued: string[] = []
      sites.sites[0].telemetry.subscribe(event => event.type === 'key-issued' && issued.push(event.keyId))
      return issued
    }

    before(async () => {
      sites = await createServedTestSites()
      await until(() => sites.sites[0].status().pools[0]!.issuableCells > 0, 'key in the pool')
    })
    after(() => sites[Symbol.asyncDispose]())

    it('finds nothing that deviates, and consumes nothing', async () => {
      const issued = watchIssued()
      const examination = await ask('alice', { peerSaeId: 'bob' })
      const odd = examination.findings.filter(({ state }) => state === 'deviation' || state === 'fault')
      expect(odd).to.deep.equal([])
      expect(examination.profile).to.equal('etsi')
      expect(issued).to.deep.equal([])
      expect(statesOf(examination, 'key')).to.deep.equal([])
    })

    it('draws exactly one key where it may, and shows none of it', async () => {
      const issued = watchIssued()
      const examination = await ask('alice', { peerSaeId: 'bob', takeKey: true })
      expect(statesOf(examination, 'key')).to.deep.equal(['ok'])
      expect(issued).to.have.length(1)
      const key = examination.findings.find(({ check }) => check === 'key')
      expect(key!.text).to.include('256 bits').and.include(issued[0])
    })

    it('asks for the pool only where the other SAE is named', async () => {
      const { findings } = await ask('alice')
      expect(findings.find(({ check }) => check === 'status')).to.include({ state: 'ok' })
      expect(findings.some(({ state }) => state === 'fault')).to.equal(false)
    })

    it('tells whom the KME does not know', async () => {
      const { findings } = await ask('mallory', { peerSaeId: 'bob' })
      expect(findings.find(({ check }) => check === 'status')).to.include({
        state: 'fault',
        code: 'ERR_QKD_UNAUTHORIZED',
      })
    })

    it('tells of a KME that another authority signed, and asks it nothing', async () => {
      const { ca } = createTestAuthority('Other CA')
      const examination = await ask('alice', { ca, peerSaeId: 'bob' })
      expect(statesOf(examination, 'certificate')).to.deep.equal(['fault'])
      expect(statesOf(examination, 'status')).to.deep.equal([])
    })

    it('refuses to draw a key for nobody', async () => {
      await rejectsWith(ask('alice', { takeKey: true }), 'ERR_QKD_INVALID_ARGUMENT')
    })
  })

  it('tells where nobody listens', async () => {
    const { cert, key, ca } = createTestAuthority().issue('alice')
    const { findings } = await examineKme({ baseUrl: 'https://127.0.0.1:1', cert, key, ca })
    expect(findings).to.have.length(1)
    expect(findings[0]).to.include({ check: 'connection', state: 'fault', code: 'ERR_QKD_KME_UNREACHABLE' })
  })

  it('stops when told to', async () => {
    const { cert, key, ca } = createTestAuthority().issue('alice')
    const signal = AbortSignal.abort(new Error('stopped'))
    const stopped = await examineKme({ baseUrl: 'https://127.0.0.1:1', cert, key, ca, signal }).catch(error => error)
    expect(stopped).to.include({ message: 'stopped' })
  })

  describe('at a KME of somebody else', () => {
    const authority = createTestAuthority()
    let pair: ForeignKmePair

    before(async () => {
      const credentials = [authority.issue('NULLA-QKD-7F-A'), authority.issue('NULLA-QKD-7F-B')] as const
      pair = await createForeignKmePair(credentials, [['alice'], ['bob']])
    })
    after(() => pair[Symbol.asyncDispose]())

    it('finds what its refusals have otherwise, and still reads it by the standard', async () => {
      const options = { baseUrl: pair.kmes[0].url, ...authority.issue('alice'), peerSaeId: 'bob' }
      const examination = await examineKme(options)
      expect(pair.issuedCount).to.equal(0)
      expect(statesOf(examination, 'methods')).to.deep.equal(['deviation'])
      expect(statesOf(examination, 'unknown path')).to.deep.equal(['deviation'])
      expect(statesOf(examination, 'unknown key_ID')).to.deep.equal(['ok'])
      expect(examination.findings.filter(({ state }) => state === 'fault')).to.deep.equal([])
      expect(examination.profile).to.equal('etsi')
      await examineKme({ ...options, takeKey: true })
      expect(pair.issuedCount).to.equal(1)
    })
  })
})

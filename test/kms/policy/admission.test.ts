import { expect } from 'chai'
import type { QkdError } from '../../../lib/errors.ts'
import type { PolicyFile } from '../../../lib/interface/policy.ts'
import { Admission, SHIPPED_POLICY } from '../../../lib/kms/policy/admission.ts'

const limits = { keySizeBits: 256, minKeySizeBits: 64, maxKeySizeBits: 4096, maxKeyPerRequest: 128 }
const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }

/** An admission by `policy`, and its clock. */
function admissionBy(policy: PolicyFile) {
  const clock = { ms: 1_000_000 }
  const now = () => clock.ms
  const admission = new Admission({ policy, limits, keyLifeMs: 60_000, now, monotonicMs: now })
  const ask = (wish: Partial<Parameters<Admission['admit']>[0]> = {}) =>
    admission.admit({ pair, peerSiteId: 'east', ...wish })
  const refusal = (wish: Partial<Parameters<Admission['admit']>[0]> = {}): QkdError => {
    try {
      ask(wish)
    } catch (error) {
      return error as QkdError
    }
    throw new Error('it was let in')
  }
  return { admission, ask, refusal, clock }
}

describe('Admission', () => {
  it('without a policy lets in what the limits allow', () => {
    const { ask, refusal } = admissionBy(SHIPPED_POLICY)
    expect(ask()).to.include({ suite: 2, number: 1, sizeBytes: 32, priority: 0, reservedShare: 0 })
    expect(ask({ level: 'hybrid' })).to.include({ suite: 3 })
    expect(ask({ level: 'one-time-pad', sizeBits: 4096 })).to.include({ suite: 1, sizeBytes: 512 })
    expect(refusal({ level: 'expanded' }).code).to.equal('ERR_QKD_POLICY_DENIED')
    expect(refusal({ sizeBits: 8192 }).code).to.equal('ERR_QKD_INVALID_ARGUMENT')
    expect(refusal({ number: 129 }).code).to.equal('ERR_QKD_INVALID_ARGUMENT')
  })

  it('takes the terms of the rule, and names it in refusals', () => {
    const { ask, refusal, admission } = admissionBy({
      rules: [
        { name: 'no', match: { slave: ['mallory'] }, deny: true },
        { name: 'strict', match: { integration: ['tls'] }, levels: ['hybrid'], priority: 4, maxKeySizeBits: 512 },
        { name: 'rest', maxKeysPerRequest: 2 },
      ],
      reserves: [
        { priority: 3, share: 0.1 },
        { priority: 8, share: 0.2 },
      ],
      otherwise: 'deny',
    })
    expect(refusal({ pair: { ...pair, slaveSaeId: 'mallory' } }).message).to.include('rule "no"')
    expect(ask({ integration: 'tls' })).to.include({ suite: 3, priority: 4, reservedShare: 0.2, ruleName: 'strict' })
    expect(refusal({ integration: 'tls', level: 'quantum' }).message).to.include('it offers hybrid (rule "strict")')
    expect(refusal({ integration: 'tls', sizeBits: 1024 }).code).to.equal('ERR_QKD_INVALID_ARGUMENT')
    expect(ask().reservedShare).to.be.closeTo(0.3, 1e-9)
    expect(refusal({ number: 3 }).code).to.equal('ERR_QKD_INVALID_ARGUMENT')
    expect(admission.limitsFor(pair, 'east').maxKeyPerRequest).to.equal(2)
  })

  it('lowers a level only where rule and request both say so, and never a pad or what is low already', () => {
    const levels = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum'] as const
    const rule = (response: 'wait' | 'expand' | 'post-quantum' | 'refuse') => ({
      name: response,
      match: { integration: [response] },
      levels,
      whenLow: { response, waitMs: 100 },
    })
    const { ask, refusal } = admissionBy({
      rules: [
        rule('wait'),
        rule('expand'),
        rule('post-quantum'),
        rule('refuse'),
        { name: 'low', levels, level: 'expanded' },
      ],
      cellsPerSeed: 8,
      otherwise: 'deny',
    })
    const lowered = (integration: string, level: (typeof levels)[number], minLevel?: (typeof levels)[number]) =>
      ask({ integration, level, minLevel }).lowering
    for (const response of ['wait', 'refuse']) expect(lowered(response, 'quantum', 'post-quantum')).to.equal(undefined)
    for (const level of ['quantum', 'hybrid'] as const) {
      expect(lowered('expand', level, 'expanded')).to.include({ level: 'expanded', suite: 5, isWanted: true })
      expect(lowered('expand', level)).to.include({ isWanted: false })
      expect(lowered('post-quantum', level, 'expanded')).to.include({ level: 'post-quantum', isWanted: false })
      expect(lowered('post-quantum', level, 'post-quantum')).to.include({ suite: 6, isWanted: true })
    }
    for (const level of ['one-time-pad', 'expanded', 'post-quantum'] as const)
      expect(lowered('expand', level, 'post-quantum')).to.equal(undefined)
    // More than one seed gives could never come.
    expect(ask({ integration: 'expand', minLevel: 'expanded', sizeBits: 9 * 256 }).lowering).to.equal(undefined)
    expect(refusal({ level: 'expanded', sizeBits: 9 * 256 }).message).to.include('at most 2048 bits')
    expect(refusal({ minLevel: 'quantum' }).message).to.include('"low" gives keys of level expanded')
  })

  it('says which levels are to be had with a site at all', () => {
    const { admission } = admissionBy({
      rules: [
        { name: 'no', match: { master: ['mallory'] }, deny: true, levels: ['post-quantum'] },
        { name: 'west', match: { peerSite: ['west'] }, levels: ['quantum', 'expanded'] },
      ],
      otherwise: 'allow',
    })
    const taken = (site: string) =>
      (['quantum', 'expanded', 'post-quantum'] as const).filter(level => admission.takesLevel(level, site))
    expect(taken('west')).to.deep.equal(['quantum', 'expanded'])
    expect(taken('east')).to.deep.equal(['quantum'])
    admission.setPolicy({ rules: [], otherwise: 'deny' })
    expect(taken('west')).to.deep.equal([])
  })

  it('charges whole cells to the host, says when to come back, and gives back what was not issued', () => {
    const { ask, refusal, clock } = admissionBy({
      rules: [{ name: 'slow', rate: { bitsPerSecond: 512, burstBits: 1024 } }],
      otherwise: 'deny',
    })
    const first = ask({ sizeBits: 64, number: 4 })
    const over = refusal()
    expect([over.code, over.retryAfterMs]).to.deep.equal(['ERR_QKD_POOL_EXHAUSTED', 500])
    first.refused()
    ask({ number: 4 })
    clock.ms += 499
    expect(refusal().retryAfterMs).to.equal(1)
    clock.ms += 1
    ask()
    expect(refusal({ number: 5 }).message).to.include('may burn 1024 at once')
    expect(ask({ pair: { masterSaeId: 'carol', slaveSaeId: 'bob' }, number: 4 }).ruleName).to.equal('slow')
  })

  it('charges a group together', () => {
    const { ask, refusal } = admissionBy({
      groups: { labs: { saes: ['lab-*'], rate: { bitsPerSecond: 256, burstBits: 768 } } },
      rules: [],
      otherwise: 'allow',
    })
    ask({ pair: { masterSaeId: 'lab-1', slaveSaeId: 'bob' }, number: 2 })
    ask({ pair: { masterSaeId: 'lab-2', slaveSaeId: 'bob' } })
    expect(refusal({ pair: { masterSaeId: 'lab-3', slaveSaeId: 'bob' } }).message).to.include('group "labs"')
    ask({ number: 100 })
  })

  it('caps keys that may still be fetched, for as long as they may', () => {
    const { ask, refusal, clock } = admissionBy({
      rules: [{ name: 'few', maxUnfetchedKeys: 5 }],
      otherwise: 'deny',
    })
    ask({ number: 3 }).issued()
    ask({ number: 2 }).refused()
    ask({ number: 2 }).issued()
    expect(refusal().details[0]).to.include({ limit: 'unfetched', unfetched: 5, allowed: 5 })
    clock.ms += 59_000
    expect(refusal().code).to.equal('ERR_QKD_POOL_EXHAUSTED')
    clock.ms += 5_000
    ask({ number: 5 })
  })

  it('caps requests at the same time together, and counts what was refused or burned no longer', () => {
    const { ask, refusal } = admissionBy({ rules: [{ name: 'few', maxUnfetchedKeys: 5 }], otherwise: 'deny' })
    const [first, second] = [ask({ number: 3 }), ask({ number: 2 })]
    expect(refusal().details[0]).to.include({ limit: 'unfetched', unfetched: 5, allowed: 5 })
    first.refused()
    const third = ask({ number: 3 })
    second.burned()
    third.issued()
    expect(refusal({ number: 3 }).details[0]).to.include({ unfetched: 3 })
    ask({ number: 2 })
  })

  it('goes on by another policy, with what was in its buckets', () => {
    const slow: PolicyFile = {
      rules: [{ name: 'slow', rate: { bitsPerSecond: 256, burstBits: 256 } }],
      otherwise: 'deny',
    }
    const { admission, ask, refusal } = admissionBy(slow)
    ask()
    admission.setPolicy({ ...slow, defaults: { priority: 7 } })
    expect(refusal().code).to.equal('ERR_QKD_POOL_EXHAUSTED')
    admission.setPolicy({ ...SHIPPED_POLICY, otherwise: 'deny' })
    expect(refusal().code).to.equal('ERR_QKD_POLICY_DENIED')
  })

  it('has a word of its own on keys that the peer issued', () => {
    const { admission } = admissionBy({
      rules: [
        { name: 'direct only', match: { master: ['alice'] }, levels: ['hybrid'], trustClasses: ['direct'] },
        { name: 'short', match: { master: ['carol'] }, lifetimeMs: 5_000 },
      ],
      otherwise: 'deny',
    })
    const terms = admission.admitRetrieval(pair, 'east')
    terms.check('hybrid', 'direct')
    expect(() => terms.check('quantum', 'direct')).to.throw(/no keys of level quantum/)
    expect(() => terms.check('hybrid', 'relayed')).to.throw(/no keys of class relayed/)
    expect(admission.admitRetrieval({ ...pair, masterSaeId: 'carol' }, 'east').lifetimeMs).to.equal(5_000)
    expect(() => admission.admitRetrieval({ ...pair, masterSaeId: 'eve' }, 'east')).to.throw(/refuses keys for eve/)
  })

  it('takes a key by the rule for an integration that it may have been issued for: who fetches names none', () => {
    const { admission } = admissionBy({
      rules: [
        { name: 'no faxes', match: { integration: ['fax'] }, deny: true },
        { name: 'pads', match: { integration: ['files'] }, levels: ['one-time-pad'], lifetimeMs: 9_000 },
        { name: 'rest', levels: ['quantum'] },
        { name: 'never', match: { integration: ['tls'] }, levels: ['hybrid'] },
      ],
      otherwise: 'deny',
    })
    const terms = admission.admitRetrieval(pair, 'east')
    terms.check('one-time-pad', 'direct')
    expect(terms).to.include({ ruleName: 'pads', lifetimeMs: 9_000 })
    terms.check('quantum', 'direct')
    expect(terms.ruleName).to.equal('rest')
    expect(() => terms.check('hybrid', 'direct')).to.throw(/no keys of level hybrid/)
    const { admission: closed } = admissionBy({
      rules: [{ name: 'no faxes', match: { integration: ['fax'] }, deny: true }],
      otherwise: 'deny',
    })
    expect(() => closed.admitRetrieval(pair, 'east')).to.throw(/rule "otherwise"/)
  })
})

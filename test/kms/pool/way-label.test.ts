import { expect } from 'chai'
import type { SecurityLevel, TrustClass } from '../../../lib/interface/kms.ts'
import { lowestLabel } from '../../../lib/kms/pool/way-label.ts'

const LEVELS: readonly SecurityLevel[] = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']
const CLASSES: readonly TrustClass[] = ['direct', 'split', 'relayed', 'post-quantum']
const levelOf = (...levels: SecurityLevel[]) =>
  lowestLabel(levels.map(level => ({ level, trustClass: 'direct' }))).level
const classOf = (...classes: TrustClass[]) =>
  lowestLabel(classes.map(trustClass => ({ level: 'quantum', trustClass }))).trustClass

describe('lowestLabel', () => {
  it('is what each way promises, in whatever order the ways come', () => {
    for (const level of LEVELS) expect(levelOf(level, level)).to.equal(level)
    for (const one of LEVELS) for (const two of LEVELS) expect(levelOf(one, two)).to.equal(levelOf(two, one))
    expect(levelOf('one-time-pad', 'hybrid')).to.equal('quantum')
    expect(levelOf('hybrid', 'quantum', 'one-time-pad')).to.equal('quantum')
    expect(levelOf('hybrid', 'expanded')).to.equal('expanded')
    expect(levelOf('expanded', 'post-quantum', 'one-time-pad')).to.equal('post-quantum')
  })

  it('has the weakest class', () => {
    CLASSES.forEach((one, at) => {
      for (const two of CLASSES.slice(at)) expect([classOf(one, two), classOf(two, one)]).to.deep.equal([two, two])
    })
  })
})

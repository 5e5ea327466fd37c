import { expect } from 'chai'
import { STORE_BITS, WIRE_VERSION } from '../../../lib/kms/pool/peer-wire.ts'
import { agree, type Hello, isRolledBack } from '../../../lib/kms/pool/session-agreement.ts'

const root = Buffer.alloc(16, 5)

function hello(fields: Partial<Hello> = {}): Hello {
  return {
    version: WIRE_VERSION,
    siteId: 'site-a',
    poolId: 'site-a|site-b',
    startNonce: Buffer.alloc(16),
    commits: 100,
    heardCommits: 100,
    lifetimeMs: 1000,
    floor: 10n,
    poolEpoch: 1,
    sealEpoch: 0,
    rootCheck: root,
    pendingCheck: new Uint8Array(16),
    kems: 3,
    store: 0,
    ...fields,
  }
}

describe('agree', () => {
  it('goes on where both stores are as the other heard of them, with the shorter lifetime', () => {
    expect(agree(hello(), hello({ lifetimeMs: 500 }))).to.deep.equal({
      lifetimeMs: 500,
      reset: undefined,
      resync: undefined,
      pending: undefined,
    })
    expect(agree(hello({ commits: 200 }), hello())).to.deep.equal({
      lifetimeMs: 1000,
      reset: undefined,
      resync: undefined,
      pending: undefined,
    })
  })

  const blank = { poolEpoch: 0, commits: 0, heardCommits: 0, floor: 0n, rootCheck: new Uint8Array(16) }
  const cases: [string, Hello, Hello, { poolEpoch: number; floor: bigint }][] = [
    ['at first contact', hello(blank), hello(blank), { poolEpoch: 1, floor: 0n }],
    ['when one side lost everything', hello(blank), hello({ floor: 77n }), { poolEpoch: 2, floor: 77n }],
    ['when one store was rolled back', hello({ commits: 99 }), hello({ floor: 12n }), { poolEpoch: 2, floor: 12n }],
    ['when both stores were rolled back', hello({ commits: 99 }), hello({ commits: 5 }), { poolEpoch: 2, floor: 10n }],
    ['when a reset was interrupted', hello({ poolEpoch: 4 }), hello({ poolEpoch: 3 }), { poolEpoch: 5, floor: 10n }],
    ['when one root is of two epochs', hello({ sealEpoch: 2 }), hello({ sealEpoch: 1 }), { poolEpoch: 2, floor: 10n }],
    ['when the roots differ', hello(), hello({ rootCheck: Buffer.alloc(16, 6) }), { poolEpoch: 2, floor: 10n }],
  ]
  for (const [when, one, two, expected] of cases) {
    it(`begins anew ${when}, alike at both ends`, () => {
      for (const [local, remote] of [[one, two] as const, [two, one] as const]) {
        const { reset } = agree(local, remote)
        expect(reset).to.deep.include(expected)
      }
    })
  }

  it('goes on to the next root where one side does already, and begins anew where that is of a later epoch still', () => {
    const next = Buffer.alloc(16, 6)
    const behind = hello({ pendingCheck: next })
    const ahead = hello({ rootCheck: next, sealEpoch: 1 })
    expect(agree(behind, ahead)).to.include({ reset: undefined, pending: 'promote' })
    expect(agree(ahead, behind)).to.include({ reset: undefined, pending: undefined })
    const further = hello({ rootCheck: next, sealEpoch: 2 })
    for (const [local, remote] of [[behind, further] as const, [further, behind] as const])
      expect(agree(local, remote).reset?.reason).to.equal('the epochs of the pair secret differ')
  })

  const { rolledBack, vouched } = STORE_BITS
  const restored: [string, Hello][] = [
    ['has heard more of it', hello({ commits: 99 })],
    ['is told by it', hello({ store: rolledBack })],
  ]
  for (const [how, back] of restored) {
    it(`lets a side that was put back ask the other, which ${how} and is sure of itself`, () => {
      expect(agree(back, hello({ store: vouched }))).to.include({ reset: undefined, resync: 'local' })
      expect(agree(hello({ store: vouched }), back)).to.include({ reset: undefined, resync: 'remote' })
    })
  }

  const back = hello({ store: rolledBack })
  const witnesses: [string, Hello][] = [
    ['was put back itself', hello({ store: rolledBack | vouched })],
    ['is behind what was heard of it', hello({ store: vouched, commits: 99 })],
    ['does not know whether it was', hello()],
    ['is in another pool epoch', hello({ store: vouched, poolEpoch: 2 })],
    ['is in another seal epoch', hello({ store: vouched, sealEpoch: 1 })],
    ['has another root', hello({ store: vouched, rootCheck: Buffer.alloc(16, 6) })],
  ]
  for (const [what, witness] of witnesses) {
    it(`takes no witness that ${what}`, () => {
      for (const [local, remote] of [[back, witness] as const, [witness, back] as const]) {
        const { reset, resync } = agree(local, remote)
        expect(resync).to.equal(undefined)
        expect(reset?.reason).to.equal('a store was rolled back')
      }
    })
  }

  it('begins anew with a peer that would use the commit numbers up, instead of counting on from there', () => {
    const [honest, liar] = [hello({ store: vouched }), hello({ store: vouched, heardCommits: 2 ** 53 - 1 })]
    for (const [local, remote] of [[honest, liar] as const, [liar, honest] as const]) {
      expect(agree(local, remote).resync).to.equal(undefined)
      expect(agree(local, remote).reset?.reason).to.equal('a store was rolled back')
    }
  })

  const absurd: [string, Partial<Hello>, Partial<Hello>][] = [
    ['a pool epoch', { poolEpoch: 2 ** 32 - 2 }, { poolEpoch: 2 ** 31 + 1 }],
    ['a seal epoch', { sealEpoch: 2 ** 32 - 2 }, { sealEpoch: 2 ** 31 + 1 }],
    ['a block', { floor: 2n ** 63n - 1n }, { floor: 2n ** 62n + 2n }],
  ]
  for (const [what, claimed, reached] of absurd) {
    it(`refuses a peer that speaks of ${what} from where nobody could go on, and none that was led up high`, () => {
      expect(() => agree(hello(), hello(claimed))).to.throw(/than there can be/)
      expect(() => agree(hello(), hello(reached))).not.to.throw()
      expect(() => agree(hello(reached), hello(reached))).not.to.throw()
    })
  }

  it('sees which side was rolled back', () => {
    expect(isRolledBack(hello({ commits: 99 }), hello())).to.equal(true)
    expect(isRolledBack(hello(), hello({ commits: 99 }))).to.equal(false)
  })

  it('refuses another version, or another pool', () => {
    expect(() => agree(hello(), hello({ version: 99 }))).to.throw(/version 99/)
    expect(() => agree(hello(), hello({ poolId: 'x|y' }))).to.throw(/x\|y/)
  })
})

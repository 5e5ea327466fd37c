import { expect } from 'chai'
import { KvnoTable, kvnoOf } from '../../../integrations/kerberos/kvno-table.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'

const PRINCIPAL = 'krbtgt/B.QKD@A.QKD'
const keys = () => [{ enctype: 20 as const, secret: SecretKey.random(32) }]
const version = (epoch: number) => ({ principal: PRINCIPAL, epoch, keyId: `key-${epoch}`, keys: keys() })

describe('kvnoOf', () => {
  it('counts from 1 to 65535 and begins again', () => {
    expect([1, 2, 65_535, 65_536, 65_537, 131_071].map(kvnoOf)).to.deep.equal([1, 2, 65_535, 1, 2, 1])
  })

  it('refuses what is no epoch', () => {
    for (const epoch of [0, -1, 1.5, Number.NaN]) expect(() => kvnoOf(epoch)).to.throw('epoch')
  })
})

describe('KvnoTable', () => {
  it('leads a version from announced to current to retained, and forgets it after its time', () => {
    let now = 1_000
    const table = new KvnoTable({ now: () => now })
    table.announce(version(1))
    expect(table.current(PRINCIPAL)).to.equal(undefined)
    expect(table.resolve(PRINCIPAL, 1)!.state).to.equal('announced')
    table.promote(PRINCIPAL, 1, { retainMs: 100 })
    const second = table.announce(version(2))
    table.promote(PRINCIPAL, 2, { retainMs: 100 })
    expect(table.versions(PRINCIPAL).map(({ kvno, state }) => `${kvno} ${state}`)).to.deep.equal([
      '2 current',
      '1 retained',
    ])
    const old = table.resolve(PRINCIPAL, 1)!
    now = 1_100
    expect(table.resolve(PRINCIPAL, 1)).to.equal(undefined)
    expect(table.expire()).to.deep.equal([old])
    expect(old.keys[0]!.secret.wiped).to.equal(true)
    expect(second.keys[0]!.secret.wiped).to.equal(false)
  })

  it('knows nothing of a kvno that nobody announced', () => {
    const table = new KvnoTable()
    table.announce(version(7))
    expect(table.resolve(PRINCIPAL, 8)).to.equal(undefined)
    expect(table.resolve('HTTP/x@A.QKD', 7)).to.equal(undefined)
  })

  it('goes on from 65535 to 1 with the old version still resolved', () => {
    const table = new KvnoTable()
    for (const epoch of [65_535, 65_536]) {
      table.announce(version(epoch))
      table.promote(PRINCIPAL, epoch, { retainMs: 60_000 })
    }
    expect(table.current(PRINCIPAL)!.kvno).to.equal(1)
    expect(table.resolve(PRINCIPAL, 65_535)!.keyId).to.equal('key-65535')
  })

  it('never holds two keys of one kvno, nor takes an older epoch', () => {
    const table = new KvnoTable()
    table.announce(version(5))
    expect(() => table.announce(version(5))).to.throw('not newer')
    expect(() => table.announce(version(4))).to.throw('not newer')
    expect(() => table.announce(version(5 + 65_535))).to.throw('still held')
  })

  it('retains versions that were passed over, and refuses to go back to them', () => {
    const table = new KvnoTable()
    for (const epoch of [1, 2, 3]) table.announce(version(epoch))
    table.promote(PRINCIPAL, 3, { retainMs: 1_000 })
    expect(table.resolve(PRINCIPAL, 1)!.state).to.equal('retained')
    expect(() => table.promote(PRINCIPAL, 1, { retainMs: 1_000 })).to.throw('superseded')
    expect(() => table.promote(PRINCIPAL, 9, { retainMs: 1_000 })).to.throw('not announced')
  })

  it('is bounded', () => {
    const table = new KvnoTable({ maxVersions: 2 })
    table.announce(version(1))
    table.announce(version(2))
    expect(() => table.announce(version(3))).to.throw('2 key versions are held')
  })

  it('refuses a key whose size is not that of its type', () => {
    const table = new KvnoTable()
    const short = [{ enctype: 20 as const, secret: SecretKey.random(16) }]
    expect(() => table.announce({ ...version(1), keys: short })).to.throw('32 bytes')
    expect(table.lastEpoch(PRINCIPAL)).to.equal(0)
  })

  it('is as before after restore, the newest first', () => {
    const table = new KvnoTable()
    table.announce(version(1))
    table.promote(PRINCIPAL, 1, { retainMs: 1_000 })
    table.announce(version(2))
    const again = new KvnoTable()
    for (const entry of table.versions(PRINCIPAL)) again.restore(entry)
    expect(again.versions(PRINCIPAL)).to.deep.equal(table.versions(PRINCIPAL))
    expect(() => again.restore(table.versions(PRINCIPAL)[0]!)).to.throw('does not fit')
  })
})

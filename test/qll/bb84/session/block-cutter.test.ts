import { expect } from 'chai'
import { exportKey } from '../../../../lib/key/export-key.ts'
import { BlockCutter } from '../../../../lib/qll/bb84/session/block-cutter.ts'

describe('BlockCutter', () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => i)

  it('cuts what came, in order, and keeps the rest for the next key', () => {
    const cutter = new BlockCutter(16)
    const first = cutter.cut(bytes.subarray(0, 40), 7n)
    const second = cutter.cut(bytes.subarray(40, 45), 9n)
    const third = cutter.cut(bytes.subarray(45, 100), 20n)
    expect([first, second, third].map(blocks => blocks.map(({ number }) => number))).to.deep.equal([
      [7n, 8n],
      [],
      [20n, 21n, 22n, 23n],
    ])
    const cut = Buffer.concat([...first, ...second, ...third].map(({ secret }) => exportKey(secret)))
    expect(cut).to.deep.equal(Buffer.from(bytes.subarray(0, 96)))
  })

  it('foretells how many secrets more key will complete', () => {
    const cutter = new BlockCutter(16)
    expect(cutter.countFor(31)).to.equal(1)
    cutter.cut(bytes.subarray(0, 15), 0n)
    expect(cutter.countFor(1)).to.equal(1)
    expect(cutter.countFor(0)).to.equal(0)
  })

  it('leaves the key it cuts as it was, and forgets the rest when told', () => {
    const cutter = new BlockCutter(16)
    const key = Uint8Array.from(bytes.subarray(0, 20))
    cutter.cut(key, 0n)
    expect(key).to.deep.equal(bytes.subarray(0, 20))
    cutter.wipe()
    expect(cutter.countFor(15)).to.equal(0)
  })
})

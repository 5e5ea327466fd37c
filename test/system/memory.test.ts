import { expect } from 'chai'
import { searchDelivered, searchDeliveredAsStrings } from '../helpers/memory-trial.ts'

const KEYS = 2_500

describe('the memory of a site', function () {
  this.timeout(240_000)
  before(function () {
    if (process.platform === 'linux') return
    console.log('      skipped: the memory of another process is read from /proc, which is Linux')
    this.skip()
  })

  it('keeps no key that was delivered, raw or in hex, and hardly one in base64; nor does a file', async () => {
    const { scannedBytes, raw, hex, base64 } = await searchDelivered(KEYS)
    console.log(
      `      ${KEYS} keys, ${Math.round(scannedBytes / 2 ** 20)} MiB: ${raw} raw, ${hex} hex, ${base64} base64`,
    )
    expect({ raw, hex }).to.deep.equal({ raw: 0, hex: 0 })
    expect(base64).to.be.at.most(10)
  })

  it('would show the keys of a server that makes strings of them', async () => {
    const { base64 } = await searchDeliveredAsStrings(KEYS)
    console.log(`      as strings: ${base64} base64`)
    expect(base64).to.be.above(KEYS / 10)
  })
})

import { expect } from 'chai'
import { runRelayTrace } from '../../helpers/relay-trace.ts'

describe('a chain of relays', function () {
  this.timeout(180_000)

  for (const chunkBytes of [1024, 32_768]) {
    it(`uses no link key twice and mixes nothing up while its processes are killed, in chunks of ${chunkBytes} bytes`, async () => {
      const report = await runRelayTrace({ blocks: 60, chunkBytes, killEveryMs: 1500, minKills: 3 })
      expect(report).to.include({ bytesUsedTwice: 0, different: 0, twice: 0 })
      expect(report.blocks).to.be.at.least(60)
      expect(report.padUses).to.be.above(3 * 60)
    })
  }
})

import { expect } from 'chai'
import { runRelayTrace } from '../../helpers/relay-trace.ts'

describe('a chain of relays', function () {
  this.timeout(180_000)

  const cases = [
    { chunkBytes: 1024, announce: false },
    { chunkBytes: 32_768, announce: false },
    { chunkBytes: 32_768, announce: true },
  ]
  for (const { chunkBytes, announce } of cases) {
    it(`uses no link key twice and mixes nothing up while its processes are killed, ${announce ? 'announcing' : `in chunks of ${chunkBytes} bytes`}`, async () => {
      const report = await runRelayTrace({ blocks: 60, chunkBytes, announce, killEveryMs: 1500, minKills: 3 })
      expect(report).to.include({ bytesUsedTwice: 0, different: 0, twice: 0 })
      expect(report.blocks).to.be.at.least(60)
      expect(report.padUses).to.be.above(3 * 60)
    })
  }
})

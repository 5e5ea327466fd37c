import { expect } from 'chai'
import { type KmsFixture, kmsCompliance } from '../compliance/kms.ts'
import { runTrace } from '../helpers/key-trace.ts'
import { type SiteProcesses, startSiteProcesses } from '../helpers/site-process.ts'
import { until } from '../helpers/until.ts'

/** What no run may show. */
const clean = { wrong: 0, twice: 0, refused: 0, faults: [] }

describe('two sites of three processes each', function () {
  this.timeout(180_000)
  let sites: SiteProcesses

  before(async () => {
    sites = await startSiteProcesses({ apart: true, targetBlocks: 2, built: process.env.QKD_TEST_BUILT === '1' })
  })

  after(async () => {
    await sites[Symbol.asyncDispose]()
  })

  const all = () => sites.parts.flatMap(parts => [...parts].map(([role, process]) => ({ role, process })))
  const errors = () => all().map(({ role, process }) => `${process.siteId} ${role}: ${process.stderr.slice(-500)}`)

  const lanes = () => [
    { master: sites.kms('alice'), slave: sites.kms('bob') },
    { master: sites.kms('ben'), slave: sites.kms('amy') },
  ]

  it('stay in step under keys in both directions with a tenth of the handshakes lost', async () => {
    const report = await runTrace({ lanes: lanes(), keys: 1_000, lossRatio: 0.1 })
    expect(report).to.deep.include(clean)
    expect(report.fetched).to.equal(report.drawn - report.dropped)
  })

  for (const role of ['link', 'qnl', 'kms'] as const) {
    it(`give no wrong key and none twice when ${role} serve is killed and started again, alone`, async () => {
      const done = new AbortController()
      let drawn = 0
      const trace = runTrace({
        lanes: lanes(),
        keys: Number.MAX_SAFE_INTEGER,
        lossRatio: 0.1,
        concurrency: 4,
        hostile: true,
        signal: done.signal,
        onProgress: count => {
          drawn = count
        },
      })
      let failed = false
      trace.catch(() => {
        failed = true
      })
      try {
        for (const parts of sites.parts) {
          const part = parts.get(role)!
          const before = drawn
          await until(() => failed || drawn >= before + 20, `keys are drawn: ${errors()}`, { timeoutMs: 30_000 })
          await part.kill()
          await part.start()
        }
        const before = drawn
        // More than what was in the pools: it came over the processes as they are now.
        await until(() => failed || drawn >= before + 50, `keys are drawn afterwards: ${errors()}`, {
          timeoutMs: 30_000,
        })
      } finally {
        done.abort()
      }
      expect(await trace).to.deep.include(clean)
    })
  }

  kmsCompliance({
    backend: 'six processes, over mutual TLS',
    setup: async (): Promise<KmsFixture> => {
      const [alice, bob, carol] = [sites.kms('alice'), sites.kms('bob'), sites.kms('ben')]
      // The first key of each lane takes longer than a request waits.
      for (const [kms, other] of [
        [alice, bob],
        [bob, alice],
      ] as const) {
        await until(async () => (await kms.getStatus(other.saeId)).storedKeyCount > 0, `${kms.saeId} has keys`)
      }
      const links = sites.parts.map(parts => parts.get('link')!)
      return {
        alice,
        bob,
        carol,
        unknownSaeId: 'mallory',
        deniedLevel: 'post-quantum',
        openAlice: async () => sites.kms('alice'),
        stopGeneration: async () => void (await Promise.all(links.map(link => link.kill()))),
        startGeneration: async () => void (await Promise.all(links.map(link => link.start()))),
      }
    },
    teardown: async () => {},
  })

  describe('told to end', () => {
    it('end in good order', async () => {
      // From the hosts downwards.
      for (const { process } of all().toReversed()) expect(await process.stop(), process.stderr).to.equal(0)
    })
  })
})

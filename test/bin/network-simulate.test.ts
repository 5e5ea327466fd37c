import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { screenshot } from '../helpers/chromium.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { top } from '../structure/tree.ts'
import { runQkd } from './run-qkd.ts'

const network = join(top, 'examples/networks/metro-12.json')
const day = join(top, 'examples/networks/metro-day.json')

describe('qkd network simulate', function () {
  this.timeout(120_000)

  it('runs a day, tells what came of it, and draws a report that a browser shows without a network', async function () {
    const chromium = peerProgram(this, 'chromium', 'chromium')
    await using dir = await createTempDir()
    const report = join(dir.path, 'day.html')
    const { exitCode, stdout, stderr } = await runQkd([
      'network',
      'simulate',
      network,
      '--trace',
      day,
      '--report',
      report,
    ])
    expect(exitCode, stderr).to.equal(0)
    expect(stderr).to.match(/^simulating 0 %\nsimulating 25 %\n/)
    expect(stdout).to.match(/^virtual time {3}24 h$/m)
    expect(stdout).to.match(/^key served {5}9[0-9.]+ % of what hosts asked for/m)
    expect(stdout).to.match(/^were down {6}s00-s01 for 2 h$/m)
    expect(stdout).to.match(/^this machine .* s, .* s of processor, .* MB$/m)
    const html = await readFile(report, 'utf8')
    for (const title of ['Map', 'Key for hosts', 'Key from the network', 'Plans', 'Interruptions']) {
      expect(html).to.include(`<figcaption>${title}</figcaption>`)
    }
    expect(html).to.include('link s00-s01 down')
    expect(html).to.not.match(/https?:|<script|<link|<img|src=|href=|@import|url\(|NaN|undefined/)
    const to = join(dir.path, 'day.png')
    await screenshot(report, { chromium, to })
    const picture = await readFile(to)
    expect(picture.subarray(1, 4).toString()).to.equal('PNG')
    expect(picture.byteLength).to.be.above(60_000)
  })

  it('gives the same day as one JSON document each time', async () => {
    await using dir = await createTempDir()
    const trace = join(dir.path, 'trace.json')
    await writeFile(trace, JSON.stringify({ durationS: 7200, seed: 7 }))
    const runs = await Promise.all(
      [1, 2].map(() => runQkd(['network', 'simulate', network, '--trace', trace, '--json'])),
    )
    const [first, second] = runs.map(({ stdout }) => {
      const { samples, demands, links, plans } = JSON.parse(stdout)
      return { samples, demands, links, plans }
    })
    expect(first).to.deep.equal(second)
    expect(first!.demands).to.have.length(66)
    expect(first!.plans).to.be.above(5)
  })

  it('refuses a trace that does not fit the network, with the path of the bad field', async () => {
    await using dir = await createTempDir()
    const trace = join(dir.path, 'trace.json')
    await writeFile(trace, JSON.stringify({ durationS: 60, events: [{ atS: 1, link: 'nowhere', state: 'down' }] }))
    const { exitCode, stderr } = await runQkd(['network', 'simulate', network, '--trace', trace])
    expect(exitCode).to.equal(EXIT_CODES.config.code)
    expect(stderr).to.include('/events/0/link: the network has no link "nowhere"')
  })
})

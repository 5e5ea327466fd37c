import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { screenshot } from '../helpers/chromium.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { runQkd } from './run-qkd.ts'

const simulate = (...args: string[]) => runQkd(['link', 'simulate', '--block-bits', '262144', ...args])

describe('qkd link simulate', function () {
  this.timeout(60_000)

  it('prints the stages as they run, and a summary', async () => {
    const { exitCode, stdout, stderr } = await simulate('--preset', 't12', '--distance', '20km', '--blocks', '2')
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
    expect(stdout).to.match(/^expected {3}[\d.]+ [kM]b\/s at a QBER of [\d.]+ %; key up to \d+\.\d km$/m)
    for (const stage of ['sent', 'sifting', 'estimation', 'correction', 'verification', 'amplification', 'key']) {
      expect(stdout.match(new RegExp(`^  ${stage} `, 'gm')), stage).to.have.length(2)
    }
    expect(stdout).to.match(/^Key from every block: [\d,]+ bits that both ends hold, at [\d.]+ [kM]b\/s$/m)
    expect(stdout).to.match(/^QBER +[\d.]+ %; model [\d.]+ % without an eavesdropper$/m)
  })

  it('says why there is no key where an eavesdropper takes too much', async () => {
    const { exitCode, stdout } = await simulate(
      '--preset',
      't12',
      '--distance',
      '20km',
      '--eve',
      '0.6',
      '--blocks',
      '1',
    )
    expect(exitCode).to.equal(0)
    expect(stdout).to.match(/^ {2}no key +the error rate of 1[4-9]\.\d\d % is above the limit of 11\.00 %$/m)
    expect(stdout).to.match(/^No key: the error rate/m)
    expect(stdout).to.not.match(/^ {2}(correction|amplification)/m)
  })

  it('gives one JSON document, without a bit of key in it', async () => {
    const { exitCode, stdout } = await simulate('--preset', 'yuan-2018', '--distance', '10 km', '--json')
    expect(exitCode).to.equal(0)
    const simulation = JSON.parse(stdout)
    expect(simulation.presetName).to.equal('yuan-2018')
    expect(simulation.blocks).to.have.length(3)
    const delivered = simulation.blocks.reduce(
      (sum: number, block: { deliveredBits: number }) => sum + block.deliveredBits,
      0,
    )
    expect(simulation.deliveredBits).to.equal(delivered).and.above(0)
    expect(simulation.rateBps / simulation.expected.plan.rateBps).to.be.within(0.8, 1.2)
    expect(stdout).to.not.match(/secrets|"key":/)
  })

  it('refuses what is no distance, no preset or out of range, before anything runs', async () => {
    for (const [args, message] of [
      [['--distance', '50'], /--distance must be a number with km or m, such as 50km, not "50"/],
      [['--distance', '-5km'], /--distance must be a number with km or m/],
      [['--preset', 'nobody'], /preset/],
      [['--eve', '1.5'], /interceptFraction must be from 0 to 1/],
      [['--blocks', '0'], /blocks must be an integer from 1 to 1000/],
    ] as const) {
      const { exitCode, stdout, stderr } = await simulate(...args)
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.usage.code, stdout: '' })
      expect(stderr).to.match(message)
    }
  })

  it('refuses a report where nothing can be written, before anything runs', async () => {
    const { exitCode, stdout, stderr } = await simulate('--report', '/no/such/folder/out.html')
    expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.system.code, stdout: '' })
    expect(stderr).to.match(/^error: ENOENT: .*\/no\/such\/folder/)
  })

  it('draws a report that needs nothing else, for light and dark, as a browser shows it', async function () {
    const chromium = peerProgram(this, 'chromium', 'chromium')
    await using dir = await createTempDir()
    const report = join(dir.path, 'out.html')
    const { exitCode, stdout } = await simulate(
      '--distance',
      '50km',
      '--eve',
      '0.02',
      '--blocks',
      '2',
      '--report',
      report,
    )
    expect(exitCode).to.equal(0)
    expect(stdout).to.include(`report       ${report}`)
    const html = await readFile(report, 'utf8')
    for (const title of ['Key rate over distance', 'QBER over distance', 'Cascade efficiency', 'Stage throughputs']) {
      expect(html).to.include(`<figcaption>${title}</figcaption>`)
    }
    expect(html.match(/<svg /g)).to.have.length(4)
    expect(html).to.not.match(/https?:|<script|<link|<img|src=|href=|@import|url\(|NaN|undefined/)
    const pictures = ['light', 'dark'].map(name => join(dir.path, `${name}.png`))
    for (const [at, to] of pictures.entries()) await screenshot(report, { chromium, to, dark: at === 1 })
    const [light, dark] = await Promise.all(pictures.map(path => readFile(path)))
    for (const picture of [light!, dark!]) {
      expect(picture.subarray(1, 4).toString()).to.equal('PNG')
      expect([picture.readUInt32BE(16), picture.readUInt32BE(20)]).to.deep.equal([1280, 1600])
      // An empty page of that size packs into a tenth of it.
      expect(picture.byteLength).to.be.above(60_000)
    }
    expect(light!.equals(dark!)).to.equal(false)
    expect((await stat(report)).size).to.be.below(200_000)
  })
})

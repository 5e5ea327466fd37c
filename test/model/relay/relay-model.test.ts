import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { findProgram, peerProgram } from '../../helpers/peer-program.ts'
import { type Defines, verify } from '../spin.ts'

type ModelFile = 'lanes.pml' | 'shares.pml'
interface Run {
  readonly name: string
  readonly model: ModelFile
  readonly defines: Defines
}

/** Checks of the two models by their bits. */
const TWICE = 1
const FORWARD = 2
const SPOILT = 4
const APART = 1

const sound: readonly Run[] = [
  { name: 'two restarts of each end', model: 'lanes.pml', defines: { CRASHES: 2 } },
  // A store that was put back may open a frame of before once more, if somebody sends it: new pads all the way, no more.
  {
    name: "one end's store put back without anybody noticing",
    model: 'lanes.pml',
    defines: { RESTORES: 1, CHECKS: TWICE | SPOILT },
  },
  { name: "the other end's", model: 'lanes.pml', defines: { RESTORES: 2, CHECKS: TWICE | SPOILT } },
  { name: 'shares under plans that change', model: 'shares.pml', defines: {} },
]

const mutants: readonly (Run & { readonly check: number })[] = [
  {
    name: 'L1: a block in use is given up to the other end too',
    model: 'lanes.pml',
    defines: { NO_L1_LANES: true },
    check: TWICE,
  },
  {
    name: 'L1: a block is given up in memory alone',
    model: 'lanes.pml',
    defines: { NO_L1_DURABLE: true },
    check: TWICE,
  },
  {
    name: 'L1: the other end is not asked',
    model: 'lanes.pml',
    defines: { NO_L1_ASK: true, RESTORES: 1 },
    check: TWICE,
  },
  {
    name: 'L1 with R2: any answer counts',
    model: 'lanes.pml',
    defines: { NO_L1_NONCE: true, RESTORES: 1 },
    check: TWICE,
  },
  { name: 'L2: what is sent again has the old pad', model: 'lanes.pml', defines: { NO_L2: true }, check: TWICE },
  { name: 'L3: a frame with a wrong tag spends its pad', model: 'lanes.pml', defines: { NO_L3: true }, check: SPOILT },
  {
    name: 'L4: a frame that comes again is opened again',
    model: 'lanes.pml',
    defines: { NO_L4: true },
    check: FORWARD,
  },
  { name: 'L6: a share takes the path of another', model: 'shares.pml', defines: { NO_L6: true }, check: APART },
  { name: 'R13: disjoint plans are enough', model: 'shares.pml', defines: { NO_R13: true }, check: APART },
]

/** Stores that both lie: to be known from elsewhere (SECURITY.md). */
const gap = { model: 'lanes.pml', defines: { RESTORES: 3 }, check: TWICE } as const

const pathOf = (model: ModelFile) => new URL(model, import.meta.url).pathname

describe('the model of the relays', function () {
  this.timeout(120_000)

  before(function () {
    for (const name of ['spin', 'gcc']) {
      if (findProgram(name) === undefined) console.log('      apt-get install -y --no-install-recommends spin gcc')
      peerProgram(this, name, name)
    }
  })

  for (const { name, model, defines } of sound) {
    it(`holds: ${name}`, async () => {
      const { states, violated } = await verify(defines, { model: pathOf(model) })
      console.log(`      ${states.toLocaleString('en')} states`)
      expect(violated).to.equal(undefined)
    })
  }

  for (const { name, model, defines, check } of mutants) {
    it(`fails without ${name}`, async () => {
      const { violated } = await verify({ ...defines, CHECKS: check }, { model: pathOf(model), brief: true })
      expect(violated).to.contain(`!((${check}&${check}))`)
    })
  }

  it('shows what cannot be seen: both stores put back to copies that agree with each other', async () => {
    const { violated } = await verify({ ...gap.defines, CHECKS: gap.check }, { model: pathOf(gap.model), brief: true })
    expect(violated).to.not.equal(undefined)
  })

  it('has a mutant for every rule that it can leave out', () => {
    const text = (['lanes.pml', 'shares.pml'] as const).map(model => readFileSync(pathOf(model), 'utf8')).join('\n')
    const rules = new Set([...text.matchAll(/#if(?:n?def) (NO_\w+)/g)].map(([, rule]) => rule))
    expect(
      new Set(mutants.flatMap(({ defines }) => Object.keys(defines).filter(key => key.startsWith('NO_')))),
    ).to.deep.equal(rules)
  })
})

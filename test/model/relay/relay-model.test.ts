import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { findProgram, peerProgram } from '../../helpers/peer-program.ts'
import { type Defines, verify } from '../spin.ts'

const MODELS = ['lanes.pml', 'shares.pml', 'announce.pml'] as const
type ModelFile = (typeof MODELS)[number]
interface Run {
  readonly name: string
  readonly model: ModelFile
  readonly defines: Defines
}

/** Checks of the models by their bits. */
const [TWICE, FORWARD, SPOILT, SEEN] = [1, 2, 4, 8]
const [APART, LINK, CLASS] = [1, 2, 4]
const [ONCE, RIGHT, SHRED, COMMON] = [1, 2, 4, 8]

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
  { name: 'blocks that relays announce', model: 'announce.pml', defines: {} },
  { name: 'shares, which are not announced', model: 'announce.pml', defines: { SPLIT: 1 } },
  // Whatever else is broken: what serves twice is seen.
  {
    name: 'the recorder sees blocks that both ends encrypt with',
    model: 'lanes.pml',
    defines: { NO_L1_LANES: true, CHECKS: SEEN },
  },
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
  {
    name: 'L5: a reservation that comes again is announced again',
    model: 'announce.pml',
    defines: { NO_L5_ONCE: true },
    check: ONCE,
  },
  {
    name: 'L5: what is reserved serves as a pad too',
    model: 'announce.pml',
    defines: { NO_L5_PAD: true },
    check: ONCE,
  },
  { name: 'L5: one end alone sets the range aside', model: 'announce.pml', defines: { NO_L5_BOTH: true }, check: ONCE },
  { name: 'L5: announcements have no tag', model: 'announce.pml', defines: { NO_L5_MAC: true }, check: RIGHT },
  { name: 'L5: a relay keeps what it announced', model: 'announce.pml', defines: { NO_L5_SHRED: true }, check: SHRED },
  {
    name: 'L5: two shares are announced over one link',
    model: 'announce.pml',
    defines: { NO_L5_SPLIT: true, SPLIT: 1 },
    check: COMMON,
  },
  { name: 'L6: a share takes the path of another', model: 'shares.pml', defines: { NO_L6: true }, check: APART },
  { name: 'L7: the direct link carries both shares', model: 'shares.pml', defines: { NO_L7_LINK: true }, check: LINK },
  {
    name: 'L7: a key with a share on the direct link is called direct',
    model: 'shares.pml',
    defines: { NO_L7_CLASS: true },
    check: CLASS,
  },
  {
    name: 'L8: the recorder hears of one end alone',
    model: 'lanes.pml',
    defines: { NO_L8: true, NO_L1_LANES: true },
    check: SEEN,
  },
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
    const text = MODELS.map(model => readFileSync(pathOf(model), 'utf8')).join('\n')
    const rules = new Set([...text.matchAll(/#if(?:n?def) (NO_\w+)/g)].map(([, rule]) => rule))
    expect(
      new Set(mutants.flatMap(({ defines }) => Object.keys(defines).filter(key => key.startsWith('NO_')))),
    ).to.deep.equal(rules)
  })

  it('has a mutant for each of the rules L1 to L8 and for R13', () => {
    const rules = new Set(mutants.map(({ name }) => name.split(/[: ]/)[0]))
    expect([...rules].sort()).to.deep.equal(['L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'L8', 'R13'])
  })
})

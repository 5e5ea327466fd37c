import { expect } from 'chai'
import { BLOCK_TABLE, type TableState } from '../../lib/kms/pool/block-table.ts'
import type { MessageName } from '../../lib/kms/pool/peer-wire.ts'
import { findProgram, peerProgram } from '../helpers/peer-program.ts'
import { CHECKS, knownGaps, type ModelRun, type MutantRun, mutants, soundRuns } from './model-runs.ts'
import { readModel } from './model-source.ts'
import { type Verdict, verify } from './spin.ts'

/** Of the messages between two KMSs, those that the model sends; a new one has to be thought of here. */
const messages: Readonly<Record<MessageName, 'modelled' | 'part of hello()' | 'time' | 'any time' | 'no effect'>> = {
  hello: 'part of hello()',
  contribute: 'part of hello()',
  confirm: 'part of hello()',
  encapsulated: 'part of hello()',
  mark: 'any time',
  tag: 'modelled',
  ready: 'modelled',
  drop: 'modelled',
  dropOk: 'modelled',
  open: 'modelled',
  lease: 'modelled',
  leaseOk: 'modelled',
  leaseNo: 'modelled',
  renew: 'time',
  grantAsk: 'any time',
  grant: 'modelled',
  grantOk: 'modelled',
  grantNo: 'no effect',
  status: 'modelled',
  resync: 'modelled',
  state: 'modelled',
  finished: 'modelled',
  share: 'any time',
  shareOk: 'no effect',
  shareNo: 'no effect',
  unshare: 'any time',
  ratchetAsk: 'any time',
  ratchetOffer: 'any time',
  ratchetAnswer: 'any time',
  ratchetProof: 'any time',
  ratchetDone: 'any time',
  ratchetNo: 'no effect',
  clock: 'no effect',
  clockEcho: 'no effect',
  incident: 'any time',
  incidentOk: 'no effect',
  incidentNo: 'no effect',
}

describe('the model of the pool', function () {
  this.timeout(120_000)

  describe('under Spin', () => {
    const verdicts = new Map<ModelRun, Promise<Verdict>>()
    const soundVerdict = (run: ModelRun) => {
      const verdict = verdicts.get(run) ?? verify(run.defines)
      verdicts.set(run, verdict)
      return verdict
    }

    before(function () {
      for (const name of ['spin', 'gcc']) {
        if (findProgram(name) === undefined) console.log('      apt-get install -y --no-install-recommends spin gcc')
        peerProgram(this, name, name)
      }
    })

    for (const run of soundRuns) {
      it(`holds: ${run.name}`, async () => expectSound(await soundVerdict(run)))
    }

    it('comes by every row that it has', async () => {
      const rows = new Set<number>()
      for (const run of soundRuns) for (const row of (await soundVerdict(run)).rows) rows.add(row)
      expect([...rows].sort(ascending)).to.deep.equal(
        [...new Set(readModel().moves.map(({ row }) => row))].sort(ascending),
      )
    })

    for (const run of mutants) it(`fails without ${run.name}`, () => expectFailure(run))
    for (const run of knownGaps) it(`shows what cannot be seen: ${run.name}`, () => expectFailure(run))
  })

  describe('beside the block table', () => {
    const { moves, states, leftOut, rules, messages: named } = readModel()

    it('has the same states', () => {
      const known = new Set<TableState>(BLOCK_TABLE.flatMap(({ from, to }) => [...from, to]))
      expect([...states].sort()).to.deep.equal([...known].sort())
    })

    it('has the same rows, or says which it leaves out', () => {
      const modelled = [...new Set([...moves.map(({ row }) => row), ...leftOut])]
      expect(new Set(modelled)).to.deep.equal(new Set(BLOCK_TABLE.map(({ row }) => row)))
    })

    for (const { row, role, from, to, event, sends } of BLOCK_TABLE.filter(({ row }) => !leftOut.includes(row))) {
      it(`agrees in row ${row}: ${event}`, () => {
        const own = moves.filter(move => move.row === row && move.event === event)
        expect(new Set(own.map(move => move.role))).to.deep.equal(new Set([role]))
        expect(new Set(own.map(move => move.from))).to.deep.equal(new Set(from))
        expect(new Set(own.map(move => move.to))).to.deep.equal(new Set([to]))
        const sent = own.flatMap(move => move.sends ?? [])
        expect(new Set(sent)).to.deep.equal(new Set(sends === '' ? [] : [sends]))
      })
    }

    it('moves on no other event', () => {
      const known = new Set(BLOCK_TABLE.map(({ row, event }) => `${row} ${event}`))
      expect(moves.map(({ row, event }) => `${row} ${event}`).filter(name => !known.has(name))).to.be.empty
    })

    it('sends the messages of the wire', () => {
      const modelled = Object.entries(messages).filter(([, how]) => how === 'modelled')
      expect([...named].sort()).to.deep.equal(modelled.map(([name]) => name).sort())
    })

    it('has a mutant for every rule that it can leave out', () => {
      const tried = new Set(
        mutants.flatMap(({ defines }) => Object.keys(defines).filter(name => name.startsWith('NO_R'))),
      )
      expect([...tried].sort()).to.deep.equal([...rules].sort())
      const numbers = new Set([...tried].map(name => Number(/\d+/.exec(name)![0])))
      expect([...numbers].sort(ascending)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14])
    })
  })
})

function expectSound({ states, violated }: Verdict): void {
  console.log(`      ${states.toLocaleString('en')} states`)
  expect(violated).to.equal(undefined)
}

/** By the check that it is about: a mutant that dies of something else has shown nothing. */
async function expectFailure({ defines, fails }: MutantRun): Promise<void> {
  const check = CHECKS[fails]
  const { violated } = await verify({ ...defines, CHECKS: check }, { brief: true })
  expect(violated, 'no assertion failed').to.not.equal(undefined)
  expect(violated).to.contain(`!((${check}&${check}))`)
}

function ascending(a: number, b: number): number {
  return a - b
}

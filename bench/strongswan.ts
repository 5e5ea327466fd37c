/**
 * Rotations under keys of the KMS beside what strongSwan does by itself, in one run, in turn, each under pings of 10 ms: the
 * agents' whole rotation with its parts, charon's share of it (initiate and terminate), strongSwan's reauthentication and
 * rekeying of children, and the plain cycle of initiate and terminate. Needs root, strongSwan and fping.
 */
import { type CharonPair, type PingRun, requireCharon } from '../test/helpers/charon-pair.ts'
import { type BenchOptions, cpuTimeMs, elapsedMs, median, p95, type Report } from './report.ts'
import { AgentGateways, type MeasuredRotation } from './strongswan/agent-gateways.ts'
import { measureHub } from './strongswan/hub.ts'
import { PlainGateways } from './strongswan/plain-gateways.ts'

/** Runs the suite. */
export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  if (!canRunCharon()) return
  await compare(report, { samples: quick ? 3 : 40, sustained: quick ? 5 : 200 })
  await reportHub(report, quick ? { peers: 5, rounds: 1 } : { peers: 50, rounds: 3 })
}

/** False, with the reason printed, where two charons can't run; in CI that is an error. */
function canRunCharon(): boolean {
  const skipped = new Error('Skipped')
  try {
    requireCharon({
      skip: () => {
        throw skipped
      },
    })
    return true
  } catch (error) {
    if (error === skipped) return false
    throw error
  }
}

/** One way to new keys, under pings of its own. */
interface Way<T> {
  readonly name: string
  readonly step: () => Promise<T>
  readonly ping: PingRun
  /** Both charons of the gateways. */
  readonly charons: CharonPair
  readonly taken: T[]
  /** Processor time that the charons have used in the steps, in milliseconds. */
  cpuMs: number
}

async function compare(report: Report, { samples, sustained }: { samples: number; sustained: number }): Promise<void> {
  await using agents = await AgentGateways.open()
  // charon puts a reauthentication off after a rekeying of a child, so each has gateways of its own.
  await using cycled = await PlainGateways.open()
  await using overheard = await PlainGateways.open({ heard: true })
  await using reauthenticated = await PlainGateways.open()
  await using rekeyed = await PlainGateways.open()
  const rotation = await way('rotation', agents.charons, () => agents.rotate())
  const cycle = await way('plain cycle', cycled.charons, () => cycled.cycle())
  const heard = await way('plain cycle, log heard', overheard.charons, () => overheard.cycle())
  const reauth = await way('rekey reauth', reauthenticated.charons, () => reauthenticated.reauthenticate())
  const child = await way('child rekey', rekeyed.charons, () => rekeyed.rekeyChild())
  // The first rotations run in code that is not compiled yet, which an agent leaves behind in its first minutes.
  for (let count = 0; count < samples / 2; count += 1) for (const { step } of [rotation, cycle, heard]) await step()
  for (let sample = 0; sample < samples; sample += 1) {
    await measure(rotation)
    for (const each of [cycle, heard, reauth, child]) await measure(each)
  }

  reportTimes(report, rotation.taken, cycle.taken)
  reportHeard(report, rotation.taken, heard.taken)
  for (const { name, taken } of [cycle, heard, reauth, child]) {
    report({ metric: name, value: median(taken), unit: 'ms', samples })
    report({ metric: `${name}, p95`, value: p95(taken), unit: 'ms', samples })
  }
  const charonCpu = { value: rotation.cpuMs / samples, baseline: cycle.cpuMs / samples, samples }
  const ratio = charonCpu.value / charonCpu.baseline
  report({ metric: 'rotation, CPU of both charons', unit: 'ms', ratio, ...charonCpu })
  await reportLoss(report, rotation)
  for (const each of [cycle, heard, reauth, child]) await reportLoss(report, each)

  const ms = await elapsedMs(async () => {
    for (let count = 0; count < sustained; count += 1) await agents.rotate()
  })
  report({ metric: 'rotations sustained', value: (sustained * 60_000) / ms, unit: '1/min', samples: sustained })
}

async function way<T>(name: string, charons: CharonPair, step: () => Promise<T>): Promise<Way<T>> {
  return { name, step, charons, ping: await charons.ping(), taken: [], cpuMs: 0 }
}

async function measure<T>(way: Way<T>): Promise<void> {
  const { step, ping, taken } = way
  ping.mark()
  const before = cpuOf(way)
  taken.push(await step())
  way.cpuMs += cpuOf(way) - before
  // What is lost at the end of a step counts for it.
  await ping.flows()
}

function cpuOf<T>({ charons: { a, b } }: Way<T>): number {
  return cpuTimeMs(a.pid!)! + cpuTimeMs(b.pid!)!
}

function reportTimes(report: Report, rotations: readonly MeasuredRotation[], cycles: readonly number[]): void {
  const samples = rotations.length
  const against = (metric: string, of: (rotation: MeasuredRotation) => number) => {
    const ratio = median(rotations.map((rotation, at) => of(rotation) / cycles[at]!))
    report({ metric, value: median(rotations.map(of)), unit: 'ms', baseline: median(cycles), ratio, samples })
    report({ metric: `${metric}, p95`, value: p95(rotations.map(of)), unit: 'ms', baseline: p95(cycles), samples })
  }
  against('rotation, the whole', ({ wholeMs }) => wholeMs)
  against("rotation, charon's", ({ charonMs }) => charonMs)
  for (const part of ['prepare', 'establish', 'confirm', 'retire'] as const) {
    const values = rotations.map(({ times }) => times[`${part}Ms`])
    report({ metric: `rotation, ${part}`, value: median(values), unit: 'ms', samples })
    report({ metric: `rotation, ${part}, p95`, value: p95(values), unit: 'ms', samples })
  }
}

/** charon sends its log to whoever asked for it line by line, which costs it more than the IKE_SA does. */
function reportHeard(report: Report, rotations: readonly MeasuredRotation[], cycles: readonly number[]): void {
  const ratio = median(rotations.map(({ charonMs }, at) => charonMs / cycles[at]!))
  const [value, baseline] = [median(rotations.map(({ charonMs }) => charonMs)), median(cycles)]
  const metric = "rotation, charon's, log heard in both"
  report({ metric, value, unit: 'ms', baseline, ratio, samples: rotations.length })
}

async function reportLoss<T>(report: Report, { name, ping, taken }: Way<T>): Promise<void> {
  const { lost, lostAfterMarks, longestGapMs } = await ping.stop()
  const samples = taken.length
  report({ metric: `${name}: pings lost each time`, value: lost / samples, unit: 'pings', samples })
  report({ metric: `${name}: most pings lost at once`, value: Math.max(...lostAfterMarks), unit: 'pings', samples })
  report({ metric: `${name}: longest gap`, value: longestGapMs, unit: 'ms', samples })
}

async function reportHub(report: Report, options: { peers: number; rounds: number }): Promise<void> {
  const { peers, rounds } = options
  const { startMs, perMinute, rotationsMs, charonCpuMs, underPpk } = await measureHub(options)
  if (underPpk !== peers) throw new Error(`${underPpk} of ${peers} tunnels stand on a PPK`)
  const samples = peers * rounds
  report({ metric: `${peers} peers: from the start to all tunnels up`, value: startMs, unit: 'ms', samples: peers })
  report({ metric: `${peers} peers: rotations, all at once`, value: perMinute, unit: '1/min', samples })
  report({ metric: `${peers} peers: one of them`, value: median(rotationsMs), unit: 'ms', samples })
  report({ metric: `${peers} peers: one of them, p95`, value: p95(rotationsMs), unit: 'ms', samples })
  report({ metric: `${peers} peers: CPU of the hub's charon for one`, value: charonCpuMs, unit: 'ms', samples })
}

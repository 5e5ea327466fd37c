import { type BenchOptions, interleave, median, percentile, type Report } from '../report.ts'
import type { Usage } from '../tls/bench-process.ts'
import type { Slice, SliceResult } from './load-process.ts'
import { type MeasuredServer, type Servers, startServers } from './servers.ts'

/** Keys of one request. */
const KEYS_PER_CALL = [1, 128] as const
const CONNECTIONS = [1, 32, 256] as const
/** Cells that must lie ready before anything is drawn: more than a slice takes. */
const STOCK = 20_000
type Method = 'enc_keys' | 'dec_keys'

/** One thing that is measured. */
interface Shape {
  readonly method: Method
  readonly keys: 1 | 128
  readonly connections: number
  readonly fresh: boolean
  /** Requests of a slice. */
  readonly count: number
}

/** What one slice came to. */
interface Outcome {
  readonly perSecond: number
  readonly cpuUs: number
  readonly latenciesMs: readonly number[]
}

/** Slices of a server over a whole run. */
class Outcomes {
  readonly all: Outcome[] = []

  get cpuUs(): number {
    return median(this.all.map(({ cpuUs }) => cpuUs))
  }

  latencyMs(fraction: number): number {
    return percentile(
      this.all.flatMap(({ latenciesMs }) => latenciesMs),
      fraction,
    )
  }
}

/** Compares the ETSI 014 server with a bare one: each method, one key and many, few connections, many, and fresh ones. */
export async function compare(report: Report, { quick }: BenchOptions): Promise<void> {
  await using servers = await startServers()
  const slices = quick ? 2 : 7
  const cpuOfKey = new Map<string, number>()
  for (const shape of shapes(quick)) {
    const { ours, bare, ratio } = await measure(servers, shape, slices)
    const { method, keys, connections, fresh } = shape
    const name = `${method} x${keys}, ${fresh ? 'fresh connections' : 'keep-alive'}, c=${connections}`
    const samples = slices * shape.count
    const perSecond = (outcomes: Outcomes) => median(outcomes.all.map(outcome => outcome.perSecond))
    report({ metric: name, value: perSecond(ours), unit: '1/s', baseline: perSecond(bare), ratio, samples })
    for (const [quantile, fraction] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const) {
      const [value, baseline] = [ours.latencyMs(fraction), bare.latencyMs(fraction)]
      report({ metric: `  ${quantile}`, value, unit: 'ms', baseline, ratio: value / baseline, samples })
    }
    const pairs = ours.all.map(({ cpuUs }, at) => cpuUs / bare.all[at]!.cpuUs)
    const cpu = { value: ours.cpuUs, baseline: bare.cpuUs, ratio: median(pairs) }
    report({ metric: '  processor time of the server, a call', ...cpu, unit: 'us', samples: slices })
    cpuOfKey.set(`${method} ${keys} ${connections} ${fresh}`, ours.cpuUs / keys)
  }
  for (const method of ['enc_keys', 'dec_keys']) {
    const [one, many] = KEYS_PER_CALL.map(keys => cpuOfKey.get(`${method} ${keys} 32 false`)!)
    const metric = `${method}: processor time of a key, 128 a call against 1`
    report({ metric, value: many!, unit: 'us', baseline: one!, ratio: many! / one! })
  }
}

function shapes(quick: boolean): Shape[] {
  const few = quick ? 0.1 : 1
  const shape = (method: Method, keys: 1 | 128, connections: number, fresh: boolean): Shape => {
    const most = fresh ? 300 : keys === 1 ? (connections === 1 ? 600 : 3_000) : connections === 1 ? 40 : 100
    return { method, keys, connections, fresh, count: Math.ceil(most * few) }
  }
  return (['enc_keys', 'dec_keys'] as const).flatMap(method => [
    ...KEYS_PER_CALL.flatMap(keys => CONNECTIONS.map(connections => shape(method, keys, connections, false))),
    shape(method, 1, 32, true),
  ])
}

async function measure(servers: Servers, shape: Shape, slices: number) {
  const { method, keys, count } = shape
  const sample = await draw(servers, keys, 1)
  await servers.bare.process.ask({ body: sample[0]! })
  const [ours, bare] = [new Outcomes(), new Outcomes()]
  const once = async (server: MeasuredServer, requests: readonly string[], into: Outcomes, used: number) => {
    const { bodies, ...outcome } = await runSlice(servers, server, { ...shape, count: used, requests })
    into.all.push(outcome)
    // What nobody fetches would hold its block, and so the next ones up.
    if (server === servers.master) await fetchAll(servers, bodies, keys)
    return outcome.perSecond
  }
  const request = method === 'enc_keys' ? encRequest(keys) : decRequest(idsIn(sample[0]!))
  const warmUp = Math.ceil(count / 4)
  const rehearsals = [new Outcomes(), new Outcomes()] as const
  await once(servers.bare, [request], rehearsals[0], warmUp)
  const server = method === 'enc_keys' ? servers.master : servers.slave
  const requests = async (number: number) =>
    method === 'enc_keys' ? [request] : (await draw(servers, keys, number)).map(body => decRequest(idsIn(body)))
  await once(server, await requests(warmUp), rehearsals[1], warmUp)
  const { ratio } = await interleave(slices, {
    a: async () => {
      // Drawn before, so that the other site's work is done by the time.
      const asked = await requests(count)
      await servers.stocked(STOCK)
      return once(server, asked, ours, count)
    },
    b: async () => once(servers.bare, [request], bare, count),
  })
  return { ours, bare, ratio }
}

/** Runs a slice against one server, and takes its processor time. */
async function runSlice(
  { load }: Servers,
  { target, process }: MeasuredServer,
  { requests, count, connections, fresh }: Shape & { readonly requests: readonly string[] },
): Promise<Outcome & { readonly bodies: readonly string[] }> {
  const before = await process.ask<Usage>({ usage: 'cpu' })
  const result = await load.ask<SliceResult>({
    target,
    requests,
    count,
    connections,
    fresh,
    keep: false,
  } satisfies Slice)
  const after = await process.ask<Usage>({ usage: 'cpu' })
  return {
    perSecond: (count / result.elapsedMs) * 1_000,
    cpuUs: (after.cpuUs - before.cpuUs) / count,
    latenciesMs: result.latenciesMs,
    bodies: result.bodies,
  }
}

/** Has bob fetch the keys of answers that alice got. */
async function fetchAll({ slave, load }: Servers, bodies: readonly string[], keys: number): Promise<void> {
  const requests = keys === 1 ? inBatches(bodies.flatMap(idsIn), 128) : bodies.map(idsIn)
  const slice = { target: slave.target, requests: requests.map(decRequest), count: requests.length }
  await load.ask<SliceResult>({ ...slice, connections: 4, fresh: false, keep: false } satisfies Slice)
}

function inBatches(ids: readonly string[], most: number): string[][] {
  return Array.from({ length: Math.ceil(ids.length / most) }, (_, n) => ids.slice(n * most, (n + 1) * most))
}

/** The bodies of `count` answers of Get key, of `keys` keys each. */
async function draw({ master, load, stocked }: Servers, keys: number, count: number): Promise<string[]> {
  await stocked(STOCK)
  const slice = { target: master.target, requests: [encRequest(keys)], count, connections: 8, fresh: false, keep: true }
  return (await load.ask<SliceResult>(slice satisfies Slice)).bodies
}

function encRequest(keys: number): string {
  return `GET /api/v1/keys/bob/enc_keys?number=${keys} HTTP/1.1\r\nhost: kme\r\naccept: application/json\r\n\r\n`
}

function decRequest(ids: readonly string[]): string {
  const head = 'HTTP/1.1\r\nhost: kme\r\naccept: application/json\r\n'
  if (ids.length === 1) return `GET /api/v1/keys/alice/dec_keys?key_ID=${ids[0]} ${head}\r\n`
  const body = JSON.stringify({ key_IDs: ids.map(id => ({ key_ID: id })) })
  const type = `content-type: application/json\r\ncontent-length: ${body.length}\r\n`
  return `POST /api/v1/keys/alice/dec_keys ${head}${type}\r\n${body}`
}

function idsIn(body: string): string[] {
  return [...body.matchAll(/"key_ID":"([0-9a-f-]{36})"/g)].map(([, id]) => id!)
}

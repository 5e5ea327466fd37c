import { once } from 'node:events'
import { callsPerSecond, median, p95, type Report } from '../report.ts'
import type { Connect, Ends } from './ends.ts'
import type { ServerName } from './server-process.ts'

/** Connections that are being made at once. */
const CONCURRENCIES = [1, 8, 64] as const
/** The one at which processor time is told. */
const CPU_CONCURRENCY = 8
const NAMES: Readonly<Record<ServerName, string>> = {
  plain: 'node:tls, fixed key',
  embedded: 'KMS in process',
  remote: 'KMS over mTLS',
  ecdsa: 'ECDSA P-256 certificate',
  rsa: 'RSA-2048 certificate',
}

interface Samples {
  readonly rates: number[]
  readonly serverUs: number[]
  readonly bothUs: number[]
}

/** Handshakes a second, and processor time of the server and of both ends for each, next to node:tls with a fixed key. */
export async function measureHandshakes(
  report: Report,
  { quick, ends }: { quick: boolean; ends: Ends },
): Promise<void> {
  // The first handshakes load code and fill pools.
  for (const open of ends.clients.values()) {
    await callsPerSecond(quick ? 10 : 1000, CPU_CONCURRENCY, () => handshake(open))
  }
  for (const concurrency of CONCURRENCIES) {
    const rounds = concurrency === CPU_CONCURRENCY ? 30 : 10
    const samples = await sample(ends, { concurrency, rounds: quick ? 2 : rounds, handshakes: quick ? 40 : 100 })
    tell(report, samples, { what: `handshakes, ${concurrency} at once`, unit: '1/s', of: 'rates' })
    if (concurrency !== CPU_CONCURRENCY) continue
    tell(report, samples, { what: 'server CPU of a handshake', unit: 'us', of: 'serverUs', withP95: true })
    tell(report, samples, { what: 'CPU of a handshake, both ends', unit: 'us', of: 'bothUs', withP95: true })
  }
}

interface SampleOptions {
  readonly concurrency: number
  readonly rounds: number
  readonly handshakes: number
}

/** Each server in turn, and in each round another one first, so that a machine whose speed drifts treats all alike. */
async function sample(ends: Ends, { concurrency, rounds, handshakes }: SampleOptions) {
  const names = [...ends.clients.keys()]
  const samples = new Map<ServerName, Samples>(names.map(name => [name, { rates: [], serverUs: [], bothUs: [] }]))
  for (let round = 0; round < rounds; round += 1) {
    for (let at = 0; at < names.length; at += 1) {
      const name = names[(at + round) % names.length]!
      const { rates, serverUs, bothUs } = samples.get(name)!
      const before = await cpu(ends)
      rates.push(await callsPerSecond(handshakes, concurrency, () => handshake(ends.clients.get(name)!)))
      const after = await cpu(ends)
      serverUs.push((after.server - before.server) / handshakes)
      bothUs.push((after.server - before.server + after.client - before.client) / handshakes)
    }
  }
  return samples
}

async function cpu(ends: Ends): Promise<{ server: number; client: number }> {
  const { user, system } = process.cpuUsage()
  return { server: (await ends.serverUsage('cpu')).cpuUs, client: user + system }
}

interface Line {
  readonly what: string
  readonly unit: string
  readonly of: keyof Samples
  readonly withP95?: boolean
}

function tell(
  report: Report,
  samples: ReadonlyMap<ServerName, Samples>,
  { what, unit, of, withP95 = false }: Line,
): void {
  const plain = samples.get('plain')![of]
  for (const [name, { [of]: own }] of samples) {
    const metric = `${what}, ${NAMES[name]}`
    const measured = { metric, value: median(own), unit, samples: own.length }
    const ratio = median(own.map((value, round) => value / plain[round]!))
    report(name === 'plain' ? measured : { ...measured, baseline: median(plain), ratio })
    if (withP95) report({ metric: `${metric}, 95 of 100`, value: p95(own), unit, samples: own.length })
  }
}

/** Over when the first byte has come from the application at the other end: both ends are then done. */
async function handshake(open: Connect): Promise<void> {
  const socket = await open()
  await once(socket, 'data')
  socket.destroy()
}

/**
 * Sessions under keys of the KMS beside node:tls alone, in one run: handshakes a second, processor time of the server for
 * each (in a process of its own), and bulk throughput.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { connect } from '../integrations/tls/index.ts'
import { createRemoteKms, createSite, type Kms } from '../lib/index.ts'
import { createTestAuthority } from '../test/helpers/test-certificates.ts'
import { type BenchOptions, callsPerSecond, elapsedMs, interleave, median, type Report } from './report.ts'
import { BenchProcess } from './tls/bench-process.ts'
import type { RemoteEnds } from './tls/kme-process.ts'
import type { ServerAddresses, ServerName, ServerSetup } from './tls/server-process.ts'
import { createSiteConfigs } from './tls/site-configs.ts'

const CONCURRENCY = 4
const MIB = 1024 * 1024
const CIPHERS = 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'
const NAMES: Readonly<Record<ServerName, string>> = {
  plain: 'node:tls, fixed key',
  embedded: 'KMS in process',
  remote: 'KMS over mTLS',
  certificate: 'ECDSA P-256 certificate',
}

type Connect = () => Promise<TLSSocket>

/** Runs the suite. */
export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  const sliceBytes = (quick ? 4 : 32) * MIB
  await using kmes = new BenchProcess(new URL('./tls/kme-process.ts', import.meta.url))
  await using server = new BenchProcess(new URL('./tls/server-process.ts', import.meta.url))
  const ends = await kmes.ask<RemoteEnds>({})
  const configs = createSiteConfigs()
  const { key, cert, ca } = createTestAuthority().issue('bob.example')
  const psk = randomBytes(32)
  const setup: ServerSetup = {
    site: configs.bob,
    remote: ends.bob,
    certificate: { key, cert },
    psk: psk.toString('hex'),
    sliceBytes,
  }
  const { site: bob, ports } = await server.ask<ServerAddresses>(setup)
  await using site = await createSite(configs.alice(bob))
  await using remote = createRemoteKms(ends.alice)

  const plain = (name: ServerName, options: ConnectionOptions) => async () => {
    const socket = connectTls({
      host: '127.0.0.1',
      port: ports[name],
      minVersion: 'TLSv1.3',
      ciphers: CIPHERS,
      ...options,
    })
    await once(socket, 'secureConnect')
    return socket
  }
  const wrapped = (name: ServerName, kms: Kms) => () =>
    connect(kms, { peerSaeId: 'bob', host: '127.0.0.1', port: ports[name] })
  const clients: Record<ServerName, Connect> = {
    plain: plain('plain', { ca: [], pskCallback: () => ({ psk, identity: 'q1~alice~fixed' }) }),
    embedded: wrapped('embedded', site.kmsFor('alice')),
    remote: wrapped('remote', remote),
    certificate: plain('certificate', { ca }),
  }
  await measureHandshakes(report, { quick, clients, serverCpuUs: () => server.ask<number>({ cpu: true }) })
  await measureBulk(report, { slices: quick ? 3 : 20, sliceBytes, clients })
}

interface HandshakeRun {
  readonly quick: boolean
  readonly clients: Readonly<Record<ServerName, Connect>>
  readonly serverCpuUs: () => Promise<number>
}

async function measureHandshakes(report: Report, { quick, clients, serverCpuUs }: HandshakeRun): Promise<void> {
  const [rounds, handshakes] = quick ? [2, 40] : [10, 300]
  const names = Object.keys(clients) as ServerName[]
  const samples = Object.fromEntries(names.map(name => [name, { rates: [], cpuUs: [] }])) as unknown as Record<
    ServerName,
    { rates: number[]; cpuUs: number[] }
  >
  // The first handshakes load code and fill pools.
  for (const name of names) await callsPerSecond(quick ? 5 : 100, CONCURRENCY, () => handshake(clients[name]))
  for (let round = 0; round < rounds; round += 1) {
    for (let at = 0; at < names.length; at += 1) {
      const name = names[(at + round) % names.length]!
      const before = await serverCpuUs()
      samples[name].rates.push(await callsPerSecond(handshakes, CONCURRENCY, () => handshake(clients[name])))
      samples[name].cpuUs.push(((await serverCpuUs()) - before) / handshakes)
    }
  }
  for (const [what, unit, of] of [
    ['handshakes', '1/s', 'rates'],
    ['server CPU of a handshake', 'us', 'cpuUs'],
  ] as const) {
    for (const name of names) {
      const [own, plain] = [samples[name][of], samples.plain[of]]
      const metric = `${what}, ${NAMES[name]}`
      const measured = { metric, value: median(own), unit, samples: rounds }
      const ratio = median(own.map((value, round) => value / plain[round]!))
      report(name === 'plain' ? measured : { ...measured, baseline: median(plain), ratio })
    }
  }
}

/** Over when the first byte has come from the application at the other end: both ends are then done. */
async function handshake(open: Connect): Promise<void> {
  const socket = await open()
  await once(socket, 'data')
  socket.destroy()
}

interface BulkRun {
  readonly slices: number
  readonly sliceBytes: number
  readonly clients: Readonly<Record<ServerName, Connect>>
}

async function measureBulk(report: Report, { slices, sliceBytes, clients }: BulkRun): Promise<void> {
  const sockets: TLSSocket[] = []
  const openBulk = async (open: Connect) => {
    const socket = await open()
    sockets.push(socket)
    await once(socket, 'data')
    const send = async () => (sliceBytes / MIB / (await elapsedMs(() => sendSlice(socket, sliceBytes)))) * 1000
    await send()
    return send
  }
  const [wrapped, plain] = [await openBulk(clients.embedded), await openBulk(clients.plain)]
  const { a, b, ratio } = await interleave(slices, { a: wrapped, b: plain })
  for (const socket of sockets) socket.destroy()
  const measured = { metric: 'bulk to the server, under a key of the KMS', unit: 'MiB/s', samples: slices }
  report({ ...measured, value: median(a), baseline: median(b), ratio })
}

async function sendSlice(socket: TLSSocket, sliceBytes: number): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024)
  const received = once(socket, 'data')
  for (let sent = 0; sent < sliceBytes; sent += chunk.byteLength) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  await received
}

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { findProgram } from '../../test/helpers/peer-program.ts'
import { createTempDir } from '../../test/helpers/temp-dir.ts'
import { cpuTimeMs, elapsedMs, interleave, median, type Report } from '../report.ts'
import { BenchProcess } from './bench-process.ts'
import { createSiteConfigs } from './site-configs.ts'
import type { TunnelReady, TunnelSetup } from './tunnel-process.ts'

const MIB = 1024 * 1024
const host = '127.0.0.1'

/** A way into a tunnel. */
interface Way extends AsyncDisposable {
  readonly port: number
  /** The processes of both ends. */
  readonly pids: readonly number[]
}

/** Throughput through our tunnel next to stunnel: the same source and sink, each tunnel's ends in processes of their own. */
export async function measureTunnel(
  report: Report,
  { slices, sliceBytes }: { slices: number; sliceBytes: number },
): Promise<void> {
  const stunnel = findProgram('stunnel')
  const sink = createServer(socket => countSlices(socket, sliceBytes)).listen(0, host)
  await once(sink, 'listening')
  const { port } = sink.address() as AddressInfo
  try {
    await using own = await openOwn(port)
    const upload = counted(own, await openSource(own.port, sliceBytes), sliceBytes)
    const metric = 'bulk through the tunnel'
    if (stunnel === undefined) {
      console.error('no stunnel here (Debian package stunnel4): the tunnel is measured alone')
      const rates: number[] = []
      for (let slice = 0; slice < slices; slice += 1) rates.push(await upload.send())
      report({ metric, value: median(rates), unit: 'MiB/s', samples: slices })
      return
    }
    await using theirs = await openStunnel(stunnel, port)
    const other = counted(theirs, await openSource(theirs.port, sliceBytes), sliceBytes)
    const { a, b, ratio } = await interleave(slices, { a: upload.send, b: other.send })
    const measured = { metric: `${metric}, beside stunnel`, samples: slices }
    report({ ...measured, value: median(a), unit: 'MiB/s', baseline: median(b), ratio })
    const [value, baseline] = [upload.cpuUs(), other.cpuUs()]
    if (value === undefined || baseline === undefined) return
    const cpu = { value, baseline, unit: 'us', ratio: value / baseline }
    report({ ...measured, metric: 'CPU of a MiB through the tunnel, both ends', ...cpu })
  } finally {
    sink.close()
  }
}

/** Sends slices, and says what a MiB has cost the ends of the way; undefined where the system does not tell. */
function counted(way: Way, send: () => Promise<number>, sliceBytes: number) {
  const used = () => way.pids.map(cpuTimeMs)
  const before = used()
  let slices = 0
  return {
    send: () => {
      slices += 1
      return send()
    },
    cpuUs: () => {
      const spent = used().map((ms, at) => (ms === undefined ? Number.NaN : ms - (before[at] ?? Number.NaN)))
      const us = (spent.reduce((sum, ms) => sum + ms, 0) * 1000) / slices / (sliceBytes / MIB)
      return Number.isNaN(us) ? undefined : us
    },
  }
}

async function openOwn(port: number): Promise<Way> {
  const configs = createSiteConfigs()
  const exit = new BenchProcess('tunnel-process')
  const entry = new BenchProcess('tunnel-process')
  const close = async () => {
    await entry[Symbol.asyncDispose]()
    await exit[Symbol.asyncDispose]()
  }
  try {
    const there: TunnelSetup = { site: configs.bob, end: 'exit', connect: { host, port } }
    const { address, site } = await exit.ask<TunnelReady>(there)
    const here: TunnelSetup = { site: configs.alice(site), end: 'entry', connect: address }
    const ready = await entry.ask<TunnelReady>(here)
    return { port: ready.address.port, pids: [entry.pid, exit.pid], [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Two stunnels under a fixed key, in the suite that our ends agree on. */
async function openStunnel(stunnel: string, target: number): Promise<Way> {
  const dir = await createTempDir()
  const secrets = join(dir.path, 'secrets')
  await writeFile(secrets, `client:${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
  const [server, client] = [await freePort(), await freePort()]
  const common = ['sslVersion = TLSv1.3', 'ciphersuites = TLS_CHACHA20_POLY1305_SHA256', `PSKsecrets = ${secrets}`]
  const programs = [
    ['server', `accept = ${host}:${server}`, `connect = ${host}:${target}`],
    ['client', 'client = yes', 'PSKidentity = client', `accept = ${host}:${client}`, `connect = ${host}:${server}`],
  ].map(async ([name, ...lines]) => {
    const config = join(dir.path, `${name}.conf`)
    const head = ['foreground = yes', 'pid =', 'debug = notice', '[psk]']
    await writeFile(config, [...head, ...common, ...lines, ''].join('\n'))
    const child = spawn(stunnel, [config], { stdio: ['ignore', 'ignore', 'pipe'] })
    for await (const chunk of child.stderr) if (String(chunk).includes('Configuration successful')) break
    return child
  })
  const children = await Promise.all(programs)
  return {
    port: client,
    pids: children.map(({ pid }) => pid!),
    [Symbol.asyncDispose]: async () => {
      for (const child of children) {
        child.kill('SIGKILL')
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      }
      await dir[Symbol.asyncDispose]()
    },
  }
}

/** Sends slices through a way; each gives MiB a second, from the first byte to the sink's word that all is there. */
async function openSource(port: number, sliceBytes: number): Promise<() => Promise<number>> {
  // It is the tunnels' end that closes it.
  const socket = connect({ port, host }).on('error', () => {})
  await once(socket, 'connect')
  const chunk = Buffer.alloc(64 * 1024)
  const send = async () => {
    const received = once(socket, 'data')
    for (let sent = 0; sent < sliceBytes; sent += chunk.byteLength) {
      if (!socket.write(chunk)) await once(socket, 'drain')
    }
    await received
  }
  await send()
  return async () => (sliceBytes / MIB / (await elapsedMs(send))) * 1000
}

function countSlices(socket: Socket, sliceBytes: number): void {
  let leftBytes = sliceBytes
  socket.on('error', () => {})
  socket.on('data', chunk => {
    leftBytes -= chunk.byteLength
    for (; leftBytes <= 0; leftBytes += sliceBytes) socket.write('.')
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

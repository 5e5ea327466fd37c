import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net'
import { connect, createServer } from '../../integrations/tls/index.ts'
import { TelemetryHub } from '../../lib/index.ts'
import { SeededRandom } from '../../lib/qll/bb84/random.ts'
import { drawPskOptions, drawTls12Options } from '../integrations/tls/plain-client.ts'
import { captureHello, inRecords } from '../integrations/tls/raw-peer.ts'
import { HelloMutator } from './hello-mutator.ts'
import { messageOf, realHellos } from './hello-trial.ts'
import { createTestSites } from './test-sites.ts'

const CONCURRENCY = 32
/** No connection may live longer than this; the server's own deadlines are far below. */
const HANG_MS = 20_000
const MAX_RECORD_BYTES = 16 * 1024

/** What became of many mutated hellos at a server. */
export interface HelloSocketTrial {
  /** Connections by how the server ended them: the alert, the handshake that it began, or nothing said. */
  readonly answers: ReadonlyMap<string, number>
  /** Refusals that the server told of. */
  readonly refusals: number
  /** Sessions that it told of, beside our own at the end: there must be none. */
  readonly sessions: number
  /** Look-ups still under way at the end. */
  readonly pending: number
  /** Sockets that the process holds at the end. */
  readonly openSockets: number
  /** Bytes of the heap more than after a tenth of the run, after collecting garbage. */
  readonly heapGrowth: number
}

/** Options of `tryHelloSockets`. */
export interface HelloSocketTrialOptions {
  readonly count: number
  readonly seed: number
  readonly onProgress?: (done: number) => void
}

/**
 * Sends mutated hellos, each over a TCP connection of its own, to a server that takes TLS 1.3 and 1.2, and serves an honest client
 * after the last.
 * @throws {Error} a connection is left open, or the honest client is not served
 */
export async function tryHelloSockets(options: HelloSocketTrialOptions): Promise<HelloSocketTrial> {
  const { count, seed, onProgress = () => {} } = options
  const random = SeededRandom.of(seed)
  await using sites = await createTestSites()
  const telemetry = new TelemetryHub()
  const settings = { peers: [{ saeId: 'alice' }], minVersion: 'TLSv1.2', telemetry, deadlineMs: 2000 } as const
  const server = createServer(sites.bob, settings)
  const tally = { refusals: 0, sessions: 0 }
  server.on('tlsClientError', () => {
    tally.refusals += 1
  })
  server.on('secureConnection', socket => {
    tally.sessions += 1
    socket.on('error', () => {}).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socketsBefore = openSockets()

  // With good keys among them, so that some get as far as OpenSSL.
  const good = [await drawPskOptions(sites.alice), await drawTls12Options(sites.alice)]
  const seeds = await Promise.all(good.map(async ({ options }) => messageOf(await captureHello(options))))
  const mutator = new HelloMutator([...seeds, ...seeds, ...(await realHellos())], random)
  const answers = new Map<string, number>()
  let heapAtTenth = 0
  let begun = 0
  let done = 0
  const worker = async () => {
    while (begun < count) {
      begun += 1
      const answer = await sendOne(port, mutator.next(), random)
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
      done += 1
      if (done === Math.ceil(count / 10)) heapAtTenth = heapUsed()
      if (done % 1000 === 0) onProgress(done)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  await settled(() => openSockets() <= socketsBefore && tally.refusals === count)
  const figures = {
    answers,
    ...tally,
    pending: telemetry.readings().find(({ name }) => name === 'tls_pending_lookups')?.value ?? 0,
    openSockets: Math.max(0, openSockets() - socketsBefore),
    heapGrowth: heapUsed() - heapAtTenth,
  }
  const honest = await connect(sites.alice, { peerSaeId: 'bob', host: '127.0.0.1', port })
  honest.resume().end()
  await once(honest, 'close')
  server.close()
  await once(server, 'close')
  return figures
}

/** Waits for what the server has still to close. */
async function settled(isSettled: () => boolean): Promise<void> {
  for (let waitedMs = 0; !isSettled(); waitedMs += 50) {
    if (waitedMs > HANG_MS) throw new Error(`${openSockets()} sockets stay open`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** Sends one hello in pieces and ends; gives how the server answered, when it has closed. */
function sendOne(port: number, message: Buffer, random: SeededRandom): Promise<string> {
  const bytes = recordsOf(message, random)
  const cut = random.below(bytes.byteLength + 1)
  // Most end their half; the others leave in the middle.
  const leaves = random.below(10) === 0
  return new Promise((resolve, reject) => {
    const socket: Socket = connectTcp({ port, host: '127.0.0.1', noDelay: true })
    const hang = setTimeout(() => reject(new Error(`The server hangs on ${bytes.toString('hex')}`)), HANG_MS)
    let first: Buffer | undefined
    socket.on('data', chunk => {
      first ??= chunk
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(hang)
      resolve(first === undefined ? 'closed' : first[0] === 21 ? `alert ${first[6]}` : 'handshake')
    })
    socket.on('connect', () => {
      socket.write(bytes.subarray(0, cut))
      setImmediate(() => {
        if (leaves) socket.destroy()
        else if (socket.writable) socket.end(bytes.subarray(cut))
      })
    })
  })
}

function recordsOf(message: Buffer, random: SeededRandom): Buffer {
  const cut = random.below(message.byteLength + 1)
  const whole = random.below(2) === 0
  const fragments = whole ? [message] : [message.subarray(0, cut), message.subarray(cut)]
  const bytes = inRecords(fragments.map(fragment => fragment.subarray(0, MAX_RECORD_BYTES)))
  if (random.below(10) === 0 && bytes.byteLength > 0)
    bytes[random.below(Math.min(5, bytes.byteLength))] = random.below(256)
  return bytes
}

function openSockets(): number {
  return process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap').length
}

function heapUsed(): number {
  ;(globalThis as { gc?: () => void }).gc?.()
  return process.memoryUsage().heapUsed
}

import { randomBytes, randomUUID } from 'node:crypto'
import { parseClientHello } from '../../integrations/tls/client-hello.ts'
import { HelloReader } from '../../integrations/tls/hello-reader.ts'
import { parseIdentity } from '../../integrations/tls/identity.ts'
import { HandshakeRefusal } from '../../integrations/tls/refusal.ts'
import { SeededRandom } from '../../lib/qll/bb84/random.ts'
import { pskOptions, tls12Options } from '../integrations/tls/plain-client.ts'
import { captureHello, inRecords } from '../integrations/tls/raw-peer.ts'
import { type BranchCoverage, branchCoverage } from './branch-coverage.ts'
import { HelloMutator, reachesExtensions } from './hello-mutator.ts'

/** The modules that read what a stranger sends first. */
const PARSERS = ['integrations/tls/client-hello.ts', 'integrations/tls/hello-reader.ts'] as const
const MAX_RECORD_BYTES = 16 * 1024

/** What became of many mutated hellos in the parser. */
export interface HelloTrial {
  /** Passed the header and the fixed fields after it. */
  readonly reachedExtensions: number
  readonly parsed: number
  /** Of the parsed ones, with a key named. */
  readonly withKey: number
  /** Bytes of the heap more than before, after collecting garbage. */
  readonly heapGrowth: number
  readonly coverage: ReadonlyMap<string, BranchCoverage>
}

/** Options of `tryHellos`. */
export interface HelloTrialOptions {
  readonly count: number
  readonly seed: number
  readonly onProgress?: (done: number) => void
}

/** ClientHello messages as OpenSSL makes them: of TLS 1.3 with a key, without one and long, and of TLS 1.2. */
export async function realHellos(): Promise<Buffer[]> {
  const psk = pskOptions(`q1~alice~${randomUUID()}`, randomBytes(32))
  const many = Array.from({ length: 200 }, (_, n) => `protocol-${n}`)
  const hellos: Buffer[] = []
  for (const options of [
    psk,
    { ...psk, ALPNProtocols: many, servername: 'bob.example' },
    {},
    tls12Options('x', randomBytes(32)),
  ]) {
    hellos.push(messageOf(await captureHello(options)))
  }
  return hellos
}

/** The message in the records of a whole hello. */
export function messageOf(records: Buffer): Buffer {
  return new HelloReader().push(records)!
}

/**
 * Sends mutated hellos through the reader and the parser: each must be refused with a `HandshakeRefusal`, or give views into the
 * message that fit together.
 * @throws {Error} at the first that is neither; it names the bytes
 */
export async function tryHellos({ count, seed, onProgress = () => {} }: HelloTrialOptions): Promise<HelloTrial> {
  const random = SeededRandom.of(seed)
  const mutator = new HelloMutator(await realHellos(), random)
  const figures = { reachedExtensions: 0, parsed: 0, withKey: 0 }
  collectGarbage()
  const heapBefore = process.memoryUsage().heapUsed
  const coverage = await branchCoverage(PARSERS, async () => {
    for (let n = 1; n <= count; n += 1) {
      const message = mutator.next()
      if (reachesExtensions(message)) figures.reachedExtensions += 1
      const hello = tryOne(message, random)
      if (hello !== undefined) figures.parsed += 1
      if (hello?.psk !== undefined) figures.withKey += 1
      if (n % 50_000 === 0) {
        onProgress(n)
        await new Promise(setImmediate)
      }
    }
  })
  collectGarbage()
  return { ...figures, heapGrowth: process.memoryUsage().heapUsed - heapBefore, coverage }
}

function tryOne(message: Buffer, random: SeededRandom) {
  try {
    readPieces(message, random)
    const hello = parseClientHello(message)
    if (!reachesExtensions(message)) throw new Error('It was taken, though its fixed fields do not fit')
    requireSound(message, hello.psk)
    return hello
  } catch (error) {
    if (error instanceof HandshakeRefusal) return undefined
    throw new Error(`The hello ${message.toString('hex')} fails otherwise than by a refusal`, { cause: error })
  }
}

/** Through the reader too, in random records, in pieces, now and then with something wrong in a record's header. */
function readPieces(message: Buffer, random: SeededRandom): void {
  if (random.below(4) > 0) return
  const cut = random.below(message.byteLength + 1)
  const fragments = [message.subarray(0, cut), message.subarray(cut)].filter(
    ({ byteLength }) => byteLength <= MAX_RECORD_BYTES,
  )
  const records = inRecords(random.below(2) === 0 ? fragments : fragments.filter(({ byteLength }) => byteLength > 0))
  const intact = random.below(4) > 0
  if (!intact) records[random.below(Math.min(5, records.byteLength))] = random.below(256)
  const reader = new HelloReader()
  const middle = random.below(records.byteLength + 1)
  for (const piece of [records.subarray(0, middle), records.subarray(middle)]) {
    const whole = reader.push(piece)
    if (intact && whole !== undefined && whole.compare(message, 0, whole.byteLength) !== 0)
      throw new Error('The reader changed it')
  }
}

function requireSound(message: Buffer, psk: ReturnType<typeof parseClientHello>['psk']): void {
  if (psk === undefined) return
  const { identities, binders, truncatedHello } = psk
  const views = [...identities, ...binders, truncatedHello]
  const outside = views.some(({ buffer, byteOffset, byteLength }) => {
    const from = byteOffset - message.byteOffset
    return buffer !== message.buffer || from < 0 || from + byteLength > message.byteLength
  })
  if (outside || identities.length !== binders.length) throw new Error('Its views do not fit')
  const tail = binders.reduce((sum, { byteLength }) => sum + 1 + byteLength, 2)
  if (truncatedHello.byteLength + tail !== message.byteLength) throw new Error('Its binders are not its end')
  for (const identity of identities) parseIdentity(identity)
}

function collectGarbage(): void {
  ;(globalThis as { gc?: () => void }).gc?.()
}

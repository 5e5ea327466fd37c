import { SecretKey } from '../key/secret-key.ts'
import { FairQueue } from '../qnl/relay/fair-queue.ts'
import type { Chunk } from '../qnl/relay/frame.ts'

/** Link key that is not used at once is kept for so long. */
const STOCK_S = 30
/** What a flow offers in one step is cut into so many chunks at most, each of this size to the queue. */
const CHUNKS = 32
const CHUNK_BYTES = 4096
const noContent = SecretKey.adopt(Buffer.alloc(1))

/** Key that a pair wants to send over a link in one step. */
export interface LinkFlow {
  readonly source: string
  readonly dest: string
  readonly weight: number
  readonly bits: number
}

/** A link in a simulated network: what it yields, what waits in its pools, and who gets how much where it is short. */
export class SimulatedLinkSupply {
  readonly linkId: string
  readonly a: string
  readonly b: string
  rateBps: number
  up = true
  stockBits = 0
  usedBits = 0
  yieldedBits = 0
  downS = 0

  constructor({ id, a, b, rateBps }: { id: string; a: string; b: string; rateBps: number }) {
    this.linkId = id
    this.a = a
    this.b = b
    this.rateBps = rateBps
  }

  /** One step of `stepS` in which the link yields `share` of its rate: gives what share of each flow passes. */
  step(flows: readonly LinkFlow[], { stepS, share }: { stepS: number; share: number }): readonly number[] {
    const yielded = this.up ? this.rateBps * share * stepS : 0
    if (!this.up) this.downS += stepS
    this.yieldedBits += yielded
    const room = this.up ? yielded + this.stockBits : 0
    const offered = flows.reduce((sum, { bits }) => sum + bits, 0)
    const passed = Math.min(offered, room)
    this.usedBits += passed
    this.stockBits = this.up ? Math.min(room - passed, this.rateBps * STOCK_S) : 0
    if (offered <= room || offered === 0) return flows.map(() => (offered <= room ? 1 : 0))
    return divide(flows, { offered, room })
  }
}

/** Lets the relay's own queue decide whose chunks go first while the link has key, in pieces of a size that it knows. */
function divide(flows: readonly LinkFlow[], { offered, room }: { offered: number; room: number }): number[] {
  const queue = new FairQueue()
  const pieceBits = offered / (CHUNKS * flows.length)
  const index = new Map<bigint, number>()
  for (const [at, { source, dest, weight, bits }] of flows.entries()) {
    index.set(BigInt(at), at)
    for (let chunk = 0; chunk < Math.ceil(bits / pieceBits); chunk++) {
      queue.push(chunkOf({ source, dest, weight: Math.round(256 * weight), transfer: BigInt(at), chunk }))
    }
  }
  const sent = flows.map(() => 0)
  for (let left = room; left >= pieceBits; left -= pieceBits) {
    const chunk = queue.take(CHUNK_BYTES)
    if (chunk === undefined) break
    sent[index.get(chunk.transfer)!]! += pieceBits
  }
  return flows.map(({ bits }, at) => (bits === 0 ? 1 : Math.min(1, sent[at]! / bits)))
}

function chunkOf(fields: Pick<Chunk, 'source' | 'dest' | 'weight' | 'transfer' | 'chunk'>): Chunk {
  const { source, dest } = fields
  return {
    ...fields,
    share: 0,
    attempt: 0,
    path: [source, dest],
    hop: 0,
    weak: false,
    reserves: false,
    sizeBytes: CHUNK_BYTES,
    content: noContent,
    sinceMs: 0,
  }
}

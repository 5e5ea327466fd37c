import { ProtocolError } from '../../errors.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'
import { FRAME_ID, MAX_SHARES, name, path } from './relay-wire.ts'

/** Bytes of key that authenticate a frame. */
export const FRAME_KEY_BYTES = 32
export const FRAME_TAG_BYTES = 16
const MAX_RANGES = 64
/** Flags of a chunk. */
const WEAK = 1
const RESERVES = 2
const MAX_CHUNKS_IN_FRAME = 256

/** A stretch of link key: bytes `from` to `from + sizeBytes` of a block of the link. */
export interface PadRange {
  readonly number: bigint
  readonly from: number
  readonly sizeBytes: number
}

/** Which piece of which key a chunk is. */
export interface ChunkId {
  readonly source: string
  readonly dest: string
  readonly transfer: bigint
  readonly share: number
  readonly chunk: number
  /** Counts how often the source has sent it. */
  readonly attempt: number
}

/** A chunk without its content, as it stands in a frame's header. */
export interface ChunkHeader extends ChunkId {
  /** Sites in order, both ends included. */
  readonly path: readonly string[]
  /** Place in `path` of the site that reads this. */
  readonly hop: number
  /** Share of each link that the pair has against others that wait, times 256. */
  readonly weight: number
  /** True once it has crossed a link without a quantum channel. */
  readonly weak: boolean
  /** True where the frame has no bytes for it: its pad itself is reserved for the block (rule L5). */
  readonly reserves: boolean
  readonly sizeBytes: number
}

/** A chunk on its way; whoever holds it wipes the content. */
export interface Chunk extends ChunkHeader {
  readonly content: SecretKey
  /** When it came to this site, of the monotonic clock. */
  readonly sinceMs: number
}

/** Key of a link that waits to be reserved for a block whose relays announce. */
export interface Reservation extends ChunkHeader {
  readonly reserves: true
  readonly sinceMs: number
  /** Takes the range over when it was drawn; the frame that names it to the other end leaves then. */
  readonly onRange: (range: SecretKey) => void
  /** It is given up before its turn. */
  readonly onDropped: () => void
}

/** What waits for pads of a link. */
export type Waiting = Chunk | Reservation

/** Throws away what waits. */
export function dropWaiting(waiting: Waiting): void {
  if ('content' in waiting) waiting.content.wipe()
  else waiting.onDropped()
}

/** What a frame says before its content. */
export interface FrameHeader {
  readonly linkId: string
  /** Ascending in a session. */
  readonly sequence: bigint
  /** The pads, in order: first the key of the tag, then what hides the content, then what is reserved. */
  readonly ranges: readonly PadRange[]
  /** Those that reserve stand last. */
  readonly chunks: readonly ChunkHeader[]
}

/** The bytes of a frame up to its content: they stand under the tag as the content does. */
export function encodeFrameHeader({ linkId, sequence, ranges, chunks }: FrameHeader): Buffer {
  const writer = new ByteWriter().u8(FRAME_ID).field(linkId).u64(sequence).u8(ranges.length)
  for (const { number, from, sizeBytes } of ranges) writer.u64(number).u16(from).u16(sizeBytes)
  writer.u16(chunks.length)
  for (const chunk of chunks) {
    writer.field(chunk.source).field(chunk.dest).u64(chunk.transfer).u8(chunk.share).u16(chunk.chunk)
    writer.u16(chunk.attempt)
    path.write(writer, chunk.path)
    writer
      .u8(chunk.hop)
      .u16(chunk.weight)
      .u8((chunk.weak ? WEAK : 0) | (chunk.reserves ? RESERVES : 0))
      .u32(chunk.sizeBytes)
  }
  return writer.bytes()
}

/** A frame taken apart; `tagged` is what its tag covers. */
export interface OpenFrame extends FrameHeader {
  readonly hidden: Uint8Array
  readonly tagged: Uint8Array
  readonly tag: Uint8Array
}

/** @throws {ProtocolError} the bytes are no frame, or do not add up */
export function decodeFrame(bytes: Uint8Array): OpenFrame {
  const reader = new ByteReader(bytes)
  if (reader.u8() !== FRAME_ID) throw new ProtocolError('The message is no frame')
  const linkId = name.read(reader)
  const sequence = reader.u64()
  const rangeCount = reader.u8()
  if (rangeCount === 0 || rangeCount > MAX_RANGES) throw new ProtocolError(`A frame with ${rangeCount} pads`)
  const ranges = Array.from({ length: rangeCount }, () => ({
    number: reader.u64(),
    from: reader.u16(),
    sizeBytes: reader.u16(),
  }))
  const chunkCount = reader.u16()
  if (chunkCount === 0 || chunkCount > MAX_CHUNKS_IN_FRAME) throw new ProtocolError(`A frame with ${chunkCount} chunks`)
  const chunks = Array.from({ length: chunkCount }, () => readChunk(reader))
  const contentBytes = sizeOf(chunks.filter(({ reserves }) => !reserves))
  const reservedBytes = sizeOf(chunks) - contentBytes
  if (chunks.some(({ reserves }, i) => reserves && chunks[i + 1]?.reserves === false)) {
    throw new ProtocolError('What a frame reserves does not stand last')
  }
  const padBytes = ranges.reduce((sum, range) => sum + range.sizeBytes, 0)
  if (
    padBytes !== FRAME_KEY_BYTES + contentBytes + reservedBytes ||
    reader.remaining !== contentBytes + FRAME_TAG_BYTES
  ) {
    throw new ProtocolError('The sizes in a frame do not add up')
  }
  const tagAt = bytes.byteLength - FRAME_TAG_BYTES
  const hidden = reader.raw(contentBytes)
  return { linkId, sequence, ranges, chunks, hidden, tagged: bytes.subarray(0, tagAt), tag: bytes.subarray(tagAt) }
}

function sizeOf(chunks: readonly ChunkHeader[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.sizeBytes, 0)
}

function readChunk(reader: ByteReader): ChunkHeader {
  const chunk = {
    source: name.read(reader),
    dest: name.read(reader),
    transfer: reader.u64(),
    share: reader.u8(),
    chunk: reader.u16(),
    attempt: reader.u16(),
    path: path.read(reader),
    hop: reader.u8(),
    weight: reader.u16(),
    ...flagsOf(reader.u8()),
    sizeBytes: reader.u32(),
  }
  const { path: sites, hop, share, sizeBytes, source, dest } = chunk
  const onPath = hop >= 1 && hop < sites.length && sites[0] === source && sites.at(-1) === dest
  if (!onPath || new Set(sites).size !== sites.length) throw new ProtocolError('A chunk that is not on its path')
  if (share >= MAX_SHARES || sizeBytes === 0) throw new ProtocolError('A chunk of no share, or without content')
  return chunk
}

function flagsOf(flags: number): { weak: boolean; reserves: boolean } {
  if ((flags & ~(WEAK | RESERVES)) !== 0) throw new ProtocolError('A chunk with flags that there are not')
  return { weak: (flags & WEAK) !== 0, reserves: (flags & RESERVES) !== 0 }
}

/** The chunk's name in tables. */
export function chunkKey({ source, dest, transfer, share, chunk, attempt }: ChunkId): string {
  return `${source}\n${dest}\n${transfer}/${share}/${chunk}/${attempt}`
}

/**
 * What travels between the two ends of a simulated link, where a real one has photons. The connecting end (the sink)
 * opens with `hello`, the listening end (the source) answers `welcome` or `bye`; then
 *
 *     sink    credit(n), received(number), floor(number), alive, bye
 *     source  block(number, bytes), rate, alive, bye
 *
 * A frame is: length u32 (of what follows), type u8, body; all numbers big-endian, all text UTF-8 behind a 16-bit length.
 */
import { ProtocolError } from '../errors.ts'
import { SecretKey } from '../key/secret-key.ts'
import { ByteReader, ByteWriter } from '../util/bytes.ts'

/** What both ends must agree on, as the sending end sees it. */
export interface EndIdentity {
  readonly linkId: string
  readonly siteId: string
  readonly peerSiteId: string
  readonly blockSizeBytes: number
  /** Rate of the link in bits per second; 0 where the end leaves it to the other one. */
  readonly rateBps: number
}

export type QuantumFrame =
  | ({ type: 'hello'; lastNumber: bigint; floor: bigint } & EndIdentity)
  | ({ type: 'welcome' } & EndIdentity)
  | { type: 'bye'; reason: string }
  | { type: 'credit'; blocks: number }
  | { type: 'block'; number: bigint; secret: SecretKey }
  | { type: 'received'; number: bigint }
  | { type: 'floor'; number: bigint }
  | { type: 'rate'; rateBps: number }
  | { type: 'alive' }

/** Written at the head of `hello` and `welcome`: "qkdl" and the version of this format. */
const MAGIC = 0x716b646c
const VERSION = 1

const TYPES = ['hello', 'welcome', 'bye', 'credit', 'block', 'received', 'floor', 'rate', 'alive'] as const

/** Bytes of the length before each frame. */
export const LENGTH_BYTES = 4
/** Largest frame but `block`, in bytes without the length. */
export const MAX_CONTROL_BYTES = 2048
/** Type and number of a `block` frame. */
const BLOCK_HEADER_BYTES = 9
const MAX_REASON_CHARS = 200
const MAX_RATE_BPS = 1e12

/** Highest block number. The upper half of the 64 bits stays free, so that no end can use all numbers up at once. */
export const MAX_NUMBER = 2n ** 63n - 1n

/** Largest frame on a link of that block size, in bytes without the length. */
export function maxFrameBytes(blockSizeBytes: number): number {
  return Math.max(MAX_CONTROL_BYTES, BLOCK_HEADER_BYTES + blockSizeBytes)
}

/** The frame with its length, in a buffer of its own; the caller wipes it once it is written. */
export function encodeFrame(frame: QuantumFrame): Buffer {
  if (frame.type === 'block') return encodeBlock(frame)
  const body = writeBody(new ByteWriter().u8(TYPES.indexOf(frame.type)), frame).bytes()
  return new ByteWriter().u32(body.byteLength).raw(body).bytes()
}

/**
 * One frame, without its length. A block's bytes are copied: the caller wipes `bytes`.
 * @throws {ProtocolError} not a frame of this format
 */
export function decodeFrame(bytes: Uint8Array): QuantumFrame {
  const reader = new ByteReader(bytes)
  const code = reader.u8()
  const type = TYPES[code]
  if (type === undefined) throw new ProtocolError(`Frame type ${code} is not known`)
  const frame = readBody(type, reader)
  reader.end()
  return frame
}

function encodeBlock({ number, secret }: Extract<QuantumFrame, { type: 'block' }>): Buffer {
  const header = new ByteWriter()
    .u32(BLOCK_HEADER_BYTES + secret.sizeBytes)
    .u8(TYPES.indexOf('block'))
    .u64(number)
    .bytes()
  const out = Buffer.allocUnsafeSlow(header.byteLength + secret.sizeBytes)
  out.set(header)
  secret.expose('quantum-channel', bytes => out.set(bytes, header.byteLength))
  return out
}

function writeBody(writer: ByteWriter, frame: Exclude<QuantumFrame, { type: 'block' }>): ByteWriter {
  switch (frame.type) {
    case 'hello':
      return writeIdentity(writer, frame).u64(frame.lastNumber).u64(frame.floor)
    case 'welcome':
      return writeIdentity(writer, frame)
    case 'bye':
      return writer.field(printable(frame.reason))
    case 'credit':
      return writer.u32(frame.blocks)
    case 'received':
    case 'floor':
      return writer.u64(frame.number)
    case 'rate':
      return writer.u64(BigInt(frame.rateBps))
    case 'alive':
      return writer
  }
}

function readBody(type: QuantumFrame['type'], reader: ByteReader): QuantumFrame {
  switch (type) {
    case 'hello':
      return { type, ...readIdentity(reader), lastNumber: readNumber(reader), floor: readNumber(reader) }
    case 'welcome':
      return { type, ...readIdentity(reader) }
    case 'bye':
      return { type, reason: printable(reader.text()) }
    case 'credit':
      return { type, blocks: reader.u32() }
    case 'block': {
      const number = readNumber(reader)
      if (reader.remaining === 0) throw new ProtocolError('The block is empty')
      return { type, number, secret: SecretKey.copyOf(reader.raw(reader.remaining)) }
    }
    case 'received':
    case 'floor':
      return { type, number: readNumber(reader) }
    case 'rate':
      return { type, rateBps: readRate(reader) }
    case 'alive':
      return { type }
  }
}

function writeIdentity(writer: ByteWriter, identity: EndIdentity): ByteWriter {
  return writer
    .u32(MAGIC)
    .u8(VERSION)
    .field(identity.linkId)
    .field(identity.siteId)
    .field(identity.peerSiteId)
    .u32(identity.blockSizeBytes)
    .u64(BigInt(identity.rateBps))
}

function readIdentity(reader: ByteReader): EndIdentity {
  if (reader.u32() !== MAGIC) throw new ProtocolError('The peer is not the end of a simulated link')
  const version = reader.u8()
  if (version !== VERSION) {
    throw new ProtocolError(`The peer speaks version ${version} of the simulated link, this end ${VERSION}`)
  }
  return {
    linkId: printable(reader.text()),
    siteId: printable(reader.text()),
    peerSiteId: printable(reader.text()),
    blockSizeBytes: reader.u32(),
    rateBps: readRate(reader),
  }
}

function readNumber(reader: ByteReader): bigint {
  const number = reader.u64()
  if (number > MAX_NUMBER) throw new ProtocolError(`Block number ${number} is above ${MAX_NUMBER}`)
  return number
}

function readRate(reader: ByteReader): number {
  const rateBps = reader.u64()
  if (rateBps > MAX_RATE_BPS) throw new ProtocolError(`A rate of ${rateBps} b/s is above ${MAX_RATE_BPS}`)
  return Number(rateBps)
}

/** Text of the other end goes into logs and status: of bounded length and without control characters. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?').slice(0, MAX_REASON_CHARS)
}

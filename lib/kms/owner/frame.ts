/**
 * Between the owner of a site's pools and the processes that serve its hosts: one message is a frame, and a frame holds all
 * that came up in one turn of the event loop. The first byte says what it is.
 */
import { ProtocolError } from '../../errors.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'

/** Version of all frames, told in the first one. */
export const OWNER_WIRE_VERSION = 1

/** A frame is closed when it has so many bytes; one entry more may still go in. Far below what a channel carries. */
export const FULL_FRAME_BYTES = 256 * 1024

/** Entries of one frame at most. */
export const MAX_ENTRIES = 4_096

/** Calls that one process may have open at the owner: without an answer, or with one that it did not acknowledge. */
export const MAX_OPEN_CALLS = 8_192

export const FRAME = { hello: 1, requests: 2, answers: 3 } as const

/** What the owner says first. */
export function encodeHello(siteId: string): Buffer {
  return new ByteWriter().u8(FRAME.hello).u16(OWNER_WIRE_VERSION).field(siteId).bytes()
}

/**
 * The site whose owner this is.
 * @throws {ProtocolError} no hello, or of another version
 */
export function decodeHello(bytes: Uint8Array): string {
  const reader = openFrame(bytes, FRAME.hello)
  const version = reader.u16()
  if (version !== OWNER_WIRE_VERSION) {
    throw new ProtocolError(`The owner speaks version ${version} of its frames, this end ${OWNER_WIRE_VERSION}`)
  }
  const siteId = reader.text()
  reader.end()
  return siteId
}

/** The inside of a frame of that kind. */
export function openFrame(bytes: Uint8Array, kind: number): ByteReader {
  const reader = new ByteReader(bytes)
  const found = reader.u8()
  if (found !== kind) throw new ProtocolError(`A frame of kind ${found} where ${kind} is due`)
  return reader
}

/** JSON, or text without structure, behind a 32-bit length. */
export function writeLong(writer: ByteWriter, text: string): void {
  const bytes = Buffer.from(text, 'utf8')
  writer.u32(bytes.byteLength).raw(bytes)
}

/** The JSON value behind a 32-bit length; undefined for an empty one. */
export function readJson(reader: ByteReader): unknown {
  const bytes = reader.raw(reader.u32())
  if (bytes.byteLength === 0) return undefined
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    // Without the parser's own error: it quotes the bytes, and a wrong length could make them a key's.
    throw new ProtocolError('A part of a frame is not JSON')
  }
}

/** How many entries a frame says it has. */
export function readCount(reader: ByteReader): number {
  const count = reader.u16()
  if (count === 0 || count > MAX_ENTRIES)
    throw new ProtocolError(`A frame has 1 to ${MAX_ENTRIES} entries, not ${count}`)
  return count
}

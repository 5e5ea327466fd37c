import { ByteWriter, InvalidArgumentError, ProtocolError } from '../../../lib/index.ts'
import { decodeViciMessage, encodeViciMessage, type ViciSection } from './message.ts'

/** Longest packet that charon takes, its length not counted; for a longer one it resets the connection. */
export const MAX_PACKET_BYTES = 512 * 1024
const LENGTH_BYTES = 4

/** Kinds of packet, by their number. */
const KINDS = [
  'request',
  'response',
  'unknown-command',
  'register',
  'unregister',
  'confirmation',
  'unknown-event',
  'event',
] as const
type PacketKind = (typeof KINDS)[number]

/** What charon sends. */
export type ViciPacket =
  | { readonly kind: 'response'; readonly message: ViciSection }
  | { readonly kind: 'unknown-command' | 'confirmation' | 'unknown-event' }
  | { readonly kind: 'event'; readonly name: string; readonly message: ViciSection }

/** What we send; `message` goes with `request` alone. */
export interface OutgoingPacket {
  readonly kind: 'request' | 'register' | 'unregister'
  readonly name: string
  readonly message?: ViciSection
}

/**
 * A packet as it goes over the socket. The bytes are the caller's to wipe.
 * @throws {InvalidArgumentError} it is longer than charon takes, or something in it is
 */
export function encodeViciPacket({ kind, name, message }: OutgoingPacket): Buffer {
  const named = Buffer.from(name, 'utf8')
  if (named.byteLength === 0 || named.byteLength > 255) throw new InvalidArgumentError('A VICI name has 1 to 255 bytes')
  const body = message === undefined ? Buffer.alloc(0) : encodeViciMessage(message)
  try {
    const sizeBytes = 2 + named.byteLength + body.byteLength
    if (sizeBytes > MAX_PACKET_BYTES) {
      throw new InvalidArgumentError(`A VICI packet of ${sizeBytes} bytes is longer than ${MAX_PACKET_BYTES}`)
    }
    const writer = new ByteWriter().u32(sizeBytes).u8(KINDS.indexOf(kind))
    return writer.u8(named.byteLength).raw(named).raw(body).bytes()
  } finally {
    body.fill(0)
  }
}

/**
 * What the bytes of one packet say, its length not among them.
 * @throws {ProtocolError} they are none that charon may send
 */
export function decodeViciPacket(packet: Buffer): ViciPacket {
  const kind: PacketKind | undefined = KINDS[packet[0] ?? KINDS.length]
  switch (kind) {
    case 'response':
      return { kind, message: decodeViciMessage(packet.subarray(1)) }
    case 'unknown-command':
    case 'confirmation':
    case 'unknown-event':
      if (packet.byteLength > 1) throw new ProtocolError(`charon's packet has ${packet.byteLength - 1} bytes too many`)
      return { kind }
    case 'event': {
      const end = 2 + (packet[1] ?? 0)
      if (end === 2 || end > packet.byteLength) throw new ProtocolError("charon's event has no name")
      return { kind, name: packet.toString('utf8', 2, end), message: decodeViciMessage(packet.subarray(end)) }
    }
    default:
      throw new ProtocolError(`charon sent a packet of type ${packet[0] ?? 'none'}, which is not for a client`)
  }
}

/** Cuts what the socket gives, in pieces of any length, into packets. */
export class PacketReader {
  #chunks: Buffer[] = []
  #sizeBytes = 0

  /**
   * The packets that are whole with `chunk`, without their lengths.
   * @throws {ProtocolError} one is empty or longer than any may be
   */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk)
    this.#sizeBytes += chunk.byteLength
    const packets: Buffer[] = []
    for (let length = this.#length(); length !== undefined; length = this.#length()) {
      if (this.#sizeBytes < LENGTH_BYTES + length) break
      const all = this.#join()
      packets.push(all.subarray(LENGTH_BYTES, LENGTH_BYTES + length))
      this.#chunks = [all.subarray(LENGTH_BYTES + length)]
      this.#sizeBytes -= LENGTH_BYTES + length
    }
    return packets
  }

  /** Length of the packet at the front; undefined until it is there. */
  #length(): number | undefined {
    if (this.#sizeBytes < LENGTH_BYTES) return undefined
    if (this.#chunks[0]!.byteLength < LENGTH_BYTES) this.#join()
    const length = this.#chunks[0]!.readUInt32BE(0)
    if (length === 0 || length > MAX_PACKET_BYTES) {
      throw new ProtocolError(`charon announces a packet of ${length} bytes; 1 to ${MAX_PACKET_BYTES} are possible`)
    }
    return length
  }

  #join(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]!
  }
}

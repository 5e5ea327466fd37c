import { HandshakeRefusal } from './refusal.ts'

/** Most bytes that a peer may send before its ClientHello is complete, record headers included. */
export const MAX_HELLO_BYTES = 32 * 1024

const RECORD_HEADER_BYTES = 5
const HANDSHAKE_HEADER_BYTES = 4
const MAX_RECORD_BYTES = 16 * 1024
const HANDSHAKE_RECORD = 22
/** Room for the pieces of most hellos. */
const MIN_ROOM_BYTES = 2048
const CLIENT_HELLO = 1
/** Of TLS 1.2. */
export const CLIENT_KEY_EXCHANGE = 16

/**
 * Bytes one after the other in one buffer that doubles: a peer that sends single bytes costs no object for each. What comes
 * first is taken as it is, because mostly nothing follows.
 */
class Accumulator {
  #bytes: Uint8Array = new Uint8Array(0)
  #sizeBytes = 0

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  get bytes(): Buffer {
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#sizeBytes)
  }

  append(chunk: Uint8Array): void {
    const needed = this.#sizeBytes + chunk.byteLength
    if (this.#sizeBytes === 0) this.#bytes = chunk
    else {
      // A chunk that was taken as it is has no room behind it: the first append copies it.
      if (needed > this.#bytes.byteLength) {
        const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#sizeBytes * 2, MIN_ROOM_BYTES))
        larger.set(this.#bytes.subarray(0, this.#sizeBytes))
        this.#bytes = larger
      }
      this.#bytes.set(chunk, this.#sizeBytes)
    }
    this.#sizeBytes = needed
  }
}

/**
 * Puts a ClientHello, or another message that a client sends unencrypted, together from bytes as TCP brings them: in any
 * number of segments, spread over any number of TLS records (RFC 8446, section 5.1). A hello with ML-KEM is longer than one
 * segment, so pieces are the normal case.
 */
export class HelloReader {
  readonly #received = new Accumulator()
  readonly #message = new Accumulator()
  #nextRecord = 0
  #hello: Buffer | undefined
  readonly #messageType: number

  constructor(messageType = CLIENT_HELLO) {
    this.#messageType = messageType
  }

  /** Everything pushed so far, as it came. */
  get received(): Buffer {
    return this.#received.bytes
  }

  /**
   * Takes the next bytes; gives the whole ClientHello message, header included, from the moment it is there. What comes
   * after it is kept unread, within the same limit.
   * @throws {HandshakeRefusal} not TLS, not a ClientHello, or too long
   */
  push(chunk: Uint8Array): Buffer | undefined {
    const room = MAX_HELLO_BYTES - this.#received.sizeBytes
    this.#received.append(chunk.subarray(0, room))
    while (this.#hello === undefined && this.#takeRecord()) this.#hello = this.#completeMessage()
    if (chunk.byteLength > room) throw tooLong()
    return this.#hello
  }

  #takeRecord(): boolean {
    const rest = this.received.subarray(this.#nextRecord)
    // The first byte alone tells that this is not TLS: an HTTP request may be shorter than the header.
    if (rest.byteLength > 0 && rest[0] !== HANDSHAKE_RECORD) {
      throw new HandshakeRefusal('not-tls', 'The peer does not begin with a TLS handshake')
    }
    if (rest.byteLength > 1 && rest[1] !== 3) throw new HandshakeRefusal('not-tls', 'The record has no TLS version')
    if (rest.byteLength < RECORD_HEADER_BYTES) return false
    const sizeBytes = rest.readUInt16BE(3)
    if (sizeBytes === 0) throw new HandshakeRefusal('malformed', 'A handshake record is empty')
    if (sizeBytes > MAX_RECORD_BYTES) throw tooLong()
    const end = RECORD_HEADER_BYTES + sizeBytes
    if (rest.byteLength < end) return false
    this.#message.append(rest.subarray(RECORD_HEADER_BYTES, end))
    this.#nextRecord += end
    return true
  }

  #completeMessage(): Buffer | undefined {
    const bytes = this.#message.bytes
    if (bytes[0] !== this.#messageType) {
      throw new HandshakeRefusal('not-tls', `The handshake message is of type ${bytes[0]}, not ${this.#messageType}`)
    }
    if (bytes.byteLength < HANDSHAKE_HEADER_BYTES) return undefined
    const end = HANDSHAKE_HEADER_BYTES + bytes.readUIntBE(1, 3)
    if (end > MAX_HELLO_BYTES) throw tooLong()
    return bytes.byteLength < end ? undefined : bytes.subarray(0, end)
  }
}

function tooLong(): HandshakeRefusal {
  return new HandshakeRefusal('oversize', `The ClientHello is longer than ${MAX_HELLO_BYTES} bytes`)
}

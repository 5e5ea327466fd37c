import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { ProtocolError } from '../../../lib/index.ts'

const HEAD_BYTES = 20
/** Longest packet (RFC 2865, section 3). */
export const MAX_PACKET_BYTES = 4096
const MAX_PASSWORD_BYTES = 128

const ACCESS_REQUEST = 1
const USER_NAME = 1
const USER_PASSWORD = 2
const MESSAGE_AUTHENTICATOR = 80

/** What MIT's KDC asks by RADIUS: may this user log in with this password? */
export interface AccessRequest {
  readonly id: number
  readonly authenticator: Buffer
  readonly userName: string
  readonly password: string
  /** Whether it came with a Message-Authenticator (RFC 3579, section 3.2), and the answer must have one. */
  readonly isAuthenticated: boolean
}

/**
 * The size of the packet that begins with `bytes`; undefined while its head is cut short.
 * @throws {ProtocolError} no packet has that size
 */
export function packetSize(bytes: Buffer): number | undefined {
  if (bytes.byteLength < 4) return undefined
  const size = bytes.readUInt16BE(2)
  if (size < HEAD_BYTES || size > MAX_PACKET_BYTES) throw malformed(`it says that it has ${size} bytes`)
  return size
}

/**
 * The Access-Request in `packet` (RFC 2865, section 4.1), under the empty secret that MIT uses on a unix socket.
 * @throws {ProtocolError} it is none
 */
export function readAccessRequest(packet: Buffer): AccessRequest {
  if (packet[0] !== ACCESS_REQUEST) throw malformed(`packets of code ${packet[0]} are not served`)
  const authenticator = packet.subarray(4, HEAD_BYTES)
  const attributes = readAttributes(packet)
  const userName = attributes.get(USER_NAME)
  const hidden = attributes.get(USER_PASSWORD)
  if (userName === undefined || hidden === undefined) throw malformed('it lacks User-Name or User-Password')
  const proof = attributes.get(MESSAGE_AUTHENTICATOR)
  if (proof !== undefined) verifyMessage(packet, proof)
  return {
    id: packet[1]!,
    authenticator: Buffer.from(authenticator),
    userName: text(userName),
    password: text(reveal(hidden, authenticator)),
    isAuthenticated: proof !== undefined,
  }
}

/** The answer to a request (RFC 2865, sections 4.2 and 4.3). */
export function writeAnswer(code: 'accept' | 'reject', { id, authenticator, isAuthenticated }: AccessRequest): Buffer {
  const packet = Buffer.alloc(HEAD_BYTES + (isAuthenticated ? 18 : 0))
  packet.writeUInt8(code === 'accept' ? 2 : 3, 0)
  packet.writeUInt8(id, 1)
  packet.writeUInt16BE(packet.byteLength, 2)
  authenticator.copy(packet, 4)
  if (isAuthenticated) {
    packet.writeUInt8(MESSAGE_AUTHENTICATOR, HEAD_BYTES)
    packet.writeUInt8(18, HEAD_BYTES + 1)
    createHmac('md5', '')
      .update(packet)
      .digest()
      .copy(packet, HEAD_BYTES + 2)
  }
  createHash('md5').update(packet).digest().copy(packet, 4)
  return packet
}

/** The first attribute of each type, as views of the packet. */
function readAttributes(packet: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>()
  for (let at = HEAD_BYTES; at < packet.byteLength; ) {
    const size = packet[at + 1] ?? 0
    if (size < 2 || at + size > packet.byteLength) throw malformed('an attribute is cut short')
    const type = packet[at]!
    if (!attributes.has(type)) attributes.set(type, packet.subarray(at + 2, at + size))
    at += size
  }
  return attributes
}

function verifyMessage(packet: Buffer, proof: Buffer): void {
  if (proof.byteLength !== 16) throw malformed('its Message-Authenticator has a wrong size')
  const zeroed = Buffer.from(packet)
  zeroed.fill(0, proof.byteOffset - packet.byteOffset, proof.byteOffset - packet.byteOffset + 16)
  const expected = createHmac('md5', '').update(zeroed).digest()
  if (!timingSafeEqual(expected, proof)) throw malformed('its Message-Authenticator is wrong')
}

/** Undoes the hiding of a password (RFC 2865, section 5.2), which under an empty secret hides nothing. */
function reveal(hidden: Buffer, authenticator: Buffer): Buffer {
  if (hidden.byteLength === 0 || hidden.byteLength % 16 !== 0 || hidden.byteLength > MAX_PASSWORD_BYTES) {
    throw malformed('its User-Password has a wrong size')
  }
  const password = Buffer.alloc(hidden.byteLength)
  let last = authenticator
  for (let at = 0; at < hidden.byteLength; at += 16) {
    const mask = createHash('md5').update(last).digest()
    last = hidden.subarray(at, at + 16)
    for (let i = 0; i < 16; i += 1) password[at + i] = last[i]! ^ mask[i]!
  }
  const end = password.indexOf(0)
  return end === -1 ? password : password.subarray(0, end)
}

function text(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new ProtocolError('A RADIUS packet is malformed: a text in it is not UTF-8', { cause })
  }
}

function malformed(why: string): ProtocolError {
  return new ProtocolError(`A RADIUS packet is malformed: ${why}`)
}

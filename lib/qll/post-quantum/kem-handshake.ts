/**
 * How the two ends of a post-quantum link come to a key. The connecting end (initiator) speaks first:
 *
 *     initiator  hello(link, sites, nonce, ML-KEM-768 public key)
 *     responder  hello(link, sites, nonce, ciphertext), proof
 *     initiator  proof
 *
 * A proof is a tag or a signature over both hellos and who gives it. The key is new for each connection, and renewed while
 * that lasts (`key-renewal.ts`).
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { ProtocolError, UnauthorizedError } from '../../errors.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { hkdf } from '../../key/hkdf.ts'
import { createKem, type Kem } from '../../key/post-quantum.ts'
import { RecordCipher } from '../../key/record-cipher.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'
import type { Authenticator } from '../bb84/session/authenticator.ts'
import { FrameStream } from './frame-stream.ts'
import type { StreamRole } from './key-renewal.ts'
import { SealedDuplex } from './sealed-duplex.ts'

/** Which end of which link this is, and what proves it. */
export interface HandshakeOptions extends AbortOptions {
  readonly linkId: string
  readonly localSiteId: string
  readonly remoteSiteId: string
  /** `SharedKeyTranscripts` on a pre-shared key, or `SignedTranscripts` on certificates. */
  readonly authenticator: Authenticator
  /** Default ML-KEM-768, by node:crypto where Node has it. */
  readonly kem?: Kem
  /** How old a key may become before it is renewed, in milliseconds. Default ten minutes. */
  readonly renewMs?: number
}

/** "qkdp" and the version of this format. */
const MAGIC = 0x716b6470
const VERSION = 1
const NONCE_BYTES = 32
const LABEL = 'qkdkit/1 post-quantum link'

/**
 * The connecting end's side. Takes `duplex` over, and gives what both ends send through it from now on in clear.
 * @throws {UnauthorizedError} the other end is not the one that the authenticator knows
 * @throws {ProtocolError} it is of another link or version
 */
export async function initiate(duplex: Duplex, options: HandshakeOptions): Promise<SealedDuplex> {
  const { kem = createKem() } = options
  const frames = new FrameStream(duplex)
  const pair = kem.generateKeyPair()
  try {
    const ours = hello(options, pair.publicKey)
    frames.write(ours)
    const theirs = await frames.next(options)
    const ciphertext = readHello(theirs, options, kem.ciphertextBytes)
    const transcript = Buffer.concat([ours, theirs])
    await verify(options, transcript, { role: 'responder', proof: await frames.next(options) })
    const secret = pair.decapsulate(ciphertext)
    frames.write(await prove(options, transcript, 'initiator'))
    return sealed(frames, { secret, transcript, role: 'initiator', kem, ...renewalOf(options) })
  } finally {
    pair.wipe()
  }
}

/**
 * The listening end's side, the same otherwise.
 * @throws {UnauthorizedError} the other end is not the one that the authenticator knows
 * @throws {ProtocolError} it is of another link or version
 */
export async function respond(duplex: Duplex, options: HandshakeOptions): Promise<SealedDuplex> {
  const { kem = createKem() } = options
  const frames = new FrameStream(duplex)
  const theirs = await frames.next(options)
  const { ciphertext, secret } = encapsulateFor(kem, readHello(theirs, options, kem.publicKeyBytes))
  try {
    const ours = hello(options, ciphertext)
    const transcript = Buffer.concat([theirs, ours])
    frames.write(ours)
    frames.write(await prove(options, transcript, 'responder'))
    await verify(options, transcript, { role: 'initiator', proof: await frames.next(options) })
    return sealed(frames, { secret, transcript, role: 'responder', kem, ...renewalOf(options) })
  } catch (reason) {
    secret.wipe()
    throw reason
  }
}

function renewalOf({ renewMs }: HandshakeOptions): { renewMs?: number } {
  return renewMs === undefined ? {} : { renewMs }
}

function hello({ linkId, localSiteId, remoteSiteId }: HandshakeOptions, material: Uint8Array): Buffer {
  return new ByteWriter()
    .u32(MAGIC)
    .u8(VERSION)
    .field(linkId)
    .field(localSiteId)
    .field(remoteSiteId)
    .raw(randomBytes(NONCE_BYTES))
    .raw(material)
    .bytes()
}

/** The key or ciphertext of the other end's hello, if it is of this link. */
function readHello(frame: Buffer, options: HandshakeOptions, materialBytes: number): Uint8Array {
  const reader = new ByteReader(frame)
  if (reader.u32() !== MAGIC) throw new ProtocolError('The peer is not the end of a post-quantum link')
  const version = reader.u8()
  if (version !== VERSION) {
    throw new ProtocolError(`The peer speaks version ${version} of the post-quantum link, this end ${VERSION}`)
  }
  const [linkId, siteId, peerSiteId] = [reader.text(), reader.text(), reader.text()]
  const { linkId: ownLink, localSiteId, remoteSiteId } = options
  if (linkId !== ownLink || siteId !== remoteSiteId || peerSiteId !== localSiteId) {
    throw new ProtocolError(
      `The other end is not that of link "${ownLink}" at site "${remoteSiteId}", towards "${localSiteId}"`,
    )
  }
  reader.raw(NONCE_BYTES)
  const material = reader.raw(materialBytes)
  reader.end()
  return material
}

function encapsulateFor(kem: Kem, publicKey: Uint8Array) {
  try {
    return kem.encapsulate(publicKey)
  } catch (cause) {
    throw new ProtocolError('The other end sent no key of ML-KEM-768', { cause })
  }
}

async function prove({ authenticator }: HandshakeOptions, transcript: Buffer, role: StreamRole): Promise<Uint8Array> {
  const hash = authenticator.outgoingHash()
  hash.update(labelled(transcript, role))
  return authenticator.tag(hash)
}

async function verify(
  { authenticator, remoteSiteId }: HandshakeOptions,
  transcript: Buffer,
  { role, proof }: { role: StreamRole; proof: Uint8Array },
): Promise<void> {
  const hash = authenticator.incomingHash()
  hash.update(labelled(transcript, role))
  if (await authenticator.verify(hash, proof)) return
  throw new UnauthorizedError(`The other end did not prove that it is site "${remoteSiteId}"`)
}

function labelled(transcript: Buffer, role: StreamRole): Buffer {
  return Buffer.concat([Buffer.from(`${LABEL} ${role}\0`), createHash('sha512').update(transcript).digest()])
}

/** A key for each direction, bound to all that was said. Wipes `secret`. */
function sealed(
  frames: FrameStream,
  {
    secret,
    transcript,
    ...options
  }: { secret: SecretKey; transcript: Buffer; role: StreamRole; kem: Kem; renewMs?: number },
): SealedDuplex {
  const salt = createHash('sha512').update(transcript).digest()
  const cipher = (from: StreamRole) =>
    new RecordCipher(hkdf(secret, { hash: 'sha512', salt, info: `${LABEL} ${from}`, sizeBytes: 32 }))
  const other = options.role === 'initiator' ? 'responder' : 'initiator'
  const duplex = new SealedDuplex(frames, { ...options, outgoing: cipher(options.role), incoming: cipher(other) })
  secret.wipe()
  return duplex
}

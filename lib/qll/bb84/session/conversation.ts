import { ClosedError, ProtocolError, UnauthorizedError } from '../../../errors.ts'
import type { AbortOptions } from '../../../interface/lifecycle.ts'
import { MAX_MESSAGE_BYTES, type MessageChannel } from '../../../interface/message-channel.ts'
import { lp, u64 } from '../../../key/lp.ts'
import type { Authenticator, MessageHash } from './authenticator.ts'

/** The messages of a link end, in the order of a block. Sealed ones carry a tag over all since the sender's last one. */
export const MESSAGE = {
  /** Either end, sealed: parameters and version. */
  hello: 1,
  /** Alice: a block may begin. */
  start: 2,
  /** Bob: a piece of his clicks. */
  clicks: 3,
  /** Alice, sealed: which clicks become key, and her sample. */
  sifted: 4,
  /** Bob, sealed: errors in the sample. */
  sampled: 5,
  /** Both at once: parities of a round of error correction. */
  parities: 6,
  /** Alice, sealed: verification, counts, length and seed of the key. */
  amplify: 7,
  /** Bob, sealed: whether his key verified. */
  verified: 8,
  /** Alice, sealed: the key is confirmed at both ends. */
  done: 9,
  /** Alice, sealed, in place of any other: no key from this block. */
  abort: 10,
  /** Bob: he has room for a block, and no use for numbers up to the one that he names. */
  ready: 11,
  /** Either end, sealed: it has heard the other one's greeting. */
  greeted: 12,
} as const

export type MessageType = (typeof MESSAGE)[keyof typeof MESSAGE]

/** A message that came, without its tag. */
export interface Received {
  readonly type: MessageType
  readonly body: Buffer
}

const SEALED = new Set<number>([
  MESSAGE.hello,
  MESSAGE.sifted,
  MESSAGE.sampled,
  MESSAGE.amplify,
  MESSAGE.verified,
  MESSAGE.done,
  MESSAGE.abort,
  MESSAGE.greeted,
])

/** Bytes of a message besides its body: its type, and behind a sealed one the length of its tag. */
const TYPE_BYTES = 1
const TAG_LENGTH_BYTES = 2

/**
 * What two link ends say to each other over a channel that anyone may read and change. Everything said in a direction is
 * covered by the next tag in that direction, and tags are numbered: a message that was changed, dropped, repeated or
 * moved makes the next tag fail. Until that tag has come, nothing that was heard may have a lasting effect.
 */
export class Conversation {
  /** Bytes sent and received, tags included. */
  readonly traffic = { sentBytes: 0, receivedBytes: 0 }
  readonly #channel: MessageChannel
  readonly #outgoing = { tags: 0n, hash: undefined as MessageHash | undefined }
  readonly #incoming = { tags: 0n, hash: undefined as MessageHash | undefined }
  readonly #directions: readonly [outgoing: string, incoming: string]
  #sessionId: Uint8Array = new Uint8Array(0)
  #authenticator: Authenticator

  constructor(
    channel: MessageChannel,
    { authenticator, role }: { authenticator: Authenticator; role: 'alice' | 'bob' },
  ) {
    this.#channel = channel
    this.#authenticator = authenticator
    const [toBob, toAlice] = ['qkdkit/1 bb84 alice', 'qkdkit/1 bb84 bob']
    this.#directions = role === 'alice' ? [toBob, toAlice] : [toAlice, toBob]
  }

  /** What messages are tagged with from here on; both ends change at the same place, behind a tag of each. */
  useAuthenticator(authenticator: Authenticator): void {
    this.#authenticator = authenticator
  }

  /** Ties all tags from here on to this session, so that nothing said in another one fits. */
  bind(sessionId: Uint8Array): void {
    this.#sessionId = sessionId
  }

  /** Sends a message; a sealed one with the tag over everything since the last. */
  async send(type: MessageType, parts: readonly Uint8Array[], options: AbortOptions): Promise<void> {
    const unsealed = Buffer.concat([Buffer.of(type), ...parts])
    this.#outgoing.hash ??= this.#hash('outgoing')
    absorb(this.#outgoing.hash, type, unsealed.subarray(TYPE_BYTES))
    const message = SEALED.has(type) ? Buffer.concat([unsealed, await this.#seal(this.#outgoing.hash)]) : unsealed
    if (message.byteLength > MAX_MESSAGE_BYTES) {
      throw new ProtocolError(
        `A message of ${message.byteLength} bytes is too long for the channel; make blocks smaller`,
      )
    }
    this.traffic.sentBytes += message.byteLength
    await this.#channel.send(message, options)
  }

  /**
   * The next message, of one of these types; a sealed one only after its tag was verified.
   * @throws {UnauthorizedError} the tag does not fit what was heard
   * @throws {ProtocolError} a message of another type
   * @throws {ClosedError} the other end has closed
   */
  async receive(types: readonly MessageType[], options: AbortOptions): Promise<Received> {
    const message = await this.#channel.receive(options)
    if (message === undefined) throw new ClosedError('The other end of the link has closed the channel')
    this.traffic.receivedBytes += message.byteLength
    const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength)
    const type = bytes[0] as MessageType
    if (!types.includes(type))
      throw new ProtocolError(`A message of type ${type} came where ${types.join(' or ')} belongs`)
    this.#incoming.hash ??= this.#hash('incoming')
    if (!SEALED.has(type)) {
      const body = bytes.subarray(TYPE_BYTES)
      absorb(this.#incoming.hash, type, body)
      return { type, body }
    }
    const { body, tag } = unseal(bytes)
    absorb(this.#incoming.hash, type, body)
    await this.#verify(this.#incoming.hash, tag)
    return { type, body }
  }

  async #seal(hash: MessageHash): Promise<Buffer> {
    const tag = await this.#authenticator.tag(hash)
    this.#outgoing.hash = undefined
    this.#outgoing.tags += 1n
    const length = Buffer.alloc(TAG_LENGTH_BYTES)
    length.writeUInt16BE(tag.byteLength)
    return Buffer.concat([tag, length])
  }

  async #verify(hash: MessageHash, tag: Uint8Array): Promise<void> {
    this.#incoming.hash = undefined
    this.#incoming.tags += 1n
    if (await this.#authenticator.verify(hash, tag)) return
    throw new UnauthorizedError('What came over the classical channel of the link is not what the other end said')
  }

  #hash(direction: 'outgoing' | 'incoming'): MessageHash {
    const outgoing = direction === 'outgoing'
    const hash = outgoing ? this.#authenticator.outgoingHash() : this.#authenticator.incomingHash()
    const tags = (outgoing ? this.#outgoing : this.#incoming).tags
    hash.update(lp(this.#directions[outgoing ? 0 : 1], this.#sessionId, u64(tags)))
    return hash
  }
}

/** Each message enters the hash behind its type and length, so that no two conversations give the same bytes. */
function absorb(hash: MessageHash, type: MessageType, body: Uint8Array): void {
  const header = Buffer.alloc(5)
  header.writeUInt8(type)
  header.writeUInt32BE(body.byteLength, 1)
  hash.update(header)
  hash.update(body)
}

function unseal(message: Buffer): { body: Buffer; tag: Buffer } {
  const lengthAt = message.byteLength - TAG_LENGTH_BYTES
  const tagAt = lengthAt < TYPE_BYTES ? -1 : lengthAt - message.readUInt16BE(lengthAt)
  if (tagAt < TYPE_BYTES) throw new ProtocolError('A sealed message of the link is cut short')
  return { body: message.subarray(TYPE_BYTES, tagAt), tag: message.subarray(tagAt, lengthAt) }
}

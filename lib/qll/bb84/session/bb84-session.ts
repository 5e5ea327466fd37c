import { createHash } from 'node:crypto'
import { ClosedError, ProtocolError } from '../../../errors.ts'
import type { AbortOptions } from '../../../interface/lifecycle.ts'
import type { LinkBlock } from '../../../interface/link.ts'
import type { MessageChannel } from '../../../interface/message-channel.ts'
import { SecretKey } from '../../../key/secret-key.ts'
import { type AuthenticationAccount, TAG_BYTES, WegmanCarter } from '../../../key/wegman-carter.ts'
import { ByteReader, ByteWriter } from '../../../util/bytes.ts'
import { abortable, withDeadline } from '../../../util/deadline.ts'
import { MultiplyShift } from '../hash/multiply-shift.ts'
import type { PulseRecords, RecordSource } from '../photons/records.ts'
import { type RandomFill, systemRandom } from '../random.ts'
import { aliceBlock } from './alice.ts'
import type { Authenticator } from './authenticator.ts'
import { BlockCutter } from './block-cutter.ts'
import { bobBlock } from './bob.ts'
import { Conversation, MESSAGE } from './conversation.ts'
import type { EndContext, Outcome } from './end.ts'
import { type AgreedParameters, agreeParameters, parametersDigest, type SessionParameters } from './parameters.ts'
import { abortedReport, type BlockCost, type BlockReport, keyReport, type Stage, StageClock } from './report.ts'

/** Version of the messages; ends of different versions refuse each other. */
const VERSION = 2
const NONCE_BYTES = 16
/** Tags of one direction that a block takes at most, and the pad of a fresh point. */
const TAGS_PER_BLOCK = 5

/** Pads of a direction that a spare key has, besides its point: the greeting's two, and blocks that may fail. */
const SPARE_TAGS = 16
/** Size of a spare key, in bytes. */
export const SPARE_KEY_BYTES = 2 * TAG_BYTES * (1 + SPARE_TAGS)
const MOST_SPARES_PER_BLOCK = 16
/** Time after which Bob says again that he is ready, in milliseconds: the first, and the longest. */
const READY_AGAIN_MS = [5_000, 60_000] as const

/** Where keys go with which later sessions of the same link begin. */
export interface SpareKeys {
  /** How many more there is room for. */
  readonly wanted: number
  /** Takes a key over; the other end has the same one under the same number. */
  add(number: bigint, secret: SecretKey): void
}

/** What one end of a session is made of. */
export interface Bb84SessionOptions {
  /** Alice prepares the pulses, Bob detects them; one of each. */
  readonly role: 'alice' | 'bob'
  readonly parameters: SessionParameters
  /** This end's devices. Left open. */
  readonly records: RecordSource
  /**
   * Proves what the other end says: a `WegmanCarter` on a key that both share, or something that holds for the first
   * block, after which the session makes its own out of that block's key. Taken over: it is wiped with the session.
   */
  readonly authenticator: Authenticator | WegmanCarter
  /** Alice alone: a number for the next secret, above all that were given before on this link. Default: 0, 1, 2 … */
  readonly nextNumber?: () => bigint
  /** Alice alone: hears, before she takes numbers, up to which one they are spent at Bob's. */
  readonly onPeerFloor?: (floor: bigint) => void
  /** Bob alone: numbers up to this one are spent at his end. Default none. */
  readonly floor?: () => bigint
  /** Where blocks put keys for later sessions. Default nowhere. */
  readonly spareKeys?: SpareKeys
  /** Bob alone: the last number of earlier sessions; Alice must give none up to it again. Default none. */
  readonly lastNumber?: bigint
  /** What both ends must mean besides the parameters, such as the names of link and sites. */
  readonly context?: Uint8Array
  /** Longest that a block may take once it has begun, in milliseconds. Default 60,000. */
  readonly blockTimeoutMs?: number
  /** Where public seeds and nonces come from. Default: the system's generator. */
  readonly random?: RandomFill
  /** Hears of each stage of a block as it ends, and how long it took at this end, in milliseconds. */
  readonly onStage?: (stage: Stage, ms: number) => void
}

/** A block that is over, with or without key. The taker owns and wipes the secrets. */
export interface SessionBlock {
  readonly report: BlockReport
  readonly secrets: readonly LinkBlock[]
}

/**
 * One end of a BB84 link's post-processing over a classical channel that need not be trusted: sifting, estimation, error
 * correction, verification and privacy amplification, block by block, each authenticated and each on record.
 *
 * A block that is given up (too many errors, no key left) is an outcome. Anything that does not fit the talk — a changed,
 * lost, repeated or late message — is an error: the block's key is gone at this end, and so is the session; the other end
 * fails at its next message or deadline. At most the very last message can be lost in such a way that Alice has a block
 * and Bob has not; never do they have different ones.
 */
export class Bb84Session {
  readonly #options: Bb84SessionOptions
  readonly #parameters: AgreedParameters
  readonly #conversation: Conversation
  readonly #cutter: BlockCutter
  readonly #hash = new MultiplyShift()
  readonly #random: RandomFill
  readonly #nextNumber: () => bigint
  #wegmanCarter: WegmanCarter | undefined
  /** Records that came before the other end was as far. */
  #heldRecords: PulseRecords | undefined
  #lastNumber = -1n
  /** What Bob told of numbers that are spent: of no effect before a tag has proved it. */
  #peerFloor = 0n
  #busy = false
  #over = false

  private constructor(channel: MessageChannel, options: Bb84SessionOptions) {
    const { role, authenticator } = options
    this.#options = options
    this.#parameters = agreeParameters(options.parameters)
    this.#conversation = new Conversation(channel, { authenticator, role })
    this.#cutter = new BlockCutter(this.#parameters.blockSizeBytes)
    this.#random = options.random ?? systemRandom
    let number = 0n
    this.#nextNumber = options.nextNumber ?? (() => number++)
    if (authenticator instanceof WegmanCarter) this.#wegmanCarter = authenticator
  }

  /**
   * Greets the other end over `channel`, which stays the caller's to close, and checks that both mean the same link.
   * @throws {UnauthorizedError} it is not the one that the authenticator knows
   * @throws {ProtocolError} it speaks another version or has other parameters
   */
  static async open(channel: MessageChannel, options: Bb84SessionOptions & AbortOptions): Promise<Bb84Session> {
    const session = new Bb84Session(channel, options)
    try {
      await session.#greet({ signal: withDeadline(options.signal, options.blockTimeoutMs ?? 60_000) })
    } catch (reason) {
      session.close()
      throw reason
    }
    return session
  }

  /** Key of authentication as it stands; zeros while another authenticator proves the first block. */
  get account(): AuthenticationAccount {
    return this.#wegmanCarter?.account ?? { spentBits: 0, addedBits: 0, remainingTags: 0 }
  }

  /** Bytes over the classical channel so far. */
  get traffic(): Readonly<{ sentBytes: number; receivedBytes: number }> {
    return this.#conversation.traffic
  }

  /**
   * Distils the next block; both ends call it, one block at a time. The ends wait for each other and for the photons as
   * long as it takes. Any error ends the session.
   * @throws {UnauthorizedError} something on the classical channel was not said by the other end
   * @throws {ProtocolError} the other end does not keep to the protocol
   * @throws {PoolExhaustedError} the authentication key is used up
   * @throws {ClosedError} the channel or the session is closed
   */
  async nextBlock({ signal }: AbortOptions = {}): Promise<SessionBlock> {
    if (this.#over || this.#busy) throw new ClosedError('The session is over, or busy with a block')
    this.#busy = true
    try {
      await this.#begin(signal ? { signal } : {})
      const context = this.#context({ signal: withDeadline(signal, this.#options.blockTimeoutMs ?? 60_000) })
      const before = this.account.spentBits
      const sentBefore = this.traffic.sentBytes + this.traffic.receivedBytes
      const outcome = await (this.#options.role === 'alice' ? aliceBlock(context) : bobBlock(context))
      return this.#finish(outcome, {
        stageMs: context.clock.ms,
        authenticationSpentBits: this.account.spentBits - before,
        saidBytes: this.traffic.sentBytes + this.traffic.receivedBytes - sentBefore,
      })
    } catch (reason) {
      this.close()
      throw reason
    } finally {
      this.#busy = false
    }
  }

  /** Wipes what the session holds. The channel, the devices and what was taken stay as they are. */
  close(): void {
    this.#over = true
    this.#cutter.wipe()
    this.#heldRecords?.states.fill(0)
    this.#wegmanCarter?.wipe()
  }

  /** Both ends and the photons are there. */
  async #begin(options: AbortOptions): Promise<void> {
    if (this.#options.role === 'bob') return this.#awaitStart(options)
    const { body } = await this.#conversation.receive([MESSAGE.ready], options)
    this.#peerFloor = new ByteReader(body).u64()
    this.#heldRecords = await this.#nextRecords(options)
  }

  /** Says that Bob is ready until Alice starts: if somebody took the first word away, the next one brings it to light. */
  async #awaitStart(options: AbortOptions): Promise<void> {
    for (let waitMs: number = READY_AGAIN_MS[0]; ; waitMs = Math.min(2 * waitMs, READY_AGAIN_MS[1])) {
      const floor = new ByteWriter().u64(this.#options.floor?.() ?? 0n).bytes()
      await this.#conversation.send(MESSAGE.ready, [floor], options)
      const signal = withDeadline(options.signal, waitMs)
      try {
        await this.#conversation.receive([MESSAGE.start], { signal })
        return
      } catch (reason) {
        if (reason !== signal.reason || options.signal?.aborted) throw reason
      }
    }
  }

  async #greet(options: AbortOptions): Promise<void> {
    const nonce = new Uint8Array(NONCE_BYTES)
    this.#random(nonce)
    const digest = parametersDigest(this.#parameters, this.#options.context)
    const hello = Buffer.concat([Buffer.of(VERSION), digest, nonce])
    await this.#conversation.send(MESSAGE.hello, [hello], options)
    const { body } = await this.#conversation.receive([MESSAGE.hello], options)
    const fixed = hello.byteLength - NONCE_BYTES
    if (body.byteLength !== hello.byteLength || !body.subarray(0, fixed).equals(hello.subarray(0, fixed))) {
      throw new ProtocolError('The other end of the link has another version or other parameters')
    }
    const both = this.#options.role === 'alice' ? [hello, body] : [body, hello]
    this.#conversation.bind(createHash('sha256').update(Buffer.concat(both)).digest())
    // A greeting could be one of an earlier session, said again; this proves that the other end has heard our nonce.
    await this.#conversation.send(MESSAGE.greeted, [], options)
    await this.#conversation.receive([MESSAGE.greeted], options)
  }

  #context(options: AbortOptions): EndContext {
    return {
      conversation: this.#conversation,
      parameters: this.#parameters,
      random: this.#random,
      clock: new StageClock(this.#options.onStage),
      cutter: this.#cutter,
      hash: this.#hash,
      options,
      nextRecords: () => this.#nextRecords(options),
      holdRecords: records => {
        this.#heldRecords = records
      },
      reservedBits: () => 8 * this.#wantedBytes(TAGS_PER_BLOCK),
      takeNumbers: count => this.#takeNumbers(count),
      sparesWithin: outputBytes => this.#sparesWithin(outputBytes),
    }
  }

  #nextRecords(options: AbortOptions): Promise<PulseRecords> {
    const held = this.#heldRecords
    this.#heldRecords = undefined
    if (held !== undefined) return Promise.resolve(held)
    return abortable(this.#options.records.next(options), options)
  }

  /** Key that authentication wants after `more` further tags a direction. */
  #wantedBytes(more: number): number {
    const tags = this.#parameters.reserveTags
    return this.#wegmanCarter?.shortfallBytes(tags + more) ?? 2 * TAG_BYTES * (tags + 1)
  }

  /** At most half of what authentication leaves goes to later sessions. */
  #sparesWithin(outputBytes: number): number {
    const room = Math.floor((outputBytes - this.#wantedBytes(TAGS_PER_BLOCK)) / 2 / SPARE_KEY_BYTES)
    return Math.max(Math.min(this.#options.spareKeys?.wanted ?? 0, room, MOST_SPARES_PER_BLOCK), 0)
  }

  #takeNumbers(count: number): bigint {
    this.#options.onPeerFloor?.(this.#peerFloor)
    let first = this.#nextNumber()
    for (let last = first, taken = 1; taken < count; taken++) {
      const number = this.#nextNumber()
      // Where the counter jumps, the numbers before the jump stay unused: those of a block follow one another.
      if (number !== last + 1n) [first, taken] = [number, 0]
      last = number
    }
    return first
  }

  #finish(outcome: Outcome, cost: BlockCost): SessionBlock {
    if (outcome.outcome === 'aborted') return { report: abortedReport(outcome, cost), secrets: [] }
    const { key, firstNumber, spares } = outcome
    try {
      this.#checkNumber(firstNumber)
      const fedBytes = this.#feedAuthentication(key)
      const authenticationBytes = fedBytes + this.#putSpares(key.subarray(fedBytes), outcome)
      const secrets = this.#cut(key.subarray(authenticationBytes), firstNumber + BigInt(spares))
      const report = keyReport(outcome, {
        ...cost,
        authenticationBits: 8 * authenticationBytes,
        deliveredBits: secrets.length * 8 * this.#parameters.blockSizeBytes,
        secrecy: this.#parameters.secrecy,
        tags: TAGS_PER_BLOCK,
      })
      return { report, secrets }
    } finally {
      key.fill(0)
    }
  }

  /** Puts the first bytes of a key into the authentication key, up to its reserve, and says how many. */
  #feedAuthentication(key: Uint8Array): number {
    const bytes = this.#wantedBytes(0)
    if (bytes === 0) return 0
    const secret = SecretKey.copyOf(key.subarray(0, bytes))
    if (this.#wegmanCarter === undefined) {
      const role = this.#options.role === 'alice' ? 'initiator' : 'responder'
      this.#wegmanCarter = new WegmanCarter(secret, { role })
      this.#conversation.useAuthenticator(this.#wegmanCarter)
    } else {
      this.#wegmanCarter.replenish(secret)
    }
    return bytes
  }

  /** Puts keys for later sessions aside, and says how many bytes they took. */
  #putSpares(key: Uint8Array, { firstNumber, spares }: { firstNumber: bigint; spares: number }): number {
    if (spares * SPARE_KEY_BYTES > key.byteLength) {
      throw new ProtocolError(`A block of ${key.byteLength} bytes has no ${spares} keys for later sessions`)
    }
    for (let i = 0; i < spares; i++) {
      const secret = SecretKey.copyOf(key.subarray(i * SPARE_KEY_BYTES, (i + 1) * SPARE_KEY_BYTES))
      if (this.#options.spareKeys === undefined) secret.wipe()
      else this.#options.spareKeys.add(firstNumber + BigInt(i), secret)
    }
    if (spares > 0) this.#lastNumber = firstNumber + BigInt(spares - 1)
    return spares * SPARE_KEY_BYTES
  }

  #cut(key: Uint8Array, firstNumber: bigint): LinkBlock[] {
    const secrets = this.#cutter.cut(key, firstNumber)
    this.#lastNumber = secrets.at(-1)?.number ?? this.#lastNumber
    return secrets
  }

  #checkNumber(first: bigint): void {
    const floor = this.#options.role === 'bob' ? (this.#options.lastNumber ?? -1n) : -1n
    if (first > this.#lastNumber && first > floor) return
    throw new ProtocolError('The other end gave out a number for a second time')
  }
}

import { timingSafeEqual } from 'node:crypto'
import { InvalidArgumentError, ProtocolError, QkdError } from '../../errors.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { type CallDeadline, startDeadline } from '../../util/call-deadline.ts'
import { type AgreementMessage, decodeMessage, encodeMessage } from './message.ts'
import type { AgreedKey, AgreementFault, AgreementOutcome, AgreementRefusal } from './outcome.ts'

/** How long a refusal may wait for room in the channel, in milliseconds; it is a courtesy, no part of the outcome. */
const TELL_TIMEOUT_MS = 1_000
/** Messages of earlier agreements that are passed over: more than a channel can hold from one that ended in good faith. */
const MAX_LEFT_OVER = 32
/** Codes with which a KMS denies a key for good. */
const DENIED: ReadonlySet<string> = new Set([
  'ERR_QKD_INVALID_ARGUMENT',
  'ERR_QKD_UNAUTHORIZED',
  'ERR_QKD_KEY_NOT_FOUND',
  'ERR_QKD_POLICY_DENIED',
])

type MessageType = AgreementMessage['type']
type Received<T extends MessageType> = Extract<AgreementMessage, { type: T }> & { readonly bytes: Uint8Array }
type Failure = { outcome: 'refused'; code: AgreementRefusal } | { outcome: 'mismatch'; fault: AgreementFault }

/** Ends an agreement from within; `converse` turns it into the outcome. */
class AgreementEnd extends Error {
  readonly failure: Failure | { outcome: 'peer-closed' }

  constructor(failure: AgreementEnd['failure']) {
    super(failure.outcome)
    this.failure = failure
  }
}

/** What ends an agreement in which something does not fit. */
export function mismatch(fault: AgreementFault): Error {
  return new AgreementEnd({ outcome: 'mismatch', fault })
}

/** Channels with an agreement under way: a second one would take the first one's messages. */
const inUse = new WeakSet<MessageChannel>()

/** Options of `converse`. */
export interface ConversationOptions {
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/**
 * Runs one agreement over `channel` and says how it ended. Whatever goes wrong at this end, the other is told.
 * @throws whatever this end's KMS or the caller's signal is the cause of
 */
export async function converse(
  channel: MessageChannel,
  options: ConversationOptions,
  run: (conversation: Conversation) => Promise<AgreedKey>,
): Promise<AgreementOutcome> {
  options.signal?.throwIfAborted()
  using conversation = new Conversation(channel, options)
  try {
    return { outcome: 'agreed', key: await run(conversation) }
  } catch (error) {
    const { burnedKeyId, waitingFor } = conversation
    if (error instanceof AgreementEnd) {
      if (error.failure.outcome === 'mismatch') conversation.refuse(error.failure.fault)
      return { ...error.failure, burnedKeyId }
    }
    if (options.signal?.aborted) {
      conversation.refuse('cancelled')
      throw options.signal.reason
    }
    if (conversation.signal.aborted) {
      conversation.refuse('timed-out')
      return { outcome: 'timed-out', waitingFor, burnedKeyId }
    }
    conversation.refuse(error instanceof QkdError && DENIED.has(error.code) ? 'kms-refused' : 'kms-failed')
    throw error
  }
}

/** One end's half of one agreement: its messages, its time, and what it has used up. */
export class Conversation implements Disposable {
  /** The key that was taken for this agreement, once it is known. */
  burnedKeyId: string | undefined
  /** Who is to blame if the time is over now. */
  waitingFor: 'peer' | 'kms' = 'peer'
  readonly #channel: MessageChannel
  readonly #callerSignal: AbortSignal | undefined
  #deadline: CallDeadline
  #agreementId: Uint8Array | undefined
  #leftOver = 0

  constructor(channel: MessageChannel, { timeoutMs, signal }: ConversationOptions) {
    if (inUse.has(channel)) throw new InvalidArgumentError('The channel has an agreement under way: one at a time')
    inUse.add(channel)
    this.#channel = channel
    this.#callerSignal = signal
    this.#deadline = startDeadline(signal, timeoutMs)
  }

  get signal(): AbortSignal {
    return this.#deadline.signal
  }

  /** From now on only messages of this agreement count, and it has this long. */
  begin(agreementId: Uint8Array, { timeoutMs }: { timeoutMs: number }): void {
    this.#agreementId = agreementId
    this.#deadline[Symbol.dispose]()
    this.#deadline = startDeadline(this.#callerSignal, timeoutMs)
  }

  /** Sends a message and gives its bytes. */
  async send(message: AgreementMessage): Promise<Uint8Array> {
    const bytes = encodeMessage(message)
    await this.#onChannel(this.#channel.send(bytes, { signal: this.signal }))
    return bytes
  }

  /** The next message, which must be of this type; those that belong to an earlier agreement are passed over. */
  async receive<T extends MessageType>(type: T): Promise<Received<T>> {
    for (;;) {
      const bytes = await this.#onChannel(this.#channel.receive({ signal: this.signal }))
      if (bytes === undefined) throw new AgreementEnd({ outcome: 'peer-closed' })
      const message = decode(bytes)
      if (this.#isLeftOver(message, type)) continue
      if (message.type === 'refusal') throw new AgreementEnd({ outcome: 'refused', code: message.code })
      if (message.type !== type) throw mismatch('wrong-message')
      return { ...(message as Extract<AgreementMessage, { type: T }>), bytes }
    }
  }

  /** Waits for the KMS. */
  async askKms<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.waitingFor = 'kms'
    const answer = await ask(this.signal)
    this.waitingFor = 'peer'
    return answer
  }

  /** Tells the other end that this one gives up, without waiting for it. */
  refuse(code: AgreementRefusal, agreementId: Uint8Array | undefined = this.#agreementId): void {
    if (agreementId === undefined) return
    const refusal = encodeMessage({ type: 'refusal', agreementId, code })
    this.#channel.send(refusal, { signal: AbortSignal.timeout(TELL_TIMEOUT_MS) }).catch(() => {})
  }

  [Symbol.dispose](): void {
    this.#deadline[Symbol.dispose]()
    inUse.delete(this.#channel)
  }

  #isLeftOver(message: AgreementMessage, wanted: MessageType): boolean {
    const ours = this.#agreementId === undefined ? message.type === wanted : this.#isOurs(message)
    if (ours) return false
    this.#leftOver += 1
    if (this.#leftOver > MAX_LEFT_OVER) throw mismatch('wrong-message')
    // Nothing is left over of an agreement that begins.
    if (message.type === 'offer') this.refuse('busy', message.agreementId)
    return true
  }

  #isOurs({ agreementId }: AgreementMessage): boolean {
    return this.#agreementId !== undefined && timingSafeEqual(agreementId, this.#agreementId)
  }

  async #onChannel<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise
    } catch (error) {
      if (error instanceof QkdError && error.code === 'ERR_QKD_CLOSED') {
        throw new AgreementEnd({ outcome: 'peer-closed' })
      }
      throw error
    }
  }
}

function decode(bytes: Uint8Array): AgreementMessage {
  try {
    return decodeMessage(bytes)
  } catch (error) {
    throw error instanceof ProtocolError ? mismatch('wrong-message') : error
  }
}

import { createQkdError, KmeUnreachableError, ProtocolError } from '../../errors.ts'
import type { Key } from '../../interface/kms.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { deferred } from '../../util/deferred.ts'
import { decodeAnswerFrame, type OwnerAnswer } from './answers.ts'
import { FULL_FRAME_BYTES, MAX_ENTRIES, MAX_OPEN_CALLS } from './frame.ts'
import { encodeRequest, encodeRequestFrame, type OwnerRequest } from './requests.ts'

/** What a call that went well brings: keys, a status, or the word that what was said is taken. */
export type OwnerResult = Extract<OwnerAnswer, { kind: 'keys' | 'status' | 'taken' }>

/** What a host may ask. */
export type Call = Exclude<OwnerRequest, { op: 'cancel' }>

interface PendingCall {
  readonly saeId: string
  /** What came so far of an answer in parts. */
  readonly keys: Key[]
  /** Undefined once nobody waits any more; the owner still owes an answer. */
  settle: { resolve(result: OwnerResult): void; reject(reason: unknown): void } | undefined
}

/** Keys of one answer; more would be none that was asked for. */
const MAX_KEYS = 4_096
const MAX_ID = 2 ** 32 - 1
/** Half of what the owner takes: an answer that came is over for it only when that was acknowledged. */
const MAX_PENDING = MAX_OPEN_CALLS / 2
const RETRY_AFTER_MS = 1_000

/** The calls of one process at the owner, as long as one connection holds. */
export class OwnerCalls {
  readonly #pending = new Map<number, PendingCall>()
  readonly #ring: () => void
  #entries: Buffer[] = []
  #lastId = 0
  #received = 0
  #acknowledged = 0

  /** `ring` is called when there is a frame to send. */
  constructor(ring: () => void) {
    this.#ring = ring
  }

  /** Calls that the owner has not answered. */
  get size(): number {
    return this.#pending.size
  }

  /**
   * Asks the owner. An abort ends the wait at once; keys that come later are wiped, and the owner hears that they were.
   * @throws {KmeUnreachableError} too many calls wait, or the connection was lost before the answer
   */
  async ask(call: Call, { signal }: Required<AbortOptions>): Promise<OwnerResult> {
    signal.throwIfAborted()
    if (this.#pending.size >= MAX_PENDING) throw unreachable(`${MAX_PENDING} calls wait for the owner`, { sent: false })
    const id = this.#nextId()
    const entry = encodeRequest(id, call)
    const { promise, resolve, reject } = deferred<OwnerResult>()
    const pending: PendingCall = { saeId: call.saeId, keys: [], settle: { resolve, reject } }
    this.#pending.set(id, pending)
    this.#post(entry)
    const onAbort = () => {
      pending.settle = undefined
      wipe(pending.keys)
      this.#post(encodeRequest(id, { op: 'cancel' }))
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** All that waits to be sent, and what was received; undefined where there is nothing new. */
  nextFrame(): Buffer | undefined {
    if (this.#entries.length === 0 && this.#acknowledged === this.#received) return undefined
    let [count, sizeBytes] = [0, 0]
    while (count < this.#entries.length && count < MAX_ENTRIES && sizeBytes < FULL_FRAME_BYTES) {
      sizeBytes += this.#entries[count]!.byteLength
      count += 1
    }
    const sent = this.#entries.slice(0, count)
    this.#entries = this.#entries.slice(count)
    this.#acknowledged = this.#received
    return encodeRequestFrame(this.#received, sent)
  }

  /** @throws {ProtocolError} the owner broke the rules; no key is left behind */
  take(frame: Uint8Array): void {
    const { sequence, answers } = decodeAnswerFrame(frame)
    try {
      if (sequence !== this.#received + 1) {
        throw new ProtocolError(`Frame ${sequence} comes after frame ${this.#received}`)
      }
      this.#received = sequence
      for (const [id, answer] of answers) this.#settle(id, answer)
    } catch (error) {
      for (const [, answer] of answers) if (answer.kind === 'keys') wipe(answer.keys)
      throw error
    }
    this.#ring()
  }

  /** The connection is lost: whether the owner took keys for these calls, nobody knows. */
  lose(reason: string): void {
    for (const { keys, settle } of this.#pending.values()) {
      wipe(keys)
      settle?.reject(unreachable(`The owner of the pools is lost: ${reason}`, { sent: true }))
    }
    this.#pending.clear()
    this.#entries = []
    this.#received = 0
    this.#acknowledged = 0
  }

  #settle(id: number, answer: OwnerAnswer): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) throw new ProtocolError(`An answer to call ${id}, which nobody made`)
    const { keys, settle } = pending
    if (answer.kind === 'keys') {
      if (settle === undefined) wipe(answer.keys)
      else keys.push(...answer.keys)
      if (keys.length > MAX_KEYS) throw new ProtocolError(`More than ${MAX_KEYS} keys for one call`)
      if (answer.more) return
    }
    this.#pending.delete(id)
    if (settle === undefined) return
    if (answer.kind === 'keys') settle.resolve({ ...answer, keys })
    else if (answer.kind === 'status' || answer.kind === 'taken') settle.resolve(answer)
    else if (answer.kind === 'cancelled')
      settle.reject(new ProtocolError('The owner called off what nobody asked it to'))
    else {
      const { code, message, details, retryAfterMs } = answer
      settle.reject(createQkdError(code, message, { details, ...(retryAfterMs !== undefined && { retryAfterMs }) }))
    }
  }

  #post(entry: Buffer): void {
    this.#entries.push(entry)
    this.#ring()
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % MAX_ID) + 1
    while (this.#pending.has(this.#lastId))
    return this.#lastId
  }
}

/** What a host hears while its site has no owner; HTTP 503, and to be tried again. */
export function unreachable(message: string, { sent }: { sent: boolean }): KmeUnreachableError {
  return new KmeUnreachableError(message, { details: [{ sent }], retryAfterMs: RETRY_AFTER_MS })
}

function wipe(keys: readonly Key[]): void {
  for (const { secret } of keys) secret.wipe()
}

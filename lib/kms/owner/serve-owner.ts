import { ClosedError, KmeResponseError, ProtocolError, QkdError, UnauthorizedError } from '../../errors.ts'
import type { Key, Kms, KmsDirectory, KmsStatus } from '../../interface/kms.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { cellsFor } from '../../key/cells.ts'
import { FrameLine } from '../../util/frame-line.ts'
import { untilEnded } from '../../util/until-ended.ts'
import { encodeAnswer, encodeAnswerFrame, type OwnerAnswer } from './answers.ts'
import { encodeHello, FULL_FRAME_BYTES, MAX_ENTRIES, MAX_OPEN_CALLS } from './frame.ts'
import { decodeRequestFrame, type OwnerRequest } from './requests.ts'

/** Keys that were taken out of a pool and did not come to a host: they are gone. */
export interface UndeliveredKeys {
  readonly saeId: string
  readonly peerSaeId: string
  readonly keys: number
  readonly cells: number
  readonly reason: string
}

/** Whom to serve, and until when. */
export interface ServeOwnerOptions extends AbortOptions {
  readonly siteId: string
  /** Who may ask in the name of this site's hosts: identities as the channel authenticates them. */
  readonly peerIds: readonly string[]
  /** Called for keys whose answer was not received. Default nobody hears of it. */
  readonly onUndelivered?: (keys: UndeliveredKeys) => void
}

/**
 * Serves the site's hosts through the process at the other end of `channel`, which has authenticated them. The channel is
 * closed when this ends: when either end has closed, or the signal aborts. The directory stays open.
 * @throws {UnauthorizedError} the peer is none of `peerIds`
 * @throws {ProtocolError} the peer broke the rules
 */
export async function serveOwner(
  directory: KmsDirectory,
  channel: MessageChannel,
  options: ServeOwnerOptions,
): Promise<void> {
  const { peerIds, signal } = options
  if (!peerIds.includes(channel.peerId)) {
    await channel.close()
    throw new UnauthorizedError(`"${channel.peerId}" may not ask for keys of site "${options.siteId}"`)
  }
  await untilEnded(new OwnerSession(directory, channel, options), { signal })
}

type Call = Exclude<OwnerRequest, { op: 'cancel' }>

/** A call from the moment it came to the one at which its answer was received. */
interface OpenCall {
  readonly call: Call
  readonly abort: AbortController
  /** Keys that were handed over, and the cells they took. */
  keys: number
  cells: number
}

/** An entry that waits to be sent; `last` where the call has no further one. */
interface Waiting {
  readonly id: number
  readonly entry: Uint8Array
  readonly last: boolean
}

/** One process's calls, each answered once. */
class OwnerSession {
  readonly #directory: KmsDirectory
  readonly #options: ServeOwnerOptions
  readonly #line: FrameLine
  readonly #open = new Map<number, OpenCall>()
  /** The calls that each frame ended and that was not acknowledged yet, by its number; ascending. */
  readonly #unreceived = new Map<number, readonly number[]>()
  #waiting: Waiting[] = []
  #hello: Buffer | undefined
  #sequence = 0
  #isOver = false
  readonly ended: Promise<unknown>

  constructor(directory: KmsDirectory, channel: MessageChannel, options: ServeOwnerOptions) {
    this.#directory = directory
    this.#options = options
    this.#hello = encodeHello(options.siteId)
    this.#line = new FrameLine({
      channel,
      onFrame: frame => this.#take(frame),
      nextFrame: () => this.#nextFrame(),
    })
    this.#line.ring()
    this.ended = this.#line.ended.finally(() => this.#forget())
  }

  end(reason?: unknown): void {
    this.#line.end(reason)
  }

  #take(frame: Uint8Array): void {
    const { received, requests } = decodeRequestFrame(frame)
    // A call that is given up in this frame was given up before its answer was acknowledged.
    for (const [id, request] of requests) if (request.op === 'cancel') this.#cancel(id)
    this.#acknowledge(received)
    for (const [id, request] of requests) {
      // In their order: a call that this frame both brings and gives up is open only now. To end one twice changes nothing.
      if (request.op === 'cancel') this.#cancel(id)
      else this.#begin(id, request)
    }
  }

  #begin(id: number, call: Call): void {
    if (this.#open.has(id)) throw new ProtocolError(`Call ${id} is not over yet`)
    if (this.#open.size >= MAX_OPEN_CALLS) throw new ProtocolError(`More than ${MAX_OPEN_CALLS} calls at a time`)
    const open: OpenCall = { call, abort: new AbortController(), keys: 0, cells: 0 }
    this.#open.set(id, open)
    // An answer that does not fit the wire ends this talk, not the owner.
    void this.#perform(id, open).catch(error => this.end(error))
  }

  #cancel(id: number): void {
    const open = this.#open.get(id)
    if (open === undefined) return
    open.abort.abort(new ClosedError('The caller has gone'))
    this.#burn(open, 'the caller has gone')
  }

  #acknowledge(received: number): void {
    if (received > this.#sequence) throw new ProtocolError(`Frame ${received} was not sent yet`)
    for (const [sequence, ids] of this.#unreceived) {
      if (sequence > received) break
      this.#unreceived.delete(sequence)
      for (const id of ids) this.#open.delete(id)
    }
  }

  async #perform(id: number, open: OpenCall): Promise<void> {
    const { signal } = open.abort
    try {
      const answer = await ask(this.#directory, open.call, signal)
      if (answer === undefined) this.#answer(id, { kind: 'taken' })
      else if (!Array.isArray(answer)) this.#answer(id, { kind: 'status', status: answer })
      else this.#handOver(id, open, answer)
    } catch (error) {
      this.#answer(id, signal.aborted && error === signal.reason ? { kind: 'cancelled' } : failureOf(error))
    }
  }

  /** Keys as entries that fit in frames; the keys themselves are wiped here, whatever comes of it. */
  #handOver(id: number, open: OpenCall, keys: readonly Key[]): void {
    open.keys = keys.length
    open.cells = keys.reduce((sum, { secret }) => sum + cellsFor(secret.sizeBytes), 0)
    try {
      if (this.#isOver || open.abort.signal.aborted) {
        this.#burn(open, 'the caller has gone')
        this.#answer(id, { kind: 'cancelled' })
        return
      }
      for (let from = 0; from < keys.length; ) {
        const part = [keys[from]!]
        let sizeBytes = part[0]!.secret.sizeBytes
        for (let next = keys[from + 1]; next !== undefined; next = keys[from + part.length]) {
          sizeBytes += next.secret.sizeBytes
          if (sizeBytes > FULL_FRAME_BYTES) break
          part.push(next)
        }
        from += part.length
        this.#answer(id, { kind: 'keys', keys: part, more: from < keys.length })
      }
    } finally {
      for (const { secret } of keys) secret.wipe()
    }
  }

  #answer(id: number, answer: OwnerAnswer): void {
    if (this.#isOver) return
    const last = answer.kind !== 'keys' || !answer.more
    this.#waiting.push({ id, entry: encodeAnswer(id, answer), last })
    this.#line.ring()
  }

  #nextFrame(): Buffer | undefined {
    const hello = this.#hello
    this.#hello = undefined
    if (hello !== undefined) return hello
    if (this.#waiting.length === 0) return undefined
    let [count, sizeBytes] = [0, 0]
    while (count < this.#waiting.length && count < MAX_ENTRIES && sizeBytes < FULL_FRAME_BYTES) {
      sizeBytes += this.#waiting[count]!.entry.byteLength
      count += 1
    }
    const sent = this.#waiting.slice(0, count)
    this.#waiting = count === this.#waiting.length ? [] : this.#waiting.slice(count)
    this.#sequence += 1
    this.#unreceived.set(
      this.#sequence,
      sent.flatMap(({ id, last }) => (last ? [id] : [])),
    )
    return encodeAnswerFrame(
      this.#sequence,
      sent.map(({ entry }) => entry),
    )
  }

  /** The process is gone: what it did not acknowledge is burned, what it waits for is called off. */
  #forget(): void {
    this.#isOver = true
    for (const { entry } of this.#waiting) entry.fill(0)
    this.#waiting = []
    for (const open of this.#open.values()) {
      this.#burn(open, 'the connection to the worker or replica was lost')
      open.abort.abort(new ClosedError('The caller has gone'))
    }
    this.#open.clear()
    this.#unreceived.clear()
  }

  #burn(open: OpenCall, reason: string): void {
    const { keys, cells, call } = open
    if (keys === 0) return
    open.keys = 0
    this.#options.onUndelivered?.({ saeId: call.saeId, peerSaeId: call.peerSaeId, keys, cells, reason })
  }
}

function ask(directory: KmsDirectory, call: Call, signal: AbortSignal): Promise<KmsStatus | Key[] | undefined> {
  const kms = directory.kmsFor(call.saeId)
  switch (call.op) {
    case 'getStatus':
      return kms.getStatus(call.peerSaeId, { ...call.options, signal })
    case 'getKey':
      return kms.getKey(call.peerSaeId, { ...call.options, signal })
    case 'getKeyWithIds':
      return kms.getKeyWithIds(call.peerSaeId, call.keyIds, { ...call.options, signal })
    case 'reportKeys':
      return reportKeys(kms, call, signal)
  }
}

async function reportKeys(
  kms: Kms,
  call: Extract<Call, { op: 'reportKeys' }>,
  signal: AbortSignal,
): Promise<undefined> {
  if (kms.reportKeys === undefined) throw new KmeResponseError('The KME takes no receipts')
  await kms.reportKeys(call.peerSaeId, call.receipts, { ...call.options, signal })
  return undefined
}

function failureOf(error: unknown): OwnerAnswer {
  const { code, message, details, retryAfterMs } =
    error instanceof QkdError ? error : new ProtocolError(`The owner failed: ${(error as Error).message}`)
  return { kind: 'failure', code, message, details, retryAfterMs }
}

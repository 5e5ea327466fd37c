import { ProtocolError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import { describeFaults } from '../util/json-schema.ts'
import { answerChecks, type QnlAnswers, type QnlCall } from './qnl-message.ts'

/** A call that consumes nothing, so that it can be sent again on the next connection. */
export type PlainCall = Exclude<QnlCall, { op: 'nextBlock' }>

interface OpenCall {
  readonly call: PlainCall
  resolve(value: unknown): void
  reject(reason: unknown): void
  sent: boolean
  /** Its caller has given up; the entry stays until the QNL has answered. */
  abandoned: boolean
}

/** The calls of a client that wait for an answer, but those for blocks. */
export class PlainCalls {
  readonly #open = new Map<number, OpenCall>()
  readonly #cancel: (id: number) => void

  /** `cancel` tells the QNL that nobody waits for the answer to a call that was sent. */
  constructor(cancel: (id: number) => void) {
    this.#cancel = cancel
  }

  /** Calls without an answer, those that nobody waits for included. */
  get size(): number {
    return this.#open.size
  }

  has(id: number): boolean {
    return this.#open.has(id)
  }

  /** The answer to a call that is still to be sent: after those that wait, or before them. */
  add<C extends PlainCall>(
    id: number,
    call: C,
    { signal, isFirst = false }: AbortOptions & { isFirst?: boolean },
  ): Promise<QnlAnswers[C['op']]> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const settled = () => signal?.removeEventListener('abort', onAbort)
      const open: OpenCall = {
        call,
        resolve(value) {
          settled()
          resolve(value as QnlAnswers[C['op']])
        },
        reject(reason) {
          settled()
          reject(reason)
        },
        sent: false,
        abandoned: false,
      }
      const onAbort = () => {
        open.reject(signal?.reason)
        open.abandoned = true
        if (open.sent) this.#cancel(id)
        else this.#open.delete(id)
      }
      const others = isFirst ? [...this.#open] : []
      if (isFirst) this.#open.clear()
      this.#open.set(id, open)
      for (const [otherId, other] of others) this.#open.set(otherId, other)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Calls `send` for those that were not sent, in order, for as long as it can. */
  sendAll(send: (id: number, call: PlainCall) => boolean): void {
    for (const [id, open] of this.#open) {
      if (!open.sent && !send(id, open.call)) return
      open.sent = true
    }
  }

  /** @throws {ProtocolError} the answer is not one to this call; its caller gets the same error */
  answer(id: number, value: unknown): void {
    const open = this.#open.get(id)
    this.#open.delete(id)
    if (open === undefined) throw new ProtocolError(`An answer to call ${id}, which was not made`)
    const check = answerChecks[open.call.op](value)
    if (check.ok) {
      open.resolve(check.value)
      return
    }
    const error = new ProtocolError(`The answer to ${open.call.op} is wrong: ${describeFaults(check.faults)}`)
    open.reject(error)
    throw error
  }

  /** The call failed, or was cancelled where there is no error. */
  fail(id: number, error: Error | undefined): void {
    if (error !== undefined) this.#open.get(id)?.reject(error)
    this.#open.delete(id)
  }

  /** The connection is lost: what still has a caller is to be sent again. */
  disconnect(): void {
    for (const [id, open] of [...this.#open]) {
      if (open.abandoned) this.#open.delete(id)
      else open.sent = false
    }
  }

  close(error: Error): void {
    for (const open of this.#open.values()) open.reject(error)
    this.#open.clear()
  }
}

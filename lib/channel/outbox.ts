import { ClosedError, InvalidArgumentError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import { MAX_MESSAGE_BYTES } from '../interface/message-channel.ts'
import { Slots } from '../util/slots.ts'

/** What an outbox writes to. */
export interface Outlet {
  /** Takes the bytes at once; the caller may change them afterwards. */
  write(message: Uint8Array): void
  hasRoom(): boolean
}

/** Sends one message after the other, in order of the calls, each when there is room. */
export class Outbox {
  readonly #outlet: Outlet
  readonly #turn = new Slots(1)
  #wake: () => void = () => {}
  #refusal: Error | undefined
  #failure: Error | undefined

  constructor(outlet: Outlet) {
    this.#outlet = outlet
  }

  /** An abort before the message is written takes it back; after that it only ends the wait. */
  async send(message: Uint8Array, { signal }: AbortOptions = {}): Promise<void> {
    if (message.byteLength === 0 || message.byteLength > MAX_MESSAGE_BYTES) {
      throw new InvalidArgumentError(`A message has 1 to ${MAX_MESSAGE_BYTES} bytes, not ${message.byteLength}`)
    }
    signal?.throwIfAborted()
    if (this.#refusal !== undefined) throw this.#refusal
    await this.#turn.acquire({ signal })
    try {
      await this.#room(signal)
      signal?.throwIfAborted()
      this.#outlet.write(message)
      await this.#room(signal)
    } finally {
      this.#turn.release()
    }
  }

  /** To be called when the outlet may have room again. */
  wake(): void {
    this.#wake()
  }

  /** Refuses further calls; resolves when those made before have ended. */
  async close({ signal }: AbortOptions = {}): Promise<void> {
    this.#refusal ??= new ClosedError('The channel is closed')
    await this.#turn.acquire({ signal })
    this.#turn.release()
  }

  /** Nothing can be sent any more: what waits is rejected. */
  fail(reason: Error): void {
    this.#refusal ??= reason
    this.#failure ??= reason
    this.#wake()
  }

  /** Ends when there is room or with an abort; only a failure rejects. */
  async #room(signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#outlet.hasRoom() || signal?.aborted) return
      await new Promise<void>(resolve => {
        const wake = () => {
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        this.#wake = wake
        signal?.addEventListener('abort', wake)
      })
    }
  }
}

import { ClosedError, ProtocolError } from '../../../errors.ts'
import type { AbortOptions, Unsubscribe } from '../../../interface/lifecycle.ts'
import type { MessageChannel } from '../../../interface/message-channel.ts'
import { AsyncQueue } from '../../../util/async-queue.ts'
import { Listeners } from '../../../util/listeners.ts'
import { MAX_RECORDS_BYTES, PHOTONS } from './photon-wire.ts'
import { decodeRecords, type PulseRecords, type RecordSource } from './records.ts'

/** One side's devices in another process, at the other end of a channel. One caller of `next` at a time. */
export class RemoteRecords implements RecordSource {
  readonly #channel: MessageChannel
  readonly #records = new AsyncQueue<PulseRecords>()
  readonly #listeners = new Listeners<string | undefined>()
  #dark: string | undefined
  #pieces: Uint8Array[] = []
  #piecesBytes = 0
  /** A request whose answer has not come: a caller that gave up leaves it to the next one. */
  #asked = false

  /** Reads from the channel until it ends; it stays the caller's to close. */
  constructor(channel: MessageChannel) {
    this.#channel = channel
    void this.#read().catch(reason => this.#end(reason))
  }

  async next(options: AbortOptions = {}): Promise<PulseRecords> {
    if (!this.#asked) {
      this.#asked = true
      await this.#channel.send(Buffer.of(PHOTONS.next), options)
    }
    const records = await this.#records.take(options)
    this.#asked = false
    return records!
  }

  onLight(listener: (dark: string | undefined) => void): Unsubscribe {
    if (this.#dark !== undefined) listener(this.#dark)
    return this.#listeners.add(listener)
  }

  async #read(): Promise<void> {
    for (;;) {
      const message = await this.#channel.receive()
      if (message === undefined) throw new ClosedError('The photon channel is closed')
      this.#take(message[0]!, message.subarray(1))
    }
  }

  #take(type: number, body: Uint8Array): void {
    if (type === PHOTONS.light) {
      const text = Buffer.from(body).toString('utf8').replace(/\p{C}/gu, '?').slice(0, 200)
      this.#dark = text === '' ? undefined : text
      this.#listeners.emit(this.#dark)
      return
    }
    if ((type !== PHOTONS.piece && type !== PHOTONS.last) || !this.#asked || this.#records.size > 0) {
      throw new ProtocolError(`The photon channel said something out of place (type ${type})`)
    }
    this.#pieces.push(body)
    this.#piecesBytes += body.byteLength
    if (this.#piecesBytes > MAX_RECORDS_BYTES) {
      throw new ProtocolError(`A block's records have more than ${MAX_RECORDS_BYTES} bytes`)
    }
    if (type === PHOTONS.last) this.#records.push(this.#decode())
  }

  #decode(): PulseRecords {
    const bytes = Buffer.concat(this.#pieces)
    this.#forgetPieces()
    try {
      return decodeRecords(bytes)
    } finally {
      bytes.fill(0)
    }
  }

  #end(reason: unknown): void {
    this.#forgetPieces()
    for (const { states } of this.#records.drain()) states.fill(0)
    this.#records.end(reason)
    this.#listeners.clear()
  }

  #forgetPieces(): void {
    for (const piece of this.#pieces.splice(0)) piece.fill(0)
    this.#piecesBytes = 0
  }
}

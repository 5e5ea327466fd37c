import type { MessageChannel } from '../../lib/interface/message-channel.ts'

/** A stretch of pad as a frame names it. */
export interface LoggedRange {
  readonly number: bigint
  readonly from: number
  readonly sizeBytes: number
}

/** A chunk as a frame's header has it. */
export interface LoggedChunk {
  readonly source: string
  readonly dest: string
  readonly transfer: bigint
  readonly share: number
  readonly chunk: number
  readonly attempt: number
  readonly path: readonly string[]
  /** Nothing is sent for it: the pad itself is set aside for the block. */
  readonly reserves: boolean
  readonly sizeBytes: number
}

/** A frame as it went from one node to the next. */
export interface LoggedFrame {
  readonly from: string
  readonly to: string
  readonly linkId: string
  readonly ranges: readonly LoggedRange[]
  readonly chunks: readonly LoggedChunk[]
  readonly bytes: Uint8Array
}

/** A whole block of a link that was announced as a key itself. */
export interface LoggedKey {
  readonly from: string
  readonly to: string
  readonly number: bigint
}

/** What a relay says of the ranges of its two links. */
export interface LoggedJoint {
  readonly from: string
  readonly to: string
  readonly source: string
  readonly dest: string
  readonly transfer: bigint
  readonly path: readonly string[]
  /** Place of the relay in the path. */
  readonly place: number
}

/** Numbers of the messages on the wire, written down here a second time: the log must not share the code it judges. */
const FRAME = 4
const OFFER = 5
const JOINT = 17
/** Flag of a chunk that reserves. */
const RESERVES = 2

class Cursor {
  readonly #view: DataView
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  number(sizeBytes: 1 | 2 | 4): number {
    const at = this.#at
    this.#at += sizeBytes
    if (sizeBytes === 1) return this.#view.getUint8(at)
    return sizeBytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at)
  }

  long(): bigint {
    this.#at += 8
    return this.#view.getBigUint64(this.#at - 8)
  }

  text(): string {
    const length = this.number(2)
    this.#at += length
    return new TextDecoder().decode(this.#bytes.subarray(this.#at - length, this.#at))
  }

  texts(): string[] {
    return Array.from({ length: this.number(2) }, () => this.text())
  }
}

/** The message as a frame, if it is one. */
export function readFrame(bytes: Uint8Array, from: string, to: string): LoggedFrame | undefined {
  const cursor = new Cursor(bytes)
  if (cursor.number(1) !== FRAME) return undefined
  const linkId = cursor.text()
  cursor.long()
  const ranges = Array.from({ length: cursor.number(1) }, () => ({
    number: cursor.long(),
    from: cursor.number(2),
    sizeBytes: cursor.number(2),
  }))
  const chunks = Array.from({ length: cursor.number(2) }, () => {
    const [source, dest] = [cursor.text(), cursor.text()]
    const transfer = cursor.long()
    const [share, chunk, attempt] = [cursor.number(1), cursor.number(2), cursor.number(2)]
    const path = cursor.texts()
    cursor.number(1)
    cursor.number(2)
    const reserves = (cursor.number(1) & RESERVES) !== 0
    return { source, dest, transfer, share, chunk, attempt, path, reserves, sizeBytes: cursor.number(4) }
  })
  return { from, to, linkId, ranges, chunks, bytes: Uint8Array.from(bytes) }
}

/** The message as a relay's announcement, if it is one. */
export function readJoint(bytes: Uint8Array, from: string, to: string): LoggedJoint | undefined {
  const cursor = new Cursor(bytes)
  if (cursor.number(1) !== JOINT) return undefined
  const [source, dest, transfer, path] = [cursor.text(), cursor.text(), cursor.long(), cursor.texts()]
  return { from, to, source, dest, transfer, path, place: cursor.number(1) }
}

/** The block that the message announces as a key, if it does. */
export function readDirectKey(bytes: Uint8Array, from: string, to: string): LoggedKey | undefined {
  const cursor = new Cursor(bytes)
  if (cursor.number(1) !== OFFER) return undefined
  cursor.long()
  cursor.number(1)
  cursor.number(4)
  cursor.number(4)
  const number = cursor.long()
  return number === 0n ? undefined : { from, to, number }
}

/** A channel that shows each message before it is sent. */
export function watchedChannel(channel: MessageChannel, onSend: (message: Uint8Array) => void): MessageChannel {
  return {
    peerId: channel.peerId,
    send: async (message, options) => {
      onSend(message)
      await channel.send(message, options)
    },
    receive: options => channel.receive(options),
    close: options => channel.close(options),
    [Symbol.asyncDispose]: () => channel.close(),
  }
}

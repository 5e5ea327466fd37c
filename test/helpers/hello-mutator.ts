import type { SeededRandom } from '../../lib/qll/bb84/random.ts'

const RANDOM_BYTES = 32
const HEADER_BYTES = 4
const PRE_SHARED_KEY = 41
/** Values at which readers of lengths go wrong. */
const EDGES = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff]
/** Numbers of extensions that the parser looks into, and some that it passes over. */
const EXTENSIONS = [0, 10, 13, 16, 21, 43, 45, 51, PRE_SHARED_KEY, 0xfafa, 0xffff]

/** A ClientHello in parts: what is put together again has lengths that fit. */
interface HelloParts {
  readonly sessionId: Buffer
  readonly suites: Buffer
  readonly compression: Buffer
  readonly extensions: readonly (readonly [type: number, body: Buffer])[]
}

/** Makes ClientHello messages that are nearly right out of some that are, the same for the same `random`. */
export class HelloMutator {
  readonly #seeds: readonly Buffer[]
  readonly #parts: readonly HelloParts[]
  readonly #random: SeededRandom

  /** @param seeds ClientHello messages, header included */
  constructor(seeds: readonly Buffer[], random: SeededRandom) {
    this.#seeds = seeds
    this.#parts = seeds.map(takeApart)
    this.#random = random
  }

  /** The next message. */
  next(): Buffer {
    const at = this.#random.below(this.#seeds.length)
    const way = this.#random.below(10)
    if (way < 3) return this.#damage(this.#seeds[at]!)
    const parts = way < 8 ? this.#change(this.#parts[at]!) : this.#splice(this.#parts[at]!)
    const whole = putTogether(parts)
    return way === 7 ? this.#damage(whole) : whole
  }

  /** Bytes changed, put in, taken out or cut off, whatever the lengths say; the header mostly fits again. */
  #damage(message: Buffer): Buffer {
    let bytes: Buffer = Buffer.from(message)
    for (let n = this.#random.below(4); n >= 0; n -= 1) bytes = this.#damageOnce(bytes)
    if (bytes.byteLength > HEADER_BYTES && this.#random.below(4) > 0) {
      bytes.writeUIntBE(bytes.byteLength - HEADER_BYTES, 1, 3)
    }
    return bytes
  }

  #damageOnce(bytes: Buffer): Buffer {
    if (bytes.byteLength === 0) return this.#noise(8)
    const at = this.#random.below(bytes.byteLength)
    const end = Math.min(bytes.byteLength, at + 1 + this.#random.below(16))
    switch (this.#random.below(7)) {
      case 0:
        bytes[at]! ^= 1 << this.#random.below(8)
        return bytes
      case 1:
        bytes[at] = EDGES[this.#random.below(EDGES.length)]!
        return bytes
      case 2:
        bytes[at] = this.#random.below(256)
        return bytes
      case 3:
        return Buffer.concat([bytes.subarray(0, at), this.#noise(16), bytes.subarray(at)])
      case 4:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
      case 5:
        return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)])
      default:
        return Buffer.from(bytes.subarray(0, at))
    }
  }

  /** One part changed, and all lengths around it put right. */
  #change(parts: HelloParts): HelloParts {
    switch (this.#random.below(8)) {
      case 0:
        return { ...parts, sessionId: this.#damageOnce(Buffer.from(parts.sessionId)).subarray(0, 255) }
      case 1:
        return { ...parts, suites: this.#damageOnce(Buffer.from(parts.suites)) }
      case 2:
        return { ...parts, compression: this.#damageOnce(Buffer.from(parts.compression)).subarray(0, 255) }
      default:
        return { ...parts, extensions: this.#changeExtensions(parts.extensions) }
    }
  }

  #changeExtensions(extensions: HelloParts['extensions']): HelloParts['extensions'] {
    if (extensions.length === 0) return [[EXTENSIONS[this.#random.below(EXTENSIONS.length)]!, this.#noise(40)]]
    const changed = [...extensions]
    // Mostly the last one, which is where the key is named.
    const at = this.#random.below(2) === 0 ? changed.length - 1 : this.#random.below(changed.length)
    const [type, body] = changed[at]!
    switch (this.#random.below(7)) {
      case 0:
        changed.splice(at, 1)
        break
      case 1:
        changed.splice(this.#random.below(changed.length), 0, changed[at]!)
        break
      case 2:
        changed[at] = [EXTENSIONS[this.#random.below(EXTENSIONS.length)]!, body]
        break
      case 3:
        changed.push(changed.splice(at, 1)[0]!)
        break
      case 4:
        changed[at] = [type, this.#offer()]
        break
      default:
        changed[at] = [type, this.#damageOnce(Buffer.from(body)).subarray(0, 0x7fff)]
    }
    return changed
  }

  /** Extensions of one hello with the rest of another. */
  #splice(parts: HelloParts): HelloParts {
    const other = this.#parts[this.#random.below(this.#parts.length)]!
    const cut = this.#random.below(parts.extensions.length + 1)
    return { ...parts, extensions: [...parts.extensions.slice(0, cut), ...other.extensions.slice(cut)] }
  }

  /** A list of keys, with as many binders or nearly so. */
  #offer(): Buffer {
    const identities = this.#random.below(18)
    const binders = this.#random.below(5) > 0 ? identities : this.#random.below(18)
    const sizeBytes = this.#random.below(8) > 0 ? 32 : this.#random.below(64)
    return Buffer.concat([
      vector(
        2,
        ...Array.from({ length: identities }, () => Buffer.concat([vector(2, this.#noise(20)), Buffer.alloc(4)])),
      ),
      vector(2, ...Array.from({ length: binders }, () => vector(1, Buffer.alloc(sizeBytes)))),
    ])
  }

  /** Up to `most` bytes. */
  #noise(most: number): Buffer {
    return Buffer.from(Array.from({ length: this.#random.below(most + 1) }, () => this.#random.below(256)))
  }
}

/** Whether a message has the header of a ClientHello, and after it fixed fields that fit up to the extensions. */
export function reachesExtensions(message: Buffer): boolean {
  if (message.byteLength < HEADER_BYTES + 2 + RANDOM_BYTES || message[0] !== 1) return false
  if (message.readUIntBE(1, 3) !== message.byteLength - HEADER_BYTES) return false
  let at = HEADER_BYTES + 2 + RANDOM_BYTES
  for (const [lengthBytes, min, max] of [
    [1, 0, 32],
    [2, 2, 0xffff],
    [1, 1, 255],
    [2, 0, 0xffff],
  ] as const) {
    // A hello may end before the extensions.
    if (at === message.byteLength && min === 0 && lengthBytes === 2) return true
    if (at + lengthBytes > message.byteLength) return false
    const sizeBytes = message.readUIntBE(at, lengthBytes)
    if (sizeBytes < min || sizeBytes > max || (min === 2 && sizeBytes % 2 !== 0)) return false
    at += lengthBytes + sizeBytes
  }
  return at === message.byteLength
}

function takeApart(message: Buffer): HelloParts {
  let at = HEADER_BYTES + 2 + RANDOM_BYTES
  const next = (lengthBytes: 1 | 2) => {
    const from = at + lengthBytes
    at = from + message.readUIntBE(at, lengthBytes)
    return message.subarray(from, at)
  }
  const [sessionId, suites, compression, block] = [next(1), next(2), next(1), next(2)]
  const extensions: [number, Buffer][] = []
  for (let from = 0; from < block.byteLength; ) {
    const body = block.subarray(from + 4, from + 4 + block.readUInt16BE(from + 2))
    extensions.push([block.readUInt16BE(from), body])
    from += 4 + body.byteLength
  }
  return { sessionId, suites, compression, extensions }
}

function putTogether({ sessionId, suites, compression, extensions }: HelloParts): Buffer {
  const body = Buffer.concat([
    Buffer.of(3, 3),
    Buffer.alloc(RANDOM_BYTES, 7),
    vector(1, sessionId),
    vector(2, suites),
    vector(1, compression),
    vector(
      2,
      ...extensions.map(([type, bytes]) => Buffer.concat([Buffer.of(type >> 8, type & 0xff), vector(2, bytes)])),
    ),
  ])
  const header = Buffer.of(1, 0, 0, 0)
  header.writeUIntBE(body.byteLength, 1, 3)
  return Buffer.concat([header, body])
}

/** Bytes behind their length. */
function vector(lengthBytes: 1 | 2, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntBE(body.byteLength & (lengthBytes === 1 ? 0xff : 0xffff), 0, lengthBytes)
  return Buffer.concat([length, body])
}

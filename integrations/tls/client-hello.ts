import { HandshakeRefusal } from './refusal.ts'

/** More identities than any client of ours, or any ticket cache, offers. */
const MAX_IDENTITIES = 16
const SUPPORTED_GROUPS = 10
const PRE_SHARED_KEY = 41
const SUPPORTED_VERSIONS = 43
const PSK_KEY_EXCHANGE_MODES = 45

/** The pre_shared_key extension (RFC 8446, section 4.2.11). */
export interface OfferedPsks {
  readonly identities: readonly Buffer[]
  /** One for each identity, in the same order. */
  readonly binders: readonly Buffer[]
  /** The message up to the binders: what they are computed over. */
  readonly truncatedHello: Buffer
}

/** What the gate has to know of a ClientHello. */
export interface ClientHello {
  readonly cipherSuites: readonly number[]
  /** Empty for a client that knows TLS 1.2 at most. */
  readonly supportedVersions: readonly number[]
  readonly pskModes: readonly number[]
  /** Empty for a client that names none. */
  readonly groups: readonly number[]
  readonly psk: OfferedPsks | undefined
}

/** Reads the fields of one message, or of a part of it; a read past the end refuses the hello. */
class Fields {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number

  constructor(bytes: Buffer, { from, to }: { from: number; to: number } = { from: 0, to: bytes.byteLength }) {
    this.#bytes = bytes
    this.#at = from
    this.#end = to
  }

  /** Where the next field begins, counted from the begin of the message. */
  get at(): number {
    return this.#at
  }

  get done(): boolean {
    return this.#at === this.#end
  }

  skip(sizeBytes: number): void {
    if (sizeBytes > this.#end - this.#at) throw malformed('it is cut short')
    this.#at += sizeBytes
  }

  number(sizeBytes: 1 | 2 | 3): number {
    const from = this.#at
    this.skip(sizeBytes)
    let value = 0
    for (let at = from; at < this.#at; at += 1) value = value * 256 + this.#bytes[at]!
    return value
  }

  /** The bytes of a vector behind its length, which stands in one or two bytes: a view. */
  vector(lengthBytes: 1 | 2, bounds: { min: number; max?: number }): Buffer {
    const sizeBytes = this.#skipVector(lengthBytes, bounds)
    return this.#bytes.subarray(this.#at - sizeBytes, this.#at)
  }

  /** The fields within such a vector. */
  within(lengthBytes: 1 | 2, bounds: { min: number; max?: number }): Fields {
    const sizeBytes = this.#skipVector(lengthBytes, bounds)
    return new Fields(this.#bytes, { from: this.#at - sizeBytes, to: this.#at })
  }

  #skipVector(lengthBytes: 1 | 2, { min, max = 0xffff }: { min: number; max?: number }): number {
    const sizeBytes = this.number(lengthBytes)
    if (sizeBytes < min || sizeBytes > max) throw malformed(`a vector has ${sizeBytes} bytes`)
    this.skip(sizeBytes)
    return sizeBytes
  }

  /** All that is left, as numbers of that size. */
  numbers(itemBytes: 1 | 2): number[] {
    if ((this.#end - this.#at) % itemBytes !== 0) throw malformed('a list has half an entry')
    const numbers: number[] = []
    while (!this.done) numbers.push(this.number(itemBytes))
    return numbers
  }
}

/**
 * Parses a ClientHello message, header included (RFC 8446, section 4.1.2). Strict: every length must fit, nothing may be
 * left over, no extension may come twice. Gives views into `message`.
 * @throws {HandshakeRefusal} it is not well-formed
 */
export function parseClientHello(message: Buffer): ClientHello {
  const fields = new Fields(message)
  const [type, sizeBytes] = [fields.number(1), fields.number(3)]
  if (type !== 1 || sizeBytes !== message.byteLength - 4) throw malformed('its header does not fit')
  fields.skip(2) // legacy_version says nothing: supported_versions does
  fields.skip(32) // random
  fields.within(1, { min: 0, max: 32 }) // legacy_session_id
  const cipherSuites = fields.within(2, { min: 2 }).numbers(2)
  fields.within(1, { min: 1 }) // legacy_compression_methods
  const hello = { cipherSuites, supportedVersions: [] as number[], pskModes: [] as number[], groups: [] as number[] }
  if (fields.done) return { ...hello, psk: undefined }

  const extensions = fields.within(2, { min: 0 })
  if (!fields.done) throw malformed('bytes follow its extensions')
  const seen = new Set<number>()
  let psk: OfferedPsks | undefined
  while (!extensions.done) {
    if (psk !== undefined) throw malformed('pre_shared_key is not its last extension')
    const extension = extensions.number(2)
    if (seen.has(extension)) throw malformed(`extension ${extension} comes twice`)
    seen.add(extension)
    const body = extensions.within(2, { min: 0 })
    if (extension === SUPPORTED_VERSIONS) hello.supportedVersions = whole(body, 1, 2).numbers(2)
    else if (extension === PSK_KEY_EXCHANGE_MODES) hello.pskModes = whole(body, 1, 1).numbers(1)
    else if (extension === SUPPORTED_GROUPS) hello.groups = whole(body, 2, 2).numbers(2)
    else if (extension === PRE_SHARED_KEY) psk = parseOfferedPsks(message, body)
  }
  return { ...hello, psk }
}

function parseOfferedPsks(message: Buffer, fields: Fields): OfferedPsks {
  const entries = fields.within(2, { min: 7 })
  const truncatedHello = message.subarray(0, fields.at)
  const binderEntries = fields.within(2, { min: 33 })
  if (!fields.done) throw malformed('bytes follow its binders')
  const identities: Buffer[] = []
  const binders: Buffer[] = []
  while (!entries.done) {
    identities.push(entries.vector(2, { min: 1 }))
    entries.skip(4) // obfuscated_ticket_age: of no meaning for an external key
    if (identities.length > MAX_IDENTITIES) throw malformed(`it has more than ${MAX_IDENTITIES} identities`)
  }
  while (!binderEntries.done) binders.push(binderEntries.vector(1, { min: 32, max: 255 }))
  if (identities.length !== binders.length) throw malformed('identities and binders differ in number')
  return { identities, binders, truncatedHello }
}

/** The fields of the one vector that fills `body`. */
function whole(body: Fields, lengthBytes: 1 | 2, min: number): Fields {
  const fields = body.within(lengthBytes, { min })
  if (!body.done) throw malformed('bytes follow a list')
  return fields
}

function malformed(what: string): HandshakeRefusal {
  return new HandshakeRefusal('malformed', `The ClientHello is not well-formed: ${what}`)
}

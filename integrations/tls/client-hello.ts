import { HandshakeRefusal } from './refusal.ts'

/** More identities than any client of ours, or any ticket cache, offers. */
const MAX_IDENTITIES = 16
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
  readonly psk: OfferedPsks | undefined
}

/** Reads the fields of one message or one vector; a read past its end refuses the hello. */
class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get at(): number {
    return this.#at
  }

  get done(): boolean {
    return this.#at === this.#bytes.byteLength
  }

  raw(sizeBytes: number): Buffer {
    const end = this.#at + sizeBytes
    if (end > this.#bytes.byteLength) throw malformed('it is cut short')
    const view = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return view
  }

  number(sizeBytes: 1 | 2 | 3): number {
    return this.raw(sizeBytes).readUIntBE(0, sizeBytes)
  }

  /** A vector behind its length, which stands in one or two bytes. */
  vector(lengthBytes: 1 | 2, { min, max = 0xffff }: { min: number; max?: number }): Buffer {
    const sizeBytes = this.number(lengthBytes)
    if (sizeBytes < min || sizeBytes > max) throw malformed(`a vector has ${sizeBytes} bytes`)
    return this.raw(sizeBytes)
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
  fields.number(2) // legacy_version says nothing: supported_versions does
  fields.raw(32) // random
  fields.vector(1, { min: 0, max: 32 }) // legacy_session_id
  const cipherSuites = numbers(fields.vector(2, { min: 2 }), 2)
  fields.vector(1, { min: 1 }) // legacy_compression_methods
  const hello = { cipherSuites, supportedVersions: [] as number[], pskModes: [] as number[] }
  if (fields.done) return { ...hello, psk: undefined }

  const block = fields.vector(2, { min: 0 })
  if (!fields.done) throw malformed('bytes follow its extensions')
  const blockStart = message.byteLength - block.byteLength
  const extensions = new Fields(block)
  const seen = new Set<number>()
  let psk: OfferedPsks | undefined
  while (!extensions.done) {
    if (psk !== undefined) throw malformed('pre_shared_key is not its last extension')
    const extension = extensions.number(2)
    if (seen.has(extension)) throw malformed(`extension ${extension} comes twice`)
    seen.add(extension)
    const body = extensions.vector(2, { min: 0 })
    if (extension === SUPPORTED_VERSIONS) hello.supportedVersions = numbers(whole(body, 1, 2), 2)
    else if (extension === PSK_KEY_EXCHANGE_MODES) hello.pskModes = numbers(whole(body, 1, 1), 1)
    else if (extension === PRE_SHARED_KEY) {
      psk = parseOfferedPsks(message, body, blockStart + extensions.at - body.byteLength)
    }
  }
  return { ...hello, psk }
}

function parseOfferedPsks(message: Buffer, body: Buffer, bodyStart: number): OfferedPsks {
  const fields = new Fields(body)
  const entries = new Fields(fields.vector(2, { min: 7 }))
  const truncatedHello = message.subarray(0, bodyStart + fields.at)
  const binderEntries = new Fields(fields.vector(2, { min: 33 }))
  if (!fields.done) throw malformed('bytes follow its binders')
  const identities: Buffer[] = []
  const binders: Buffer[] = []
  while (!entries.done) {
    identities.push(entries.vector(2, { min: 1 }))
    entries.raw(4) // obfuscated_ticket_age: of no meaning for an external key
    if (identities.length > MAX_IDENTITIES) throw malformed(`it has more than ${MAX_IDENTITIES} identities`)
  }
  while (!binderEntries.done) binders.push(binderEntries.vector(1, { min: 32, max: 255 }))
  if (identities.length !== binders.length) throw malformed('identities and binders differ in number')
  return { identities, binders, truncatedHello }
}

/** The one vector that fills `body`. */
function whole(body: Buffer, lengthBytes: 1 | 2, min: number): Buffer {
  const fields = new Fields(body)
  const vector = fields.vector(lengthBytes, { min })
  if (!fields.done) throw malformed('bytes follow a list')
  return vector
}

function numbers(list: Buffer, itemBytes: 1 | 2): number[] {
  if (list.byteLength % itemBytes !== 0) throw malformed('a list has half an entry')
  return Array.from({ length: list.byteLength / itemBytes }, (_, i) => list.readUIntBE(i * itemBytes, itemBytes))
}

function malformed(what: string): HandshakeRefusal {
  return new HandshakeRefusal('malformed', `The ClientHello is not well-formed: ${what}`)
}

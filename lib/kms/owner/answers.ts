import { isQkdErrorCode, ProtocolError, type QkdErrorCode } from '../../errors.ts'
import type { Key, KmsStatus } from '../../interface/kms.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { type ByteReader, ByteWriter } from '../../util/bytes.ts'
import { compileSchema, describeFaults, type JsonSchema } from '../../util/json-schema.ts'
import { FRAME, openFrame, readCount, readJson, writeLong } from './frame.ts'
import { levelByte, readLevel, readTrustClass, trustClassByte } from './labels.ts'

/** What became of one call. */
export type OwnerAnswer =
  /** `more`: further keys of the same call come in a later entry. */
  | { readonly kind: 'keys'; readonly keys: readonly Key[]; readonly more: boolean }
  | { readonly kind: 'status'; readonly status: KmsStatus }
  | {
      readonly kind: 'failure'
      readonly code: QkdErrorCode
      readonly message: string
      readonly details: Record<string, unknown>[]
      readonly retryAfterMs: number | undefined
    }
  /** The call ended as it was asked to, and nothing was handed over. */
  | { readonly kind: 'cancelled' }
  /** What was said is taken, durably. */
  | { readonly kind: 'taken' }

/** What one frame brings to the caller. */
export interface AnswerFrame {
  /** Counts the frames of one connection from 1 on. */
  readonly sequence: number
  readonly answers: readonly (readonly [id: number, answer: OwnerAnswer])[]
}

const KINDS = ['keys', 'status', 'failure', 'cancelled', 'taken'] as const

/** As much as 32 bits hold: 49 days. */
const MAX_RETRY_AFTER_MS = 2 ** 32 - 1

const text: JsonSchema = { type: 'string' }
const count: JsonSchema = { type: 'integer', minimum: 0 }
const statusFields = {
  sourceKmeId: text,
  targetKmeId: text,
  masterSaeId: text,
  slaveSaeId: text,
  keySizeBits: count,
  storedKeyCount: count,
  maxKeyCount: count,
  maxKeyPerRequest: count,
  maxKeySizeBits: count,
  minKeySizeBits: count,
  maxSaeIdCount: count,
}
const checkStatus = compileSchema<KmsStatus>({
  type: 'object',
  properties: {
    ...statusFields,
    outlook: {
      type: 'object',
      properties: {
        trend: { enum: ['steady', 'changing'] },
        degraded: { type: 'boolean' },
        exhaustionMs: { type: 'number' },
        lostCells: { type: 'number' },
      },
      required: ['trend', 'degraded'],
      additionalProperties: false,
    },
  },
  required: Object.keys(statusFields),
  additionalProperties: false,
})
const checkDetails = compileSchema<Record<string, unknown>[]>({ type: 'array', items: { type: 'object' } })

/** One answer as an entry of a frame. It may hold key bytes: whoever packs it wipes it; the keys stay as they were. */
export function encodeAnswer(id: number, answer: OwnerAnswer): Buffer {
  const writer = new ByteWriter().u32(id).u8(KINDS.indexOf(answer.kind))
  if (answer.kind === 'keys') {
    writer.u8(answer.more ? 1 : 0).u16(answer.keys.length)
    for (const key of answer.keys) writeKey(writer, key)
  } else if (answer.kind === 'status') writeLong(writer, JSON.stringify(answer.status))
  else if (answer.kind === 'failure') {
    const { code, message, details, retryAfterMs } = answer
    // A rate limit can be months away.
    writer.field(code).u32(Math.min(Math.ceil(retryAfterMs ?? 0), MAX_RETRY_AFTER_MS))
    writeLong(writer, message)
    writeLong(writer, details.length === 0 ? '' : JSON.stringify(details))
  }
  return writer.bytes()
}

/** Entries as one frame in a buffer of its own, to be wiped once it is sent. The entries are wiped here. */
export function encodeAnswerFrame(sequence: number, entries: readonly Uint8Array[]): Buffer {
  const head = new ByteWriter().u8(FRAME.answers).u32(sequence).u16(entries.length).bytes()
  const frame = Buffer.allocUnsafeSlow(entries.reduce((sum, entry) => sum + entry.byteLength, head.byteLength))
  frame.set(head)
  let at = head.byteLength
  for (const entry of entries) {
    frame.set(entry, at)
    entry.fill(0)
    at += entry.byteLength
  }
  return frame
}

/**
 * Key bytes are copied: the caller wipes `bytes`.
 * @throws {ProtocolError} not a frame of answers; no key is left behind
 */
export function decodeAnswerFrame(bytes: Uint8Array): AnswerFrame {
  const reader = openFrame(bytes, FRAME.answers)
  const answers: [number, OwnerAnswer][] = []
  const taken: Key[] = []
  try {
    const sequence = reader.u32()
    for (let left = readCount(reader); left > 0; left -= 1) answers.push([reader.u32(), readAnswer(reader, taken)])
    reader.end()
    return { sequence, answers }
  } catch (error) {
    for (const { secret } of taken) secret.wipe()
    throw error
  }
}

function writeKey(writer: ByteWriter, { keyId, secret, level, trustClass }: Key): void {
  writer.field(keyId).u8(levelByte(level)).u8(trustClassByte(trustClass)).u32(secret.sizeBytes)
  secret.expose('owner-channel', bytes => writer.raw(bytes))
}

function readAnswer(reader: ByteReader, taken: Key[]): OwnerAnswer {
  const code = reader.u8()
  const kind = KINDS[code]
  switch (kind) {
    case 'keys': {
      const more = reader.u8() === 1
      const keys = Array.from({ length: reader.u16() }, () => {
        const key = readKey(reader)
        taken.push(key)
        return key
      })
      return { kind, more, keys }
    }
    case 'status': {
      const checked = checkStatus(readJson(reader))
      if (checked.ok) return { kind, status: checked.value }
      throw new ProtocolError(`A status is wrong: ${describeFaults(checked.faults)}`)
    }
    case 'failure': {
      const [code, retryAfterMs] = [reader.text(), reader.u32()]
      const message = reader.raw(reader.u32()).toString('utf8')
      const checked = checkDetails(readJson(reader) ?? [])
      if (!checked.ok || !isQkdErrorCode(code)) throw new ProtocolError('A failure has no code or wrong details')
      return {
        kind,
        code,
        message,
        details: checked.value,
        retryAfterMs: retryAfterMs === 0 ? undefined : retryAfterMs,
      }
    }
    case 'cancelled':
    case 'taken':
      return { kind }
    default:
      throw new ProtocolError(`No answer has number ${code}`)
  }
}

function readKey(reader: ByteReader): Key {
  const keyId = reader.text()
  const [level, trustClass] = [readLevel(reader), readTrustClass(reader)]
  const bytes = reader.raw(reader.u32())
  if (bytes.byteLength === 0) throw new ProtocolError('A key is empty')
  const secret = SecretKey.copyOf(bytes)
  return { keyId, secret, sizeBits: secret.sizeBits, level, trustClass }
}

import { InvalidArgumentError, ProtocolError } from '../../errors.ts'
import type {
  GetKeyOptions,
  GetKeyWithIdsOptions,
  KeyReceipt,
  KmsCallOptions,
  SecurityLevel,
} from '../../interface/kms.ts'
import { MAX_MESSAGE_BYTES } from '../../interface/message-channel.ts'
import { type ByteReader, ByteWriter } from '../../util/bytes.ts'
import { compileSchema, describeFaults, type JsonSchema } from '../../util/json-schema.ts'
import { FRAME, FULL_FRAME_BYTES, openFrame, readCount, readJson, writeLong } from './frame.ts'
import { levelByte, readLevel } from './labels.ts'

/** A call of one host, or the end of one. */
export type OwnerRequest =
  | { readonly op: 'getStatus'; readonly saeId: string; readonly peerSaeId: string; readonly options: KmsCallOptions }
  | { readonly op: 'getKey'; readonly saeId: string; readonly peerSaeId: string; readonly options: GetKeyOptions }
  | {
      readonly op: 'getKeyWithIds'
      readonly saeId: string
      readonly peerSaeId: string
      readonly keyIds: readonly string[]
      readonly options: GetKeyWithIdsOptions
    }
  | {
      readonly op: 'reportKeys'
      readonly saeId: string
      readonly peerSaeId: string
      readonly receipts: readonly KeyReceipt[]
      readonly options: KmsCallOptions
    }
  /** The caller has no more use for the answer, whether it is on its way or not. */
  | { readonly op: 'cancel' }

/** What one frame brings to the owner. */
export interface RequestFrame {
  /** The last frame of answers that was received, 0 for none. */
  readonly received: number
  readonly requests: readonly (readonly [id: number, request: OwnerRequest])[]
}

const OPS = ['getStatus', 'getKey', 'getKeyWithIds', 'cancel', 'reportKeys'] as const

/** No key_ID is longer than 36 characters: a longer one is not found either way, and need not travel whole. */
const MAX_KEY_ID_CHARS = 64

/** Options that few requests have, in JSON. */
type Extras = Pick<GetKeyOptions, 'additionalSlaveSaeIds' | 'integration' | 'extensionMandatory' | 'extensionOptional'>

const texts: JsonSchema = { type: 'array', items: { type: 'string' }, maxItems: 1_024 }
const entries: JsonSchema = { type: 'array', items: { type: 'object' }, maxItems: 1_024 }
const checkExtras = compileSchema<Extras>({
  type: 'object',
  properties: {
    additionalSlaveSaeIds: texts,
    integration: { type: 'string' },
    extensionMandatory: entries,
    extensionOptional: entries,
  },
  additionalProperties: false,
})

/** Their contents are checked where they are taken. */
const checkReceiptList = compileSchema<readonly KeyReceipt[]>({
  type: 'array',
  maxItems: 64,
  items: {
    type: 'object',
    properties: {
      keyId: { type: 'string' },
      state: { enum: ['in-use', 'retired'] },
      use: { type: 'string' },
      atMs: { type: 'number' },
    },
    required: ['keyId', 'state', 'use'],
    additionalProperties: false,
  },
})

/** One request as an entry of a frame. @throws {InvalidArgumentError} it is larger than a frame may be */
export function encodeRequest(id: number, request: OwnerRequest): Buffer {
  const writer = new ByteWriter().u32(id).u8(OPS.indexOf(request.op))
  if (request.op !== 'cancel') {
    const { saeId, peerSaeId, options } = request
    writer
      .field(saeId)
      .field(peerSaeId)
      .u32(options.timeoutMs ?? 0)
    if (request.op === 'getKey') writeGetKey(writer, request.options)
    if (request.op === 'reportKeys') writeLong(writer, JSON.stringify(request.receipts.map(receiptOf)))
    if (request.op === 'getKeyWithIds') {
      writer.u8(levelByte(request.options.minLevel)).u16(request.keyIds.length)
      for (const keyId of request.keyIds) writer.field(keyId.slice(0, MAX_KEY_ID_CHARS))
    }
  }
  const entry = writer.bytes()
  if (entry.byteLength > MAX_MESSAGE_BYTES - FULL_FRAME_BYTES) {
    throw new InvalidArgumentError(`The request is larger than ${MAX_MESSAGE_BYTES - FULL_FRAME_BYTES} bytes`)
  }
  return entry
}

/** Entries as one frame. An empty list only says what was received. */
export function encodeRequestFrame(received: number, entries: readonly Uint8Array[]): Buffer {
  const writer = new ByteWriter().u8(FRAME.requests).u32(received)
  if (entries.length === 0) return writer.bytes()
  writer.u16(entries.length)
  for (const entry of entries) writer.raw(entry)
  return writer.bytes()
}

/** @throws {ProtocolError} not a frame of requests */
export function decodeRequestFrame(bytes: Uint8Array): RequestFrame {
  const reader = openFrame(bytes, FRAME.requests)
  const received = reader.u32()
  if (reader.remaining === 0) return { received, requests: [] }
  const requests = Array.from({ length: readCount(reader) }, () => [reader.u32(), readRequest(reader)] as const)
  reader.end()
  return { received, requests }
}

function writeGetKey(writer: ByteWriter, options: GetKeyOptions): void {
  const { number = 0, sizeBits = 0, level, minLevel } = options
  writer.u32(number).u32(sizeBits).u8(levelByte(level)).u8(levelByte(minLevel))
  const { additionalSlaveSaeIds, integration, extensionMandatory, extensionOptional } = options
  const hasExtras = additionalSlaveSaeIds ?? integration ?? extensionMandatory ?? extensionOptional
  writeLong(
    writer,
    hasExtras === undefined
      ? ''
      : JSON.stringify({ additionalSlaveSaeIds, integration, extensionMandatory, extensionOptional }),
  )
}

function readRequest(reader: ByteReader): OwnerRequest {
  const code = reader.u8()
  const op = OPS[code]
  if (op === undefined) throw new ProtocolError(`No request has number ${code}`)
  if (op === 'cancel') return { op }
  const [saeId, peerSaeId, timeoutMs] = [reader.text(), reader.text(), reader.u32()]
  const common = { saeId, peerSaeId, options: timeoutMs === 0 ? {} : { timeoutMs } }
  if (op === 'getStatus') return { op, ...common }
  if (op === 'getKey') return { op, ...common, options: { ...common.options, ...readGetKey(reader) } }
  if (op === 'reportKeys') return { op, ...common, receipts: readReceipts(reader) }
  const floor = levelOption('minLevel', readLevel(reader))
  const keyIds = Array.from({ length: reader.u16() }, () => reader.text())
  return { op, ...common, keyIds, options: { ...common.options, ...floor } }
}

/** What a host gave beside these stays behind. */
function receiptOf({ keyId, state, use, atMs }: KeyReceipt): KeyReceipt {
  return { keyId, state, use, ...(atMs !== undefined && { atMs }) }
}

function readReceipts(reader: ByteReader): readonly KeyReceipt[] {
  const checked = checkReceiptList(readJson(reader))
  if (checked.ok) return checked.value
  throw new ProtocolError(`The receipts of a request are wrong: ${describeFaults(checked.faults)}`)
}

function readGetKey(reader: ByteReader): GetKeyOptions {
  const [number, sizeBits] = [reader.u32(), reader.u32()]
  const options = {
    ...(number > 0 && { number }),
    ...(sizeBits > 0 && { sizeBits }),
    ...levelOption('level', readLevel(reader)),
    ...levelOption('minLevel', readLevel(reader)),
  }
  const extras = readJson(reader)
  if (extras === undefined) return options
  const checked = checkExtras(extras)
  if (!checked.ok) throw new ProtocolError(`The options of a request are wrong: ${describeFaults(checked.faults)}`)
  return { ...options, ...checked.value }
}

function levelOption<N extends 'level' | 'minLevel'>(name: N, level: SecurityLevel | undefined) {
  return (level === undefined ? {} : { [name]: level }) as { readonly [K in N]?: SecurityLevel }
}

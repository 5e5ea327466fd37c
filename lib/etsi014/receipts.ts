import { InvalidArgumentError } from '../errors.ts'
import type { KeyReceipt } from '../interface/kms.ts'
import { compileSchema, describeFaults } from '../util/json-schema.ts'

/**
 * Receipts, which ETSI GS QKD 014 does not have: `POST /qkdkit/v1/keys/{SAE_ID}/receipts`, beside the paths of the standard and
 * under the same authentication. The body is `{"receipts": [{"key_ID", "state": "in-use" | "retired", "use", "at"?}]}`, the answer
 * 204.
 */

const PATH = /^\/qkdkit\/v1\/keys\/([^/?]+)\/receipts$/

interface ReceiptsBody {
  readonly receipts: readonly {
    readonly key_ID: string
    readonly state: KeyReceipt['state']
    readonly use: string
    readonly at?: string
  }[]
}

const check = compileSchema<ReceiptsBody>({
  type: 'object',
  additionalProperties: false,
  required: ['receipts'],
  properties: {
    receipts: {
      type: 'array',
      minItems: 1,
      maxItems: 64,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['key_ID', 'state', 'use'],
        properties: {
          key_ID: { type: 'string', minLength: 1, maxLength: 64 },
          state: { enum: ['in-use', 'retired'] },
          use: { type: 'string', pattern: '^[a-z0-9-]{1,64}$' },
          at: { type: 'string', pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}Z$' },
        },
      },
    },
  },
})

/** The other SAE as the path of receipts has it, still percent-encoded; undefined for another path. */
export function receiptsSegment(target: string): string | undefined {
  return PATH.exec(target)?.[1]
}

/** The target for receipts on keys shared with an SAE. */
export function receiptsTarget(peerSaeId: string): string {
  return `/qkdkit/v1/keys/${encodeURIComponent(peerSaeId)}/receipts`
}

/** Receipts as they are sent. */
export function encodeReceipts(receipts: readonly KeyReceipt[]): Uint8Array {
  const body: ReceiptsBody = {
    receipts: receipts.map(({ keyId, state, use, atMs }) => ({
      key_ID: keyId,
      state,
      use,
      ...(atMs !== undefined && { at: new Date(atMs).toISOString() }),
    })),
  }
  return Buffer.from(JSON.stringify(body))
}

/** @throws {InvalidArgumentError} the body is none, and which field of it is wrong */
export function decodeReceipts(body: Uint8Array): KeyReceipt[] {
  const checked = check(parse(body))
  if (!checked.ok) throw new InvalidArgumentError(`The body holds no receipts: ${describeFaults(checked.faults)}`)
  return checked.value.receipts.map(({ key_ID: keyId, state, use, at }) => {
    const atMs = at === undefined ? undefined : Date.parse(at)
    if (Number.isNaN(atMs)) throw new InvalidArgumentError(`/receipts: "${at}" is no time`)
    return { keyId, state, use, ...(atMs !== undefined && { atMs }) }
  })
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    return undefined
  }
}

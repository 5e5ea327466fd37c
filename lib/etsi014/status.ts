import { KmeResponseError } from '../errors.ts'
import type { KmsStatus, PoolOutlook } from '../interface/kms.ts'
import { compileSchema, describeFaults } from '../util/json-schema.ts'
import type { KmeProfile } from './kme-profile.ts'
import { checkStatus, type EtsiStatus, STATUS_MEMBERS } from './models.ts'

/** Counters are 32-bit in strict clients. */
const MAX_COUNT = 2 ** 31 - 1

/**
 * With this preference (RFC 7240) a client asks for what a status may say beyond the standard. Strict clients want its eleven
 * members and no more, and servers pass over preferences that they don't know.
 */
export const EXTENDED_STATUS = 'qkd-status-extension'

/** The body of a Status (ETSI GS QKD 014 V1.1.1, clause 6.1); the outlook of the pool in its extension where that is asked. */
export function encodeStatus(status: KmsStatus, { isExtended = false } = {}): Uint8Array {
  const maxKeyCount = Math.min(status.maxKeyCount, MAX_COUNT)
  const model: EtsiStatus = {
    source_KME_ID: status.sourceKmeId,
    target_KME_ID: status.targetKmeId,
    master_SAE_ID: status.masterSaeId,
    slave_SAE_ID: status.slaveSaeId,
    key_size: status.keySizeBits,
    // Strict clients refuse a status that has more keys than it can have.
    stored_key_count: Math.min(status.storedKeyCount, maxKeyCount),
    max_key_count: maxKeyCount,
    max_key_per_request: status.maxKeyPerRequest,
    max_key_size: status.maxKeySizeBits,
    min_key_size: status.minKeySizeBits,
    max_SAE_ID_count: status.maxSaeIdCount,
    ...(isExtended && status.outlook && { status_extension: { qkd_pool: status.outlook } }),
  }
  return Buffer.from(JSON.stringify(model))
}

/**
 * The status that a parsed body stands for.
 * @throws {KmeResponseError} a member is missing or of another type
 */
export function decodeStatus(
  value: unknown,
  { anySpelling = false, statusSizeUnit = 'bits' }: Partial<Pick<KmeProfile, 'anySpelling' | 'statusSizeUnit'>> = {},
): KmsStatus {
  const checked = checkStatus(anySpelling ? inStandardSpelling(value) : value)
  if (!checked.ok) throw new KmeResponseError(`The KME's answer is not a status: ${describeFaults(checked.faults)}`)
  const model = checked.value
  const unitBits = statusSizeUnit === 'bytes' ? 8 : 1
  return {
    sourceKmeId: model.source_KME_ID,
    targetKmeId: model.target_KME_ID,
    masterSaeId: model.master_SAE_ID,
    slaveSaeId: model.slave_SAE_ID,
    keySizeBits: model.key_size * unitBits,
    storedKeyCount: model.stored_key_count,
    maxKeyCount: model.max_key_count,
    maxKeyPerRequest: model.max_key_per_request,
    maxKeySizeBits: model.max_key_size * unitBits,
    minKeySizeBits: model.min_key_size * unitBits,
    maxSaeIdCount: model.max_SAE_ID_count,
    ...outlookOf(model.status_extension),
  }
}

/** What this toolkit's own KMEs add to a status. */
const checkExtension = compileSchema<{ qkd_pool: PoolOutlook }>({
  type: 'object',
  required: ['qkd_pool'],
  properties: {
    qkd_pool: {
      type: 'object',
      required: ['trend', 'degraded'],
      properties: {
        trend: { enum: ['steady', 'changing'] },
        degraded: { type: 'boolean' },
        exhaustionMs: { type: 'number', minimum: 0 },
        lostCells: { type: 'integer', minimum: 0 },
      },
    },
  },
})

/** The outlook of an extension, or nothing: an extension of another make is none of ours to judge. */
function outlookOf(extension: unknown): { outlook?: PoolOutlook } {
  const checked = checkExtension(extension)
  if (!checked.ok) return {}
  const { trend, degraded, exhaustionMs, lostCells } = checked.value.qkd_pool
  const known = { ...(exhaustionMs !== undefined && { exhaustionMs }), ...(lostCells !== undefined && { lostCells }) }
  return { outlook: { trend, degraded, ...known } }
}

/** What some KMEs say for the SAEs of a status, in lower case. */
const OLDER_NAMES: Readonly<Record<string, string>> = {
  master_SAE_ID: 'master_kme_id',
  slave_SAE_ID: 'slave_kme_id',
}

/** Members under their right names, IDs as text: there are KMEs that write all in lower case, or an ID as a number. */
function inStandardSpelling(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const given = new Map(Object.entries(value).map(([name, member]) => [name.toLowerCase(), member]))
  const named = STATUS_MEMBERS.map(name => {
    const member = given.get(name.toLowerCase()) ?? given.get(OLDER_NAMES[name] ?? '')
    return [name, name.endsWith('_ID') && typeof member === 'number' ? String(member) : member]
  })
  return Object.fromEntries(named.filter(([, member]) => member !== undefined))
}

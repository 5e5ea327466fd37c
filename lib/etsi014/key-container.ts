import { KmeResponseError } from '../errors.ts'
import type { Key, SecurityLevel, TrustClass } from '../interface/kms.ts'
import type { SecretKey } from '../key/secret-key.ts'
import { describeFaults } from '../util/json-schema.ts'
import { isSecurityLevel, isTrustClass } from '../util/kms-arguments.ts'
import { base64Length, encodeBase64 } from './base64.ts'
import { cutKeys } from './key-scanner.ts'
import type { KmeProfile } from './kme-profile.ts'
import { checkKeyContainer, type EtsiKeyContainer } from './models.ts'

/*
 * The key container (ETSI GS QKD 014 V1.1.1, clause 6.3) between bytes and keys. Key bytes go from buffer to buffer: neither
 * they nor their base64 are ever a JavaScript string, which could not be wiped.
 */

/** The body of a key container. It holds key bytes: the caller wipes it; the keys themselves are left as they were. */
export function encodeKeyContainer(keys: readonly Key[], { keyExtensions = true } = {}): Buffer {
  const heads = keys.map(({ keyId }, n) => `${n === 0 ? '{"keys":[' : ','}{"key_ID":${JSON.stringify(keyId)},"key":"`)
  const tails = keys.map(({ level, trustClass }, n) => {
    const tail = keyExtensions ? tailOf(level, trustClass) : '"}'
    return n === keys.length - 1 ? `${tail}]}` : tail
  })
  let sizeBytes = 0
  keys.forEach(({ secret }, n) => {
    sizeBytes += Buffer.byteLength(heads[n]!) + base64Length(secret.sizeBytes) + Buffer.byteLength(tails[n]!)
  })
  const body = Buffer.allocUnsafeSlow(sizeBytes)
  let at = 0
  keys.forEach(({ secret }, n) => {
    at += body.write(heads[n]!, at)
    at = secret.expose('etsi014-body', bytes => encodeBase64(bytes, body, at))
    at += body.write(tails[n]!, at)
  })
  return body
}

const tails = new Map<string, string>()

/** What follows the key of one entry: the same text for each level and trust class. */
function tailOf(level: SecurityLevel | undefined, trustClass: TrustClass | undefined): string {
  const id = `${level} ${trustClass}`
  const known = tails.get(id)
  if (known !== undefined) return known
  const extension = JSON.stringify({ qkd_level: level, qkd_trust_class: trustClass })
  const tail = extension === '{}' ? '"}' : `","key_extension":${extension}}`
  tails.set(id, tail)
  return tail
}

/**
 * The keys of a key container, in the order in which they stand there. The body is wiped, whatever comes of it.
 * @throws {KmeResponseError} this is no key container, or a key is not padded base64
 */
export function decodeKeyContainer(
  body: Uint8Array,
  {
    keysMayBeObject = false,
    keyEncoding = 'base64',
  }: Partial<Pick<KmeProfile, 'keysMayBeObject' | 'keyEncoding'>> = {},
): Key[] {
  const secrets = cutKeys(body, { twice: keyEncoding === 'base64-twice' })
  const taken: Key[] = []
  try {
    for (const entry of parseContainer(body, keysMayBeObject).keys) taken.push(takeKey(entry, secrets))
    return taken
  } catch (error) {
    for (const { secret } of taken) secret.wipe()
    throw error
  } finally {
    body.fill(0)
    for (const secret of secrets) secret?.wipe()
  }
}

/** Builds the key of an entry and takes its bytes out of `secrets`. */
function takeKey(entry: EtsiKeyContainer['keys'][number], secrets: (SecretKey | undefined)[]): Key {
  const place = /^\d+ *$/.test(entry.key) ? Number(entry.key) : -1
  const secret = secrets[place]
  if (secret === undefined) throw new KmeResponseError(`The KME's key ${entry.key_ID} is not base64 (RFC 4648, padded)`)
  secrets[place] = undefined
  const { qkd_level: level, qkd_trust_class: trustClass } = entry.key_extension ?? {}
  return {
    keyId: entry.key_ID,
    secret,
    sizeBits: secret.sizeBits,
    level: isSecurityLevel(level) ? level : undefined,
    trustClass: isTrustClass(trustClass) ? trustClass : undefined,
  }
}

function parseContainer(body: Uint8Array, keysMayBeObject: boolean): EtsiKeyContainer {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    // The parser's own message quotes the text, and the text of a broken answer may still hold a key.
    throw new KmeResponseError("The KME's answer is not JSON")
  }
  if (keysMayBeObject) value = withKeysInList(value)
  const checked = checkKeyContainer(value)
  if (checked.ok) return checked.value
  throw new KmeResponseError(`The KME's answer is not a key container: ${describeFaults(checked.faults)}`)
}

/** Some KMEs give a single key without the list around it. */
function withKeysInList(value: unknown): unknown {
  const keys = (value as { keys?: unknown } | null)?.keys
  return typeof keys === 'object' && keys !== null && !Array.isArray(keys)
    ? { ...(value as object), keys: [keys] }
    : value
}

import { InvalidArgumentError } from '../errors.ts'
import { base64Length, encodeBase64 } from '../etsi014/base64.ts'
import { cutKeys } from '../etsi014/key-scanner.ts'
import type { AbroadHandover } from '../interface/abroad.ts'
import type { SecretKey } from '../key/secret-key.ts'
import { describeFaults } from '../util/json-schema.ts'
import { checkExtKeys, type ExtKeys } from './models.ts'

/*
 * Keys between bytes and the body that hands them over, from buffer to buffer: neither they nor their base64 are ever a
 * JavaScript string, which could not be wiped.
 */

/** Each key in the list of keys of the one object. */
const VALUE_DEPTH = 3

/** The body of a handover. It holds key bytes: the caller wipes it; the keys themselves are left as they were. */
export function encodeExtKeys(
  { initiatorSaeId, targetSaeIds, keys }: AbroadHandover,
  { ackUrl }: { ackUrl: string | undefined },
): Buffer {
  const rest = { initiator_sae_id: initiatorSaeId, target_sae_ids: targetSaeIds, ack_callback_url: ackUrl }
  const heads = keys.map(({ keyId }, n) => `${n === 0 ? '{"keys":[' : ','}{"key_id":${JSON.stringify(keyId)},"value":"`)
  const tail = `"}],${JSON.stringify(rest).slice(1)}`
  const tails = keys.map((_, n) => (n === keys.length - 1 ? tail : '"}'))
  let sizeBytes = 0
  keys.forEach(({ secret }, n) => {
    sizeBytes += Buffer.byteLength(heads[n]!) + base64Length(secret.sizeBytes) + Buffer.byteLength(tails[n]!)
  })
  const body = Buffer.allocUnsafeSlow(sizeBytes)
  let at = 0
  keys.forEach(({ secret }, n) => {
    at += body.write(heads[n]!, at)
    at = secret.expose('etsi020-body', bytes => encodeBase64(bytes, body, at))
    at += body.write(tails[n]!, at)
  })
  return body
}

/** A handover as it came, with its keys, which the caller owns. */
export interface ReceivedKeys {
  readonly model: ExtKeys
  readonly keys: readonly { readonly keyId: string; readonly secret: SecretKey }[]
}

/**
 * Reads the body of a handover, and wipes it.
 * @throws {InvalidArgumentError} it is none, or a value is not base64
 */
export function decodeExtKeys(body: Uint8Array): ReceivedKeys {
  const secrets = cutKeys(body, { name: 'value', depth: VALUE_DEPTH })
  try {
    const checked = checkExtKeys(parse(body))
    if (!checked.ok) throw new InvalidArgumentError(`The body is not right: ${describeFaults(checked.faults)}`)
    const model = checked.value
    const places = model.keys.map(({ value }) => (/^\d+ *$/.test(value) ? Number(value) : -1))
    const taken = places.map(place => secrets[place])
    if (taken.includes(undefined) || new Set(places).size < places.length) {
      throw new InvalidArgumentError('The body is not right: a value is not base64 (RFC 4648, padded)')
    }
    const keys = model.keys.map(({ key_id: keyId }, n) => ({ keyId, secret: taken[n]! }))
    for (const place of places) secrets[place] = undefined
    return { model, keys }
  } finally {
    body.fill(0)
    for (const secret of secrets) secret?.wipe()
  }
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    // The parser's own message quotes the text, and the text of a broken body may still hold a key.
    throw new InvalidArgumentError('The body is not JSON in UTF-8')
  }
}

import type { HeldKey, KeyRing } from './key-ring.ts'
import type { ZooBehaviour, ZooReply, ZooRequest } from './zoo-kme.ts'

/** What a request for fresh keys asks, wherever it says so. */
export interface Asked {
  readonly number: number
  readonly sizeBits: number
}

/** Status of ETSI GS QKD 014 V1.1.1, table 9. */
export const statusBody = (masterSaeId: string, slaveSaeId: string) => ({
  source_KME_ID: 'zoo-a',
  target_KME_ID: 'zoo-b',
  master_SAE_ID: masterSaeId,
  slave_SAE_ID: slaveSaeId,
  key_size: 256,
  stored_key_count: 1_000,
  max_key_count: 1_000,
  max_key_per_request: 128,
  max_key_size: 1_024,
  min_key_size: 64,
  max_SAE_ID_count: 0,
})

/** `number` and `size` out of body or query. */
export function askedOf({ method, query, body }: ZooRequest): Asked {
  const members = (body ?? {}) as { number?: number; size?: number }
  const [number, size] = method === 'GET' ? [query.get('number'), query.get('size')] : [members.number, members.size]
  return { number: Number(number ?? 1), sizeBits: Number(size ?? 256) }
}

/** The key_IDs out of body or query. */
export function keyIdsOf({ method, query, body }: ZooRequest): string[] {
  if (method === 'GET') return query.getAll('key_ID')
  const { key_IDs: entries = [] } = (body ?? {}) as { key_IDs?: { key_ID: string }[] }
  return entries.map(({ key_ID: keyId }) => keyId)
}

/** An entry of a key container, table 11. */
export const entryOf = ({ keyId, bytes }: HeldKey) => ({ key_ID: keyId, key: bytes.toString('base64') })

/** Draws keys for the caller and the SAE in the path. */
export function draw(request: ZooRequest, keys: KeyRing, asked: Asked = askedOf(request)): HeldKey[] {
  const pair = { masterSaeId: request.caller, slaveSaeId: request.saeId }
  return Array.from({ length: asked.number }, () => keys.issue(pair, { sizeBits: asked.sizeBits }))
}

/** The keys that are all there, or undefined. They stay in the ring. */
export function lookUp(request: ZooRequest, keys: KeyRing): HeldKey[] | undefined {
  const found = keyIdsOf(request).map(keyId => keys.find(keyId))
  return found.length > 0 && found.every(key => key !== undefined) ? (found as HeldKey[]) : undefined
}

/** The same, and gone from the ring. */
export function take(request: ZooRequest, keys: KeyRing): HeldKey[] | undefined {
  const found = lookUp(request, keys)
  for (const { keyId } of found ?? []) keys.forget(keyId)
  return found
}

export const refuse = (status: number, body: unknown = ''): ZooReply => ({ status, body })

/** Answers by the standard's text, what `habits` does its own way apart. */
export function standardKme(
  habits: Partial<Record<'status' | 'enc_keys' | 'dec_keys', ZooBehaviour>> = {},
): ZooBehaviour {
  return (request, keys, response) => {
    const { call, caller, saeId } = request
    if (call === undefined) return refuse(404, { message: 'no such path' })
    const habit = habits[call]
    if (habit !== undefined) return habit(request, keys, response)
    if (call === 'status') return { body: statusBody(caller, saeId) }
    if (call === 'enc_keys') return { body: { keys: draw(request, keys).map(entryOf) } }
    const found = take(request, keys)
    return found === undefined
      ? refuse(400, { message: 'one or more keys specified are not found on KME' })
      : { body: { keys: found.map(entryOf) } }
  }
}

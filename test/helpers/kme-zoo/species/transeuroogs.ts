import { draw, entryOf, refuse, standardKme, take } from '../standard.ts'

/** transeuroogs: 503 for keys that are not there, and no patience with members that it does not know, or with null. */
export const transeuroogs = standardKme({
  enc_keys: (request, keys) => {
    const { number, size, ...others } = (request.body ?? {}) as Record<string, unknown>
    if (Object.keys(others).length > 0 || number === null || size === null)
      return refuse(400, { message: 'unknown member' })
    if (request.method === 'POST' && request.contentType !== 'application/json')
      return refuse(415, { message: 'not JSON' })
    return { body: { keys: draw(request, keys).map(entryOf) }, headers: { 'cache-control': 'no-store' } }
  },
  dec_keys: (request, keys) => {
    const found = take(request, keys)
    return found === undefined
      ? refuse(503, { message: 'key is not available' })
      : { body: { keys: found.map(entryOf) } }
  },
})

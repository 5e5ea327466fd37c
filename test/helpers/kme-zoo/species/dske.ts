import { draw, entryOf, refuse, standardKme, statusBody, take } from '../standard.ts'

/** dske-python: GET alone, a status in lower case, `keys` as an object, `details` as an object; behind a prefix. */
const kme = standardKme({
  status: ({ caller, saeId }) => {
    const members = Object.entries(statusBody(caller, saeId)).map(([name, value]) => [name.toLowerCase(), value])
    return { body: Object.fromEntries(members) }
  },
  enc_keys: (request, keys) => {
    const [key] = draw(request, keys)
    return { body: { keys: entryOf(key!) } }
  },
  dec_keys: (request, keys) => {
    const [key] = take(request, keys) ?? []
    if (key === undefined)
      return refuse(400, { message: 'key not found', details: { key_ID: request.query.get('key_ID') } })
    return { body: { keys: entryOf(key) } }
  },
})

export const dske: typeof kme = (request, ...rest) =>
  request.method === 'GET' ? kme(request, ...rest) : refuse(405, { detail: 'Method Not Allowed' })

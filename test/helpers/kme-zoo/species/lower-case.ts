import { draw, entryOf, standardKme, statusBody } from '../standard.ts'

/** Of unknown make: a status in lower case, an ID that is a number, a single key without the list around it. */
export const lowerCase = standardKme({
  status: ({ caller, saeId }) => {
    const members = Object.entries(statusBody(caller, saeId)).map(([name, value]) => [name.toLowerCase(), value])
    return { body: { ...Object.fromEntries(members), target_kme_id: 17 } }
  },
  enc_keys: (request, keys) => {
    const entries = draw(request, keys).map(entryOf)
    return { body: { keys: entries.length === 1 ? entries[0] : entries } }
  },
})

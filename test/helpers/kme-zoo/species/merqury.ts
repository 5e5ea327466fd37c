import { entryOf, keyIdsOf, lookUp, refuse, standardKme, statusBody } from '../standard.ts'

/** Merqury's reference KME: counters of the status are 0, keys are never removed, an empty 401. */
export const merqury = standardKme({
  status: ({ caller, saeId }) => {
    const zeros = { stored_key_count: 0, max_key_count: 0, max_key_per_request: 0, max_SAE_ID_count: 0 }
    return { body: { ...statusBody(caller, saeId), ...zeros } }
  },
  dec_keys: (request, keys) => {
    const found = lookUp(request, keys)
    if (found === undefined) return refuse(400, { message: `Key ${keyIdsOf(request)[0]} not found` })
    if (found.some(({ slaveSaeId }) => slaveSaeId !== request.caller)) return refuse(401)
    return { body: { keys: found.map(entryOf) } }
  },
})

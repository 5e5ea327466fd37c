import { entryOf, lookUp, refuse, standardKme, statusBody } from '../standard.ts'

/** a-v-popov etsi-qkd-rest: an ID that is a number, and replays. */
export const etsiQkdRest = standardKme({
  status: ({ caller, saeId }) => ({ body: { ...statusBody(caller, saeId), target_KME_ID: 0 } }),
  dec_keys: (request, keys) => {
    const found = lookUp(request, keys)
    return found === undefined ? refuse(400, { message: 'key not found' }) : { body: { keys: found.map(entryOf) } }
  },
})

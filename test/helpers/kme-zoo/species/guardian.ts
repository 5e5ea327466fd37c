import { draw, entryOf, refuse, standardKme, statusBody, take } from '../standard.ts'

const MEMBERS = ['number', 'size', 'additional_slave_SAE_IDs', 'extension_mandatory', 'extension_optional']

/** guardian and its like: `detail`, 422, null for what is not there, members of their own, none of anybody else's. */
export const guardian = standardKme({
  status: ({ caller, saeId }) => ({
    body: { ...statusBody(caller, saeId), key_size: 32, min_key_size: 8, status_extension: null },
  }),
  enc_keys: (request, keys) => {
    const strange = Object.keys((request.body ?? {}) as object).filter(name => !MEMBERS.includes(name))
    if (strange.length > 0) {
      const faults = strange.map(name => ({
        loc: ['body', name],
        msg: 'Extra inputs are not permitted',
        type: 'extra_forbidden',
      }))
      return refuse(422, { detail: faults })
    }
    if (!/^[a-z0-9.-]{3,32}$/.test(request.saeId))
      return refuse(422, { detail: [{ loc: ['path'], msg: 'String should match pattern' }] })
    const entries = draw(request, keys).map(key => ({ ...entryOf(key), key_ID_extension: null, key_extension: null }))
    const extension = { certificate: null, signature: 'MEUCIQ' }
    return { body: { keys: entries, key_container_extension: null, guardian_certificate_extension: extension } }
  },
  dec_keys: (request, keys) => {
    const found = take(request, keys)
    return found === undefined ? refuse(404, { detail: 'Key not found' }) : { body: { keys: found.map(entryOf) } }
  },
})

import { createHash } from 'node:crypto'
import { askedOf, draw, entryOf, lookUp, refuse, standardKme } from '../standard.ts'

/** thomasarmel qkd_kme_server: 256 bits whatever is asked, at most two keys a call, IDs with any version digit, replays. */
export const qkdKmeServer = standardKme({
  enc_keys: (request, keys) => {
    if (!/^-?\d+$/.test(request.saeId)) return refuse(400, 'Invalid SAE ID')
    if (request.saeId === '409') return refuse(409, '')
    if (request.saeId === '412') return refuse(412, '')
    if (request.saeId === '504') return refuse(504, '')
    const { number } = askedOf(request)
    const drawn = draw(request, keys, { number: Math.min(number, 2), sizeBits: 256 })
    // The IDs are hashes that only look like UUIDs.
    const renamed = drawn.map(({ keyId, ...key }) => {
      keys.forget(keyId)
      const hex = createHash('sha256').update(key.bytes).digest('hex')
      return keys.rename(key, `${hex.slice(0, 8)}-${hex.slice(8, 12)}-d255-${hex.slice(12, 16)}-${hex.slice(16, 28)}`)
    })
    return { body: { keys: renamed.map(entryOf) } }
  },
  dec_keys: (request, keys) => {
    const found = lookUp(request, keys)
    return found === undefined ? refuse(404, '') : { body: { keys: found.map(entryOf) } }
  },
})

import { askedOf, draw, entryOf, lookUp, refuse, standardKme } from '../standard.ts'

/** arnika's mock: HTTP without TLS, one key of 256 bits, replays. */
export const arnikaMock = standardKme({
  enc_keys: (request, keys) => {
    const { number, sizeBits } = askedOf(request)
    if (number !== 1 || sizeBits !== 256) return refuse(400, 'number must be 1 and size 256')
    return { body: { keys: draw(request, keys).map(entryOf) } }
  },
  dec_keys: (request, keys) => {
    const found = lookUp(request, keys)
    return found === undefined ? refuse(404, 'not found') : { body: { keys: found.map(entryOf) } }
  },
})

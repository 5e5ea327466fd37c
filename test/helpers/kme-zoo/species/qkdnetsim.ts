import type { HeldKey } from '../key-ring.ts'
import { draw, refuse, standardKme, take } from '../standard.ts'

const entry = ({ keyId, bytes }: HeldKey) => ({
  key_ID: keyId,
  key: Buffer.from(`${bytes.toString('base64')}\n`).toString('base64'),
})

/** QKDNetSim: HTTP without TLS, parameters in the path, base64 of base64. */
export const qkdnetsim = standardKme({
  enc_keys: (request, keys) => {
    const [named, number, sized, size] = request.tail
    if (request.tail.length > 0 && (named !== 'number' || (sized ?? 'size') !== 'size')) return refuse(404)
    return {
      body: { keys: draw(request, keys, { number: Number(number ?? 1), sizeBits: Number(size ?? 256) }).map(entry) },
    }
  },
  dec_keys: (request, keys) => {
    const found = take(request, keys)
    return found === undefined ? refuse(404) : { body: { keys: found.map(entry) } }
  },
})

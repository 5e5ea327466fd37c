import { askedOf, draw, entryOf, refuse, standardKme } from '../standard.ts'

/** DKMS: 404 for an SAE, 429 for haste, 502 for its peer, 503 without a body. */
export const dkms = standardKme({
  enc_keys: (request, keys) => {
    if (request.saeId === 'nobody') return refuse(404, { message: 'unknown SAE' })
    if (request.saeId === 'hasty') return { status: 429, headers: { 'retry-after': '2' } }
    if (request.saeId === 'beyond') return refuse(502)
    if (askedOf(request).number > 100) return refuse(503)
    return { body: { keys: draw(request, keys).map(entryOf) } }
  },
})

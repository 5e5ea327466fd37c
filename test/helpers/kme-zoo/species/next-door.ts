import { askedOf, draw, refuse, standardKme, take } from '../standard.ts'

const HTML = (text: string) => `<!DOCTYPE html><html><body><pre>${text}</pre></body></html>`

/** CreepPork next-door: number and size of a GET unread, HTML for errors, one unfetched batch a pair. */
export const nextDoor = standardKme({
  enc_keys: (request, keys) => {
    if (request.method === 'POST' && request.body === undefined)
      return refuse(400, HTML('Unexpected end of JSON input'))
    const asked = request.method === 'GET' ? { number: 1, sizeBits: 256 } : askedOf(request)
    keys.forgetPair(request.caller, request.saeId)
    // It writes the key before its ID.
    const entries = draw(request, keys, asked).map(({ keyId, bytes }) => ({
      key: bytes.toString('base64'),
      key_ID: keyId,
    }))
    return { body: { keys: entries } }
  },
  dec_keys: (request, keys) => {
    const found = take(request, keys)
    if (found === undefined) return refuse(401, HTML('Unauthorized'))
    return { body: { keys: found.map(({ keyId, bytes }) => ({ key: bytes.toString('base64'), key_ID: keyId })) } }
  },
})

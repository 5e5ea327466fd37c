import { askedOf, draw, entryOf, refuse, standardKme } from '../standard.ts'

/** next-door-key's Python simulator: 422 for what does not validate, 400 for a certificate that it does not know. */
export const pyQkdKmeSim = standardKme({
  enc_keys: (request, keys) => {
    const { number, sizeBits } = askedOf(request)
    if (request.caller === 'stranger') return refuse(400, { detail: 'SAE certificate is not known' })
    if (sizeBits > 1_024) {
      const fault = {
        loc: ['query', 'size'],
        msg: 'Input should be less than or equal to 1024',
        type: 'less_than_equal',
      }
      return refuse(422, { detail: [fault] })
    }
    if (number > 100) return refuse(400, { detail: 'Not enough keys available, pool exhausted' })
    return { body: { keys: draw(request, keys).map(entryOf) } }
  },
})

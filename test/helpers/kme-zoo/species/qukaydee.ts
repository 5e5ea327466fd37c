import { askedOf, draw, entryOf, refuse, standardKme, statusBody, take } from '../standard.ts'

/** QuKayDee, hosted: refusals of its own, with details. `expired-…` stands for a key whose time is over. */
export const qukaydee = standardKme({
  status: ({ caller, saeId }) =>
    saeId === 'nobody'
      ? refuse(404, { message: 'SAE not found' })
      : { body: { ...statusBody(caller, saeId), min_key_size: 1 } },
  enc_keys: (request, keys) => {
    const { number, sizeBits } = askedOf(request)
    if (request.saeId === 'nobody') return refuse(404, { message: 'SAE not found' })
    if (number > 128) {
      const detail = { parameter_name: 'number', parameter_value: number, allowed_values: '1..128' }
      return refuse(400, { message: 'Invalid parameter value', details: [detail] })
    }
    if (number * sizeBits > 65_536) {
      const detail = { key_bits_requested: number * sizeBits, key_bits_available: 65_536 }
      return refuse(400, { message: 'Not enough key material available', details: [detail] })
    }
    return { body: { keys: draw(request, keys).map(entryOf) } }
  },
  dec_keys: (request, keys) => {
    const asked = request.query.get('key_ID') ?? ''
    if (asked.startsWith('expired-')) return refuse(403, { message: 'Key expired', details: [{ key_ID: asked }] })
    const found = take(request, keys)
    if (found === undefined) return refuse(404, { message: 'Key not found', details: [{ key_ID: asked }] })
    return { body: { keys: found.map(entryOf) } }
  },
})

import { draw, entryOf, refuse, standardKme, statusBody } from '../standard.ts'

let issued = 0

/** qkd-net: key_ID is index and block, sizes of the status are bytes, SAEs stand there as KMEs. */
export const qkdNet = standardKme({
  status: ({ caller, saeId }) => {
    const { master_SAE_ID: master, slave_SAE_ID: slave, ...rest } = statusBody(caller, saeId)
    return {
      body: { ...rest, master_KME_ID: master, slave_KME_ID: slave, key_size: 32, max_key_size: 128, min_key_size: 8 },
    }
  },
  enc_keys: (request, keys) => {
    const renamed = draw(request, keys).map(({ keyId, ...key }) => {
      keys.forget(keyId)
      issued += 1
      return keys.rename(key, `${issued}-5f2c${issued}`)
    })
    return { body: { keys: renamed.map(entryOf) } }
  },
  dec_keys: (request, keys) => {
    const key = keys.find(request.query.get('key_ID') ?? '')
    if (key === undefined) return refuse(500, '<h1>Whitelabel Error Page</h1>')
    keys.forget(key.keyId)
    return { body: { keys: [entryOf(key)] } }
  },
})

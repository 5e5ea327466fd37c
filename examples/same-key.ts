// Alice and Bob get the same key, once, each from the KMS of the own site: npx tsx examples/same-key.ts
import { createLocalPair, QkdError } from '../lib/index.ts'

const [siteA, siteB] = await createLocalPair()
const alice = siteA.kmsFor('alice')
const bob = siteB.kmsFor('bob')

const [given] = await alice.getKey('bob', { sizeBits: 256 })
if (given === undefined) throw new Error('getKey gives as many keys as were asked for')
console.log('Alice has', given.secret, 'and tells Bob', given.keyId)

const [fetched] = await bob.getKeyWithIds('alice', [given.keyId])
console.log('Bob has the same:', fetched?.secret.equals(given.secret))
given.secret.wipe()
fetched?.secret.wipe()

try {
  await bob.getKeyWithIds('alice', [given.keyId])
} catch (error) {
  if (error instanceof QkdError) console.log('A second time:', error.code)
}

await Promise.all([siteA.close(), siteB.close()])

import { expect } from 'chai'
import { loadSaeProfile } from '../../lib/index.ts'
import { kmsBackends } from '../helpers/kms-backends.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'

for (const backend of kmsBackends) {
  describe(`two hosts on the ${backend.name} KMS`, () => {
    it('gives both hosts the same key, once', async () => {
      await using pair = await backend.create()
      const [key] = await pair.alice.getKey('bob', { sizeBits: 256 })
      const [same] = await pair.bob.getKeyWithIds('alice', [key!.keyId])
      expect(same!.secret.equals(key!.secret)).to.equal(true)
      await rejectsWith(pair.bob.getKeyWithIds('alice', [key!.keyId]), 'ERR_QKD_KEY_NOT_FOUND')
    })

    it('writes profiles that the command line takes', async () => {
      await using pair = await backend.create()
      for (const [saeId, path] of Object.entries(pair.profiles ?? {})) {
        expect((await loadSaeProfile(path)).profile.saeId).to.equal(saeId)
      }
      expect(pair.profiles === undefined).to.equal(backend.name === 'embedded')
    })
  })
}

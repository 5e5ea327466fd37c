import { generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { expect } from 'chai'
import { SignedTranscripts } from '../../../../lib/qll/bb84/session/authenticator.ts'
import { createPair, nextBlocks, type Role, sameSecrets } from '../../../helpers/bb84-pair.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'

/** Both ends sign with keys of their own; `uses` counts how often any signature was made or checked. */
function signedPair(theirs: Partial<Record<Role, KeyObject>> = {}) {
  const own = { alice: generateKeyPairSync('ed25519'), bob: generateKeyPairSync('ed25519') }
  const counter = { uses: 0 }
  const pair = createPair({
    session: role => {
      const trusted = theirs[role] ?? own[role === 'alice' ? 'bob' : 'alice'].publicKey
      const keys = {
        sign: async (message: Uint8Array) => {
          counter.uses++
          return sign(null, message, own[role].privateKey)
        },
        verify: async (message: Uint8Array, signature: Uint8Array) => {
          counter.uses++
          return verify(null, message, trusted, signature)
        },
      }
      return { authenticator: new SignedTranscripts(keys) }
    },
  })
  return { pair, counter }
}

describe('SignedTranscripts', () => {
  it('proves the first block, whose key proves all later ones', async () => {
    const { pair, counter } = signedPair()
    const ends = await pair.open()
    const first = await nextBlocks(ends)
    expect(first.alice.report.outcome).to.equal('key')
    expect(first.alice.report.authenticationBits).to.be.above(0)
    expect(ends.alice.account.remainingTags).to.equal(64)
    const used = counter.uses
    expect(used).to.be.above(0)
    const second = await nextBlocks(ends)
    expect(sameSecrets(second.alice.secrets, second.bob.secrets)).to.equal(true)
    expect(second.alice.report.authenticationSpentBits).to.equal(5 * 128)
    expect(counter.uses).to.equal(used)
    await pair.close()
  })

  it('lets no end with a foreign key begin', async () => {
    const stranger = generateKeyPairSync('ed25519').publicKey
    for (const role of ['alice', 'bob'] as const) {
      const { pair } = signedPair({ [role]: stranger })
      await rejectsWith(pair.open(), 'ERR_QKD_UNAUTHORIZED')
      await pair.close()
    }
  })
})

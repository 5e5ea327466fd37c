import { expect } from 'chai'
import { nextRoot, ratchetProof } from '../../lib/key/ratchet.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

const bytes = (fill: number, size = 32) => SecretKey.copyOf(Buffer.alloc(size, fill))
const terms = { epoch: 5, shared: bytes(2), transcript: Buffer.alloc(32, 3) }

describe('nextRoot', () => {
  it('is the same at both sites, and another for any other input', () => {
    const next = nextRoot(bytes(1, 64), terms)
    expect(next.sizeBytes).to.equal(64)
    expect(next.equals(nextRoot(bytes(1, 64), terms))).to.equal(true)
    const others = [
      nextRoot(bytes(9, 64), terms),
      nextRoot(bytes(1, 64), { ...terms, epoch: 6 }),
      nextRoot(bytes(1, 64), { ...terms, shared: bytes(4) }),
      nextRoot(bytes(1, 64), { ...terms, transcript: Buffer.alloc(32, 4) }),
    ]
    for (const other of others) expect(other.equals(next)).to.equal(false)
  })

  it('is proven by each site in its own way', () => {
    const root = nextRoot(bytes(1, 64), terms)
    const proof = ratchetProof(root, 'site-a', terms.transcript)
    expect(proof).to.have.length(32)
    expect(ratchetProof(root, 'site-b', terms.transcript).equals(proof)).to.equal(false)
    expect(ratchetProof(root, 'site-a', Buffer.alloc(32)).equals(proof)).to.equal(false)
    expect(root.wiped).to.equal(false)
  })
})

import { expect } from 'chai'
import { createMlDsaAuthority, issueMlDsaCertificate } from '../../../../lib/key/ml-dsa-issue.ts'
import { SecretKey } from '../../../../lib/key/secret-key.ts'
import { siteUri } from '../../../../lib/key/site-identity.ts'
import type { Bb84Link } from '../../../../lib/qll/bb84/link/bb84-link.ts'
import { createBb84LinkConnector, createBb84LinkListener } from '../../../../lib/qll/bb84/link/bb84-link-tcp.ts'
import { type Authenticator, SignedTranscripts } from '../../../../lib/qll/bb84/session/authenticator.ts'
import { CertifiedKeys, type LinkIdentity } from '../../../../lib/qll/bb84/session/certified-keys.ts'
import type { BlockReport } from '../../../../lib/qll/bb84/session/report.ts'
import { SharedKeyTranscripts } from '../../../../lib/qll/bb84/session/shared-key-transcripts.ts'
import { BlockMatcher } from '../../../compliance/block-matcher.ts'
import { statusOf } from '../../../compliance/link-status.ts'
import { SMALL_LINK } from '../../../helpers/bb84-link.ts'
import { createTcpRelay, type TcpRelay } from '../../tcp-relay.ts'

const DAY_MS = 86_400_000
const now = () => Date.now()

const authority = createMlDsaAuthority({ commonName: 'Test CA', days: 10 })

function identity(
  siteId: string,
  { ca = authority, issued = now }: { ca?: typeof authority; issued?: () => number } = {},
) {
  const pair = issueMlDsaCertificate(ca, { commonName: siteId, uris: [siteUri(siteId)], days: 1, now: issued })
  return { cert: pair.certificatePem, key: pair.privateKeyPem, ca: authority.certificatePem }
}

const certified = (own: LinkIdentity, remoteSiteId: string, clock = now) => {
  const keys = new CertifiedKeys({ identity: own, remoteSiteId, now: clock })
  return () => new SignedTranscripts(keys)
}

interface Joined {
  readonly alice: Bb84Link
  readonly bob: Bb84Link
  readonly relay: TcpRelay
  readonly blocks: BlockReport[]
}

/** Two ends over TCP, each with its own proof of the first round; `use` them, and close them. */
async function joined(
  proofs: { alice: () => Authenticator; bob: () => Authenticator },
  use: (ends: Joined) => Promise<void>,
): Promise<void> {
  const blocks: BlockReport[] = []
  const { link: alice, port } = await createBb84LinkListener({
    ...SMALL_LINK,
    localSiteId: 'alice',
    remoteSiteId: 'bob',
    port: 0,
    bootstrap: proofs.alice,
    onBlock: report => blocks.push(report),
  })
  const relay = await createTcpRelay(() => port)
  const bob = createBb84LinkConnector({
    ...SMALL_LINK,
    localSiteId: 'bob',
    remoteSiteId: 'alice',
    port: relay.port,
    bootstrap: proofs.bob,
    backOff: { minMs: 5, maxMs: 20 },
  })
  try {
    await use({ alice, bob, relay, blocks })
  } finally {
    await Promise.all([alice.close(), bob.close()])
    await relay.close()
  }
}

const matcherOf = ({ alice, bob }: Joined) =>
  new BlockMatcher([options => alice.nextBlock(options), options => bob.nextBlock(options)])

describe('The first round of a Bb84Link', () => {
  it('is proved by certificates with ML-DSA-65', () =>
    joined({ alice: certified(identity('alice'), 'bob'), bob: certified(identity('bob'), 'alice') }, async ends => {
      await matcherOf(ends).match(5)
      expect(ends.alice.status().state).to.equal('up')
    }))

  const foreign = createMlDsaAuthority({ commonName: 'Test CA', days: 10 })
  const twoDaysAgo = () => Date.now() - 2 * DAY_MS
  const wrong: Record<string, { proof: () => () => Authenticator; reason: RegExp }> = {
    'that names another site': {
      proof: () => certified(identity('carol'), 'alice'),
      reason: /does not name urn:qkdkit:site:bob/,
    },
    'that has expired': {
      proof: () => certified(identity('bob', { issued: twoDaysAgo }), 'alice'),
      reason: /has expired on/,
    },
    'of a foreign authority': {
      proof: () => certified(identity('bob', { ca: foreign }), 'alice'),
      reason: /signature is not one of the trusted/,
    },
    'and a key that is not its own': {
      proof: () => {
        const [own, other] = [identity('bob'), identity('bob')]
        // What somebody has who found a certificate, and not its key.
        const thief = new CertifiedKeys({ identity: other, remoteSiteId: 'alice' })
        const found = new CertifiedKeys({ identity: own, remoteSiteId: 'alice' })
        return () =>
          new SignedTranscripts({
            verify: (message, proof) => thief.verify(message, proof),
            sign: async message => {
              const [certificate, signature] = await Promise.all([found.sign(message), thief.sign(message)])
              const size = 2 + Buffer.from(certificate).readUInt16BE()
              return Buffer.concat([certificate.subarray(0, size), signature.subarray(-3309)])
            },
          })
      },
      reason: /not what the other end said/,
    },
  }
  for (const [name, { proof, reason }] of Object.entries(wrong)) {
    it(`does not begin with a certificate ${name}`, () =>
      joined({ alice: certified(identity('alice'), 'bob'), bob: proof() }, async ({ alice, bob, blocks }) => {
        const seen = await statusOf(alice, status => reason.test(status.reason ?? ''))
        expect(seen.state).to.equal('down')
        expect(blocks).to.deep.equal([])
        expect([alice, bob].map(end => end.status().bufferedBits)).to.deep.equal([0, 0])
      }))
  }

  it('does not begin with another pre-shared key', () => {
    const [one, other] = [SecretKey.random(32), SecretKey.random(32)]
    return joined(
      { alice: () => new SharedKeyTranscripts(one), bob: () => new SharedKeyTranscripts(other) },
      async ({ alice, bob, blocks }) => {
        await statusOf(alice, status => /not what the other end said/.test(status.reason ?? ''))
        expect(blocks).to.deep.equal([])
        expect([alice, bob].map(end => end.status().bufferedBits)).to.deep.equal([0, 0])
      },
    )
  })

  it('is the only one that looks at certificates: later sessions go on with key of earlier blocks', () => {
    const asked = { alice: 0, bob: 0 }
    let clock = Date.now()
    const counted = (side: 'alice' | 'bob', other: 'alice' | 'bob') => {
      const proof = certified(identity(side), other, () => clock)
      return () => {
        asked[side] += 1
        return proof()
      }
    }
    return joined({ alice: counted('alice', 'bob'), bob: counted('bob', 'alice') }, async ends => {
      const matcher = matcherOf(ends)
      await matcher.match(5)
      // From here on nobody would take either certificate.
      clock += 3 * DAY_MS
      for (let round = 0; round < 4; round++) {
        ends.relay.cut()
        for (const end of [ends.alice, ends.bob]) await statusOf(end, status => status.state === 'down')
        ends.relay.mend()
        for (const end of [ends.alice, ends.bob]) await statusOf(end, status => status.state === 'up')
        await matcher.match(40)
      }
      expect(asked).to.deep.equal({ alice: 1, bob: 1 })
    })
  })
})

describe('CertifiedKeys', () => {
  it('refuses certificate, key and authority that are not of ML-DSA-65, or not of one pair', () => {
    const own = identity('alice')
    const other = identity('alice')
    const make = (given: LinkIdentity) => () => new CertifiedKeys({ identity: given, remoteSiteId: 'bob' })
    expect(make({ ...own, key: other.key })).to.throw(/not the one of the link's certificate/)
    expect(make({ ...own, cert: 'no certificate' })).to.throw(/ML-DSA-65/)
    expect(make({ ...own, ca: own.key })).to.throw(/ML-DSA-65/)
  })

  it('takes no proof that is cut short', async () => {
    const alice = new CertifiedKeys({ identity: identity('alice'), remoteSiteId: 'bob' })
    const bob = new CertifiedKeys({ identity: identity('bob'), remoteSiteId: 'alice' })
    const message = Buffer.from('what was said')
    const proof = await bob.sign(message)
    expect(await alice.verify(message, proof)).to.equal(true)
    for (const size of [0, 1, 2, 100, 5000, proof.byteLength - 1]) {
      const outcome = await alice.verify(message, proof.subarray(0, size)).catch(error => error.code)
      expect(outcome === false || outcome === 'ERR_QKD_UNAUTHORIZED', `${size}`).to.equal(true)
    }
  })
})

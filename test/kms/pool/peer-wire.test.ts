import { expect } from 'chai'
import fc from 'fast-check'
import { QkdError } from '../../../lib/errors.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { decodeMessage, encodeMessage, type PeerMessage } from '../../../lib/kms/pool/peer-wire.ts'

const nonce = Buffer.alloc(16, 3)
const messages: PeerMessage[] = [
  {
    name: 'hello',
    version: 1,
    siteId: 'site-a',
    poolId: 'site-a|site-b',
    startNonce: nonce,
    commits: 2 ** 40,
    heardCommits: 7,
    lifetimeMs: 300_000,
    floor: 2n ** 63n,
    poolEpoch: 2,
    sealEpoch: 1,
    rootCheck: nonce,
    pendingCheck: new Uint8Array(16),
    kems: 3,
    store: 2,
  },
  { name: 'confirm', mac: Buffer.alloc(32, 9), certificate: new Uint8Array(0), signature: Buffer.alloc(3309, 1) },
  {
    name: 'share',
    nonce,
    masterSaeId: 'alice',
    slaveSaeId: 'bob',
    saeIds: ['carl', 'cleo'],
    level: 1,
    trustClass: 0,
    sizeBytes: 32,
    keyIds: ['00000000-0000-4000-8000-000000000000'],
    pads: ['00000000-0000-4000-8000-000000000001'],
    sealed: Buffer.alloc(48, 7),
    ways: Buffer.from('[]'),
  },
  { name: 'shareOk', nonce },
  { name: 'incident', nonce, body: Buffer.from('{}') },
  { name: 'incidentOk', nonce, body: Buffer.from('{}') },
  { name: 'incidentNo', nonce, reason: 'The disk is full' },
  { name: 'shareNo', nonce, code: 'ERR_QKD_STORE', reason: 'The disk is gone' },
  { name: 'unshare', masterSaeId: 'alice', slaveSaeId: 'bob', keyIds: [] },
  {
    name: 'ratchetOffer',
    epoch: 5,
    offered: 3,
    kem: 1,
    key: Buffer.alloc(1568, 2),
    certificate: new Uint8Array(0),
    before: Buffer.alloc(32),
  },
  {
    name: 'ratchetAnswer',
    epoch: 5,
    offered: 3,
    ciphertext: Buffer.alloc(1568, 2),
    certificate: Buffer.alloc(5000),
    signature: Buffer.alloc(3309),
  },
  { name: 'ratchetProof', epoch: 5, signature: Buffer.alloc(3309), mac: Buffer.alloc(32, 4) },
  { name: 'ratchetDone', epoch: 5, mac: Buffer.alloc(32, 4) },
  { name: 'ratchetNo', epoch: 5, reason: 'the epoch before still lives here' },
  { name: 'ratchetAsk' },
  { name: 'mark' },
  {
    name: 'tag',
    block: 5n,
    grant: 1,
    trustClass: 2,
    relays: ['r1', 'r2'],
    owner: 'site-a',
    macBlock: 4n,
    epoch: 0,
    tag: nonce,
  },
  { name: 'ready', block: 5n, grant: 1, tag: nonce },
  { name: 'drop', block: 5n, grant: 1, reason: 'tags differ' },
  { name: 'dropOk', block: 5n },
  { name: 'lease', block: 5n, grant: 0, from: 0, cells: 16, nonce },
  { name: 'leaseOk', block: 5n, nonce },
  { name: 'leaseNo', block: 5n, nonce, horizon: 16, grant: 0, absent: 1 },
  { name: 'renew', block: 5n, grant: 0, from: 3, to: 16, nonce },
  { name: 'grantAsk', blocks: 4 },
  { name: 'grant', block: 5n, grant: 3 },
  { name: 'grantOk', block: 5n, grant: 3 },
  { name: 'grantNo', block: 5n, grant: 2 },
  { name: 'status', block: 5n, grant: 0 },
  { name: 'finished', block: 5n, grant: 0 },
  { name: 'resync', nonce },
  {
    name: 'state',
    nonce,
    isLast: 1,
    floor: 2n ** 40n,
    virtualFloorA: 1n,
    virtualFloorB: 2n,
    blocks: [{ number: 2n ** 63n, grant: 3, owner: 1, state: 'active', lease: 998, horizon: 0, macSpent: true }],
  },
]

const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, item) =>
      typeof item === 'bigint' ? `${item}n` : item instanceof Uint8Array ? [...item] : item,
    ),
  )

describe('peer wire', () => {
  it('gives every message back as it was', () => {
    for (const message of messages) {
      const decoded = decodeMessage(encodeMessage({ sequence: 9, commits: 1234 }, message))
      expect(plain(decoded.message), message.name).to.deep.equal(plain({ ...message, ...bytesAsArrays(message) }))
      expect(decoded.envelope).to.deep.equal({ sequence: 9, commits: 1234 })
    }
    const half = SecretKey.random(32)
    const kemKey = Uint8Array.from({ length: 1184 }, (_, at) => at % 251)
    const { message } = decodeMessage(encodeMessage({ sequence: 1, commits: 0 }, { name: 'contribute', half, kemKey }))
    expect(message.name === 'contribute' && message.kemKey).to.deep.equal(kemKey)
    expect(message.name === 'contribute' && message.half.equals(half)).to.equal(true)
  })

  it('refuses a message that is cut anywhere, or longer than it should be', () => {
    for (const message of messages) {
      const bytes = encodeMessage({ sequence: 1, commits: 0 }, message)
      for (let length = 0; length < bytes.length; length++) {
        expect(() => decodeMessage(bytes.subarray(0, length)), `${message.name} ${length}`).to.throw(QkdError)
      }
      expect(() => decodeMessage(Buffer.concat([bytes, Buffer.from([0])]))).to.throw(QkdError)
    }
  })

  it('answers random bytes with a message or a protocol error, never anything else', () => {
    const head = fc.integer({ min: 0, max: 255 })
    const property = fc.property(head, fc.uint8Array({ maxLength: 200 }), (id, rest) => {
      try {
        decodeMessage(Buffer.from([id, ...rest]))
      } catch (error) {
        expect((error as QkdError).code).to.equal('ERR_QKD_PROTOCOL')
      }
    })
    fc.assert(property, { numRuns: 5000 })
  })
})

/** Buffers print as objects; decoded bytes are plain arrays. */
function bytesAsArrays(message: PeerMessage): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(message).flatMap(([key, value]) =>
      value instanceof Uint8Array ? [[key, Uint8Array.from(value)]] : [],
    ),
  )
}

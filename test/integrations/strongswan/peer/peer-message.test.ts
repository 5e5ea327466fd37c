import { expect } from 'chai'
import fc from 'fast-check'
import {
  decodePeerMessage,
  encodePeerMessage,
  isPeerMessage,
  type PeerMessage,
} from '../../../../integrations/strongswan/peer/peer-message.ts'
import { ProtocolError } from '../../../../lib/errors.ts'

const messages: PeerMessage[] = [
  {
    type: 'hello',
    connection: 'site-b',
    role: 'initiator',
    mode: 'ppk',
    ids: ['a', 'b'],
    epoch: 3,
    committed: { epoch: 2, keyId: 'k' },
  },
  { type: 'hello', connection: 'c', role: 'responder', mode: 'psk', ids: ['a', 'b'], epoch: 0, committed: null },
  { type: 'welcome', epoch: 1 },
  { type: 'refusal', code: 'role-conflict' },
  { type: 'prepare', epoch: 1 },
  { type: 'prepared', epoch: 1 },
  { type: 'ready', epoch: 1, keyId: 'k' },
  { type: 'confirm', epoch: 1, keyId: 'k' },
  { type: 'confirmed', epoch: 1, keyId: 'k' },
  { type: 'commit', epoch: 1, keyId: 'k' },
  { type: 'committed', epoch: 1, keyId: 'k' },
  { type: 'stage', epoch: 1, stage: 'loaded' },
  { type: 'staged', epoch: 1, stage: 'retired' },
  { type: 'failed', epoch: 1, reason: 'because' },
  { type: 'wanted', reason: 'because' },
]

describe('PeerMessage', () => {
  it('comes back as it was sent, with its number', () => {
    for (const message of messages) {
      const bytes = encodePeerMessage(message, 7)
      expect(isPeerMessage(bytes)).to.equal(true)
      expect(decodePeerMessage(bytes)).to.deep.equal({ number: 7, message })
    }
  })

  it('is never taken for one of an agreement, nor the other way round', () => {
    expect(isPeerMessage(Buffer.from('qka1'))).to.equal(false)
    expect(isPeerMessage(Buffer.alloc(0))).to.equal(false)
  })

  it('cuts a reason that is too long', () => {
    const { message } = decodePeerMessage(encodePeerMessage({ type: 'wanted', reason: 'r'.repeat(9_000) }, 0))
    expect(message).to.have.property('reason').with.length(500)
  })

  it('is refused with a field too few, too many or of another kind', () => {
    for (const message of messages) {
      const whole = { number: 0, ...message } as Record<string, unknown>
      for (const field of Object.keys(whole)) {
        const { [field]: _, ...rest } = whole
        const spoiled = [rest, { ...whole, [field]: {} }, { ...whole, [field]: -1 }, { ...whole, [field]: '' }]
        for (const each of [...spoiled, { ...whole, more: 1 }]) {
          const bytes = Buffer.from(JSON.stringify(each))
          expect(() => decodePeerMessage(bytes), JSON.stringify(each)).to.throw(ProtocolError)
        }
      }
    }
  })

  it('is refused where it is longer than any, or no JSON', () => {
    const long = Buffer.from(JSON.stringify({ number: 0, type: 'wanted', reason: 'r'.repeat(9_000) }))
    expect(() => decodePeerMessage(long)).to.throw(ProtocolError, /too long/)
    for (const text of ['', '{', '[]', 'null', '"text"', '{"type":"constructor"}', '{"type":"__proto__","number":0}']) {
      expect(() => decodePeerMessage(Buffer.from(text)), text).to.throw(ProtocolError)
    }
  })

  it('ends with a message or an error on any bytes at all', () => {
    const end = (bytes: Uint8Array) => {
      try {
        decodePeerMessage(bytes)
      } catch (error) {
        expect(error).to.be.instanceOf(ProtocolError)
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), end))
    fc.assert(
      fc.property(fc.constantFrom(...messages), fc.nat(), fc.nat(255), (message, at, value) => {
        const bytes = encodePeerMessage(message, 1)
        bytes[at % bytes.byteLength] = value
        end(bytes)
      }),
      { numRuns: 1_000 },
    )
  })
})

import { expect } from 'chai'
import { RecordCipher } from '../../lib/key/record-cipher.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

const pair = () => {
  const secret = SecretKey.random(32)
  const other = SecretKey.copyOf(secret.expose('application', bytes => Uint8Array.from(bytes)))
  return { sender: new RecordCipher(secret), receiver: new RecordCipher(other) }
}

describe('RecordCipher', () => {
  it('opens what the other end sealed, over many changes of the key', () => {
    const { sender, receiver } = pair()
    for (let at = 0; at < 2500; at++) {
      const plain = Buffer.from(`record ${at}`)
      expect(receiver.open(sender.seal(plain)).equals(plain)).to.equal(true)
    }
  })

  it('never seals the same bytes alike', () => {
    const { sender } = pair()
    const sealed = new Set(Array.from({ length: 2100 }, () => sender.seal(Buffer.alloc(32)).toString('hex')))
    expect(sealed.size).to.equal(2100)
  })

  it('refuses a record that was altered, left out, repeated or cut', () => {
    const attacks: ((records: Buffer[]) => Buffer)[] = [
      ([first]) => {
        first![0]! ^= 1
        return first!
      },
      ([, second]) => second!,
      ([first]) => first!.subarray(0, -1),
      ([first]) => first!.subarray(0, 8),
    ]
    for (const attack of attacks) {
      const { sender, receiver } = pair()
      const records = [sender.seal(Buffer.from('one')), sender.seal(Buffer.from('two'))]
      expect(() => receiver.open(attack(records)))
        .to.throw()
        .with.property('code', 'ERR_QKD_PROTOCOL')
    }
    const { sender, receiver } = pair()
    const record = sender.seal(Buffer.from('once'))
    receiver.open(record)
    expect(() => receiver.open(record)).to.throw(/altered, lost or repeated/)
  })
})

import { expect } from 'chai'
import { encodeFrame, FrameReader } from '../../lib/channel/frame.ts'

describe('FrameReader', () => {
  it('wipes what it has of a message whose rest never comes', () => {
    const made: Buffer[] = []
    const { allocUnsafeSlow } = Buffer
    const reader = new FrameReader()
    const frame = encodeFrame(Buffer.alloc(32, 7))
    Buffer.allocUnsafeSlow = size => {
      made.push(allocUnsafeSlow(size))
      return made.at(-1) as ReturnType<typeof allocUnsafeSlow>
    }
    try {
      reader.push(frame.subarray(0, 20), () => {})
    } finally {
      Buffer.allocUnsafeSlow = allocUnsafeSlow
    }
    expect(made).to.have.length(1)
    expect(made[0]![15]).to.equal(7)
    reader.drop()
    expect(made[0]!.subarray(0, 16).every(byte => byte === 0)).to.equal(true)
  })
})

import { ChannelModel } from '../../lib/qll/bb84/model/channel-model.ts'
import { BB84_PRESETS } from '../../lib/qll/bb84/model/presets.ts'
import { SHORT_BLOCK_PROTOCOL } from './bb84-pair.ts'

const { receiver } = BB84_PRESETS['li-2023']

/** The path of the links below, with as much of it intercepted, or with fewer pulses a second. */
export function testChannel({
  interceptFraction = 0,
  lengthKm = 10,
  clockHz = receiver.clockHz as number,
} = {}): ChannelModel {
  return new ChannelModel({ ...receiver, clockHz }, { lengthKm, interceptFraction })
}

/** Options of a link with weak promises, so that its blocks are small and fast and still have key. */
export const SMALL_LINK = {
  linkId: 'alice-bob',
  channel: testChannel(),
  protocol: SHORT_BLOCK_PROTOCOL,
  keyBits: 2 ** 16,
  parameters: { secrecy: 1e-3, sampleBits: 512, frameBits: 8192, reserveTags: 16 },
  blockSizeBytes: 256,
  bufferBlocks: 16,
}

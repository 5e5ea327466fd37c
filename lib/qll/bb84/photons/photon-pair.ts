import type { PhotonChannel } from './photon-channel.ts'
import type { PulseRecords, RecordSource } from './records.ts'

/** Blocks that one side's device keeps for a side that is slow to ask; older ones are overwritten. */
const KEPT_BLOCKS = 2

/**
 * The devices of both sides in one process: whichever side asks first has a block sent. Records that a side does not ask
 * for in time are gone, as in a device whose memory is full; the two ends find the next common block by its number.
 */
export function createPhotonPair(
  channel: PhotonChannel,
  { pulses }: { pulses: number },
): { alice: RecordSource; bob: RecordSource } {
  const waiting = { alice: [] as PulseRecords[], bob: [] as PulseRecords[] }
  const next = (side: 'alice' | 'bob'): PulseRecords => {
    if (waiting[side].length === 0) {
      const { prepared, detected } = channel.transmit(pulses)
      keep(waiting.alice, prepared)
      keep(waiting.bob, detected)
    }
    return waiting[side].shift()!
  }
  return {
    alice: { next: async () => next('alice') },
    bob: { next: async () => next('bob') },
  }
}

function keep(waiting: PulseRecords[], records: PulseRecords): void {
  waiting.push(records)
  if (waiting.length > KEPT_BLOCKS) waiting.shift()!.states.fill(0)
}

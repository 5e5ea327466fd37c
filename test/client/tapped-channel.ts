import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'

/** A message on its way, as somebody sees it who sits between the two ends. */
export interface TappedMessage {
  readonly from: 'alice' | 'bob'
  /** Its place among the messages of this direction, from 0. */
  readonly number: number
  readonly bytes: Uint8Array
}

/** What becomes of a message: what goes on to its receiver, and what comes back to its sender. */
export interface Delivery {
  readonly on?: readonly Uint8Array[]
  readonly back?: readonly Uint8Array[]
}

/** A channel between alice and bob on which somebody sits who breaks the promise that every channel gives. */
export interface TappedChannel extends AsyncDisposable {
  readonly alice: MessageChannel
  readonly bob: MessageChannel
  /** Every message that an end has sent, in order. */
  readonly seen: TappedMessage[]
}

/** Opens one; `tap` decides on each message. */
export function createTappedChannel(
  tap: (message: TappedMessage) => Delivery = ({ bytes }) => ({ on: [bytes] }),
): TappedChannel {
  const [alice, towardsAlice] = createMemoryChannelPair(['alice', 'bob'])
  const [towardsBob, bob] = createMemoryChannelPair(['alice', 'bob'])
  const seen: TappedMessage[] = []
  async function relay(from: 'alice' | 'bob', source: MessageChannel, target: MessageChannel): Promise<void> {
    for (let number = 0; ; number += 1) {
      const bytes = await source.receive()
      if (bytes === undefined) return target.close()
      const message = { from, number, bytes: Uint8Array.from(bytes) }
      seen.push(message)
      const { on = [], back = [] } = tap({ ...message, bytes })
      for (const part of on) await target.send(part)
      for (const part of back) await source.send(part)
    }
  }
  // A relay ends when one of the ends has closed.
  relay('alice', towardsAlice, towardsBob).catch(() => {})
  relay('bob', towardsBob, towardsAlice).catch(() => {})
  return {
    alice,
    bob,
    seen,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([alice, bob, towardsAlice, towardsBob].map(end => end.close()))
    },
  }
}

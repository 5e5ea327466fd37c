import type { MessageChannel } from '../../lib/interface/message-channel.ts'

/** What a relay in the hands of an attacker does to the messages that it sends. */
export const HOSTILE_ACTS = ['tampers with', 'repeats', 'cuts short', 'reorders', 'makes up'] as const
export type HostileAct = (typeof HOSTILE_ACTS)[number]

/**
 * A channel whose sender does that to one message in three, the frames of key and those that speak of them alike, while
 * `isHostile`. `done` counts how often.
 */
export function hostileChannel(
  channel: MessageChannel,
  act: HostileAct,
  { isHostile, onDone }: { isHostile: () => boolean; onDone: () => void },
): MessageChannel {
  let turn = 0
  let held: Uint8Array | undefined
  const spoil = (message: Uint8Array): Uint8Array[] => {
    const copy = Uint8Array.from(message)
    const at = (turn * 7919) % copy.byteLength
    switch (act) {
      case 'tampers with':
        copy[at]! ^= 1 << (turn % 8)
        return [copy]
      case 'repeats':
        return [copy, copy]
      case 'cuts short':
        return [copy.subarray(0, Math.max(1, at))]
      case 'reorders':
        held = copy
        return []
      case 'makes up':
        return [copy, Uint8Array.from({ length: 200 }, (_, i) => (i === 0 ? 1 + (turn % 16) : (i * turn) % 256))]
    }
  }
  return {
    peerId: channel.peerId,
    send: async (message, options) => {
      turn += 1
      const late = held
      held = undefined
      // The greeting is left alone: without it there is no connection to attack.
      const spoiled = isHostile() && turn > 1 && turn % 3 === 0 && late === undefined
      if (spoiled) onDone()
      for (const one of spoiled ? spoil(message) : [message]) await channel.send(one, options)
      if (late !== undefined) await channel.send(late, options)
    },
    receive: options => channel.receive(options),
    close: options => channel.close(options),
    [Symbol.asyncDispose]: () => channel.close(),
  }
}

import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import { decodeMessage, encodeMessage, type PeerMessage } from '../../lib/kms/pool/peer-wire.ts'

/** The channel between two pools with each message that goes in at this end as `alter` makes it. */
export function alteredChannel(channel: MessageChannel, alter: (message: PeerMessage) => PeerMessage): MessageChannel {
  return new Proxy(channel, {
    get: (target, property) => {
      const value = Reflect.get(target, property, target)
      if (property !== 'send') return typeof value === 'function' ? value.bind(target) : value
      return (bytes: Uint8Array) => {
        const { envelope, message } = decodeMessage(bytes)
        return target.send(encodeMessage(envelope, alter(message)))
      }
    },
  })
}

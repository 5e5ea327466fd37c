import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { QNL_WIRE_VERSION } from '../../lib/qnl/qnl-message.ts'
import { decodeQnlMessage, encodeQnlMessage, type QnlMessage } from '../../lib/qnl/qnl-wire.ts'

/** One end of a QNL's channel that speaks by hand, so that a test can say anything at any time. */
export class RawPeer {
  readonly channel: MessageChannel

  constructor(channel: MessageChannel) {
    this.channel = channel
  }

  /** Both ends of a channel between `qnl` and `kme`: that of the QNL, and that of the KMS. */
  static pair(): [atQnl: MessageChannel, atKms: MessageChannel] {
    return createMemoryChannelPair(['qnl', 'kme'])
  }

  async send(message: QnlMessage): Promise<void> {
    await this.channel.send(encodeQnlMessage(message))
  }

  async hello(siteId = 'alice', version = QNL_WIRE_VERSION): Promise<void> {
    await this.send({ type: 'hello', id: 0, head: { version, siteId } })
  }

  async block(id: number, number: bigint, remoteSiteId = 'bob'): Promise<void> {
    const head = { remoteSiteId, number: `${number}`, trustClass: 'direct', relays: [] } as const
    await this.send({ type: 'block', id, head, secret: SecretKey.random(32_000) })
  }

  /** The next message, which must be of that type. */
  async next<T extends QnlMessage['type']>(type: T): Promise<Extract<QnlMessage, { type: T }>> {
    const bytes = await this.channel.receive({ signal: AbortSignal.timeout(8000) })
    if (bytes === undefined) throw new Error(`The channel was closed where a ${type} was expected`)
    const message = decodeQnlMessage(bytes)
    if (message.type !== type) throw new Error(`Not a ${type}: ${JSON.stringify(message)}`)
    return message as Extract<QnlMessage, { type: T }>
  }

  /** Resolves when the other end has closed, whatever it said before. */
  async closed(): Promise<void> {
    while ((await this.channel.receive({ signal: AbortSignal.timeout(8000) })) !== undefined);
  }
}

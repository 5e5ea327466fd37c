import { ProtocolError } from '../../errors.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { PeerDialer } from '../../util/peer-dialer.ts'
import type { RelayPartner } from './relay-options.ts'
import {
  decodeRelayMessage,
  encodeRelayMessage,
  FRAME_ID,
  RELAY_WIRE_VERSION,
  type RelayMessage,
} from './relay-wire.ts'

/** Messages that are no messages after which a partner is left alone. */
const MAX_MALFORMED = 64

type Hello = Extract<RelayMessage, { type: 'hello' }>

/** Whom to talk to, and whom to tell. */
export interface PartnerLineOptions {
  readonly partner: RelayPartner
  readonly logger: Logger
  /** What this end says first. */
  readonly hello: () => Hello
  /** Both ends have said hello. */
  readonly onUp: (hello: Hello) => void
  readonly onMessage: (message: RelayMessage) => void
  /** A frame of chunks; its bytes are the line's again when the call returns. */
  readonly onFrame: (bytes: Uint8Array) => void
  readonly onMalformed: () => void
  readonly onDown: () => void
}

/** The one connection to a partner's node: dialled where this end dials, replaced when the partner comes anew. */
export class PartnerLine {
  readonly #options: PartnerLineOptions
  readonly #dialer: PeerDialer | undefined
  readonly #attached = new Set<Promise<void>>()
  #channel: MessageChannel | undefined
  #up = false
  #closed = false

  constructor(options: PartnerLineOptions) {
    this.#options = options
    const { partner, logger } = options
    const { siteId: remoteSiteId, dial } = partner
    const attach = (channel: MessageChannel) => this.attach(channel)
    this.#dialer = dial && new PeerDialer({ remoteSiteId, dial, attach, logger })
  }

  get up(): boolean {
    return this.#up
  }

  /** Sends a message, if the connection is up. */
  send(message: RelayMessage): void {
    if (this.#up) void this.sendBytes(encodeRelayMessage(message))
  }

  /** Sends bytes and resolves when there is room for more; what a lost connection loses is not told here. */
  async sendBytes(bytes: Uint8Array): Promise<void> {
    await this.#channel?.send(bytes).catch(() => {})
  }

  /** Uses a channel in place of the last one until it ends. */
  async attach(channel: MessageChannel): Promise<void> {
    const used = this.#use(channel)
    this.#attached.add(used)
    await used.finally(() => this.#attached.delete(used))
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#dialer?.stop()
    await this.#channel?.close().catch(() => {})
    await this.#dialer?.stopped
    await Promise.allSettled(this.#attached)
  }

  async #use(channel: MessageChannel): Promise<void> {
    const { partner, logger } = this.#options
    const last = this.#channel
    this.#channel = channel
    this.#down()
    void last?.close().catch(() => {})
    try {
      if (this.#closed) return
      await channel.send(encodeRelayMessage(this.#options.hello()))
      await this.#read(channel)
    } catch (error) {
      logger.info({ remoteSiteId: partner.siteId, reason: (error as Error).message }, 'The connection of nodes ended')
    } finally {
      if (this.#channel === channel) {
        this.#down()
        this.#channel = undefined
      }
      await channel.close().catch(() => {})
    }
  }

  async #read(channel: MessageChannel): Promise<void> {
    const first = await channel.receive({ signal: AbortSignal.timeout(10_000) })
    if (first === undefined || this.#channel !== channel) return
    const hello = decodeRelayMessage(first)
    const { siteId } = this.#options.partner
    if (hello.type !== 'hello' || hello.siteId !== siteId || hello.version !== RELAY_WIRE_VERSION) {
      throw new ProtocolError(`The node does not greet as that of site "${siteId}" with version ${RELAY_WIRE_VERSION}`)
    }
    this.#up = true
    this.#options.onUp(hello)
    let malformed = 0
    for (;;) {
      const bytes = await channel.receive()
      if (bytes === undefined || this.#channel !== channel) return
      if (this.#take(bytes)) continue
      malformed += 1
      this.#options.onMalformed()
      if (malformed > MAX_MALFORMED) throw new ProtocolError(`More than ${MAX_MALFORMED} messages that are none`)
    }
  }

  #take(bytes: Uint8Array): boolean {
    if (bytes[0] === FRAME_ID) {
      this.#options.onFrame(bytes)
      return true
    }
    let message: RelayMessage
    try {
      message = decodeRelayMessage(bytes)
    } catch {
      return false
    }
    this.#options.onMessage(message)
    return true
  }

  #down(): void {
    if (!this.#up) return
    this.#up = false
    this.#options.onDown()
  }
}

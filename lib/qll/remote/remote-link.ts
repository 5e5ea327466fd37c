import { ClosedError, InvalidArgumentError, ProtocolError } from '../../errors.ts'
import type { Unsubscribe } from '../../interface/lifecycle.ts'
import type { Link, LinkBlock, LinkStatus, NextLinkBlockOptions } from '../../interface/link.ts'
import type { Logger } from '../../interface/logger.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { AsyncQueue } from '../../util/async-queue.ts'
import { BackOff, type BackOffOptions } from '../../util/back-off.ts'
import { debugLogger } from '../../util/debug-logger.ts'
import { type DialChannel, DialledLine } from '../../util/dialled-line.ts'
import { Listeners } from '../../util/listeners.ts'
import { MAX_NUMBER } from '../quantum-wire.ts'
import { decodeFromLink, encodeToLink, type FromLink, MAX_HELD, type ToLink } from './link-wire.ts'

/** Which link to reach, and how. */
export interface RemoteLinkOptions extends Pick<LinkStatus, 'linkId' | 'localSiteId' | 'remoteSiteId'> {
  /** What the link is, until it says so itself. */
  readonly expected: Pick<LinkStatus, 'kind' | 'secrecy' | 'simulated' | 'blockSizeBytes'>
  /** Opens a channel to the process of the link: at once, and again whenever it is lost. */
  readonly dial: DialChannel
  /** Pauses between two tries. Default from 100 ms to 5 s. */
  readonly backOff?: BackOffOptions
  /** Where the state of the link is reported. Default nowhere. */
  readonly telemetry?: Telemetry
  /** Default `NODE_DEBUG=qkd:link`. */
  readonly logger?: Logger
}

/** The end of a link in another process of this site. Calls wait while that process is away; its key waits there. */
export function createRemoteLink(options: RemoteLinkOptions): Link {
  return new RemoteLink(options)
}

class RemoteLink implements Link {
  readonly linkId: string
  readonly localSiteId: string
  readonly remoteSiteId: string
  readonly #line: DialledLine
  readonly #telemetry: Telemetry | undefined
  readonly #listeners = new Listeners<LinkStatus>()
  /** Blocks that the link has let go of. */
  readonly #blocks = new AsyncQueue<LinkBlock>()
  /** Blocks that are here and that the link may still have. */
  readonly #held = new Map<bigint, SecretKey>()
  #outgoing: ToLink[] = []
  #status: LinkStatus
  #floor = 0n
  #received = 0
  #wanted = ''
  #closing: Promise<void> | undefined

  constructor(options: RemoteLinkOptions) {
    const { linkId, localSiteId, remoteSiteId, expected, telemetry, logger = debugLogger('link') } = options
    this.linkId = linkId
    this.localSiteId = localSiteId
    this.remoteSiteId = remoteSiteId
    this.#telemetry = telemetry
    const nothing = { rateBps: 0, bufferedBits: 0, qber: undefined }
    const away = { state: 'down', reason: 'The process of the link is not connected yet' } as const
    this.#status = { linkId, localSiteId, remoteSiteId, ...expected, ...nothing, ...away }
    this.#line = new DialledLine({
      to: `the process of link ${linkId}`,
      backOff: new BackOff(options.backOff),
      logger,
      dial: async ({ signal }) => {
        const channel = await options.dial({ signal })
        await channel.send(encodeToLink({ type: 'open', linkId, held: [...this.#held.keys()] }), { signal })
        return channel
      },
      onHello: frame => this.#begin(frame),
      onFrame: frame => this.#take(decodeFromLink(frame)),
      nextFrame: () => this.#nextFrame(),
      onDown: reason => this.#lose(reason),
      onEnd: () => {},
    })
  }

  status(): LinkStatus {
    const { bufferedBits, blockSizeBytes } = this.#status
    return { ...this.#status, bufferedBits: bufferedBits + this.#blocks.size * blockSizeBytes * 8 }
  }

  onStatus(listener: (status: LinkStatus) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  async nextBlock({ signal, after = 0n }: NextLinkBlockOptions = {}): Promise<LinkBlock> {
    if (after < 0n || after > MAX_NUMBER) throw new InvalidArgumentError(`after must be from 0 to ${MAX_NUMBER}`)
    if (this.#blocks.waiting >= MAX_HELD) {
      throw new InvalidArgumentError(`${MAX_HELD} callers wait for blocks of link "${this.linkId}": await some first`)
    }
    this.#raiseFloor(after)
    const taken = this.#blocks.take({ ...(signal && { signal }) })
    this.#ask()
    try {
      const block = await taken
      if (block === undefined) throw new ClosedError(`Link "${this.linkId}" is closed`)
      // What is taken is spent, so that a taker that says so each time costs nothing.
      if (block.number > this.#floor) this.#floor = block.number
      return block
    } finally {
      this.#ask()
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#show({ ...this.#status, state: 'down', reason: 'Closed', rateBps: 0, bufferedBits: 0 })
    this.#listeners.clear()
    let bytes = 0
    for (const secret of [...this.#blocks.drain().map(block => block.secret), ...this.#held.values()]) {
      bytes += secret.sizeBytes
      secret.wipe()
    }
    this.#held.clear()
    this.#blocks.end(new ClosedError(`Link "${this.linkId}" is closed`))
    if (bytes > 0) {
      const reason = 'the network layer was closed before it was taken'
      this.#telemetry?.emit({ type: 'link-key-burned', linkId: this.linkId, bytes, reason })
    }
    await this.#line.close()
  }

  #begin(frame: Uint8Array): void {
    const message = decodeFromLink(frame)
    if (message.type !== 'hello') {
      if (message.type === 'block') message.secret.wipe()
      throw new ProtocolError('The process of the link does not say what it is')
    }
    const { linkId, localSiteId, remoteSiteId, blockSizeBytes } = message.status
    const isOurs = linkId === this.linkId && localSiteId === this.localSiteId && remoteSiteId === this.remoteSiteId
    if (!isOurs || blockSizeBytes !== this.#status.blockSizeBytes) {
      throw new ProtocolError(`It is link "${linkId}" from ${localSiteId} to ${remoteSiteId}, ${blockSizeBytes} bytes`)
    }
    this.#outgoing = []
    this.#received = 0
    this.#wanted = ''
    this.#show(message.status)
    this.#ask()
  }

  #take(message: FromLink): void {
    switch (message.type) {
      case 'status':
        this.#show(message.status)
        return
      case 'released':
        this.#release(message.number)
        return
      case 'block': {
        const { number, secret, bufferedBits } = message
        if (secret.sizeBytes !== this.#status.blockSizeBytes || this.#held.size >= MAX_HELD) {
          secret.wipe()
          throw new ProtocolError('A block of another size, or one too many')
        }
        this.#received += 1
        this.#status = { ...this.#status, bufferedBits: Number(bufferedBits) }
        // One that came before the last connection was lost comes again: it is the same.
        if (number <= this.#floor || this.#held.has(number)) secret.wipe()
        else this.#held.set(number, secret)
        this.#say({ type: 'received', number })
        this.#ask()
        return
      }
      case 'hello':
        throw new ProtocolError('The process of the link says twice what it is')
    }
  }

  /** The link has let go of a block: from now on it is here alone. */
  #release(number: bigint): void {
    const secret = this.#held.get(number)
    this.#held.delete(number)
    if (secret === undefined) return
    if (number <= this.#floor || !this.#blocks.push({ number, secret })) secret.wipe()
    this.#ask()
  }

  #lose(reason: string): void {
    if (this.#closing !== undefined) return
    const why = `No connection to the process of the link: ${reason}`
    this.#show({ ...this.#status, state: 'down', reason: why, rateBps: 0, bufferedBits: 0 })
  }

  #raiseFloor(after: bigint): void {
    if (after <= this.#floor) return
    this.#floor = after
    for (const [number, secret] of this.#held) {
      if (number > after) continue
      secret.wipe()
      this.#held.delete(number)
    }
    // While blocks wait nobody waits for one, so putting them back keeps the order.
    for (const block of this.#blocks.drain()) {
      if (block.number <= after || !this.#blocks.push(block)) block.secret.wipe()
    }
  }

  /** Asks for as many blocks as takers wait for. */
  #ask(): void {
    const missing = Math.max(0, this.#blocks.waiting - this.#held.size)
    const want = { type: 'want', upTo: this.#received + missing, after: this.#floor } as const
    const text = `${want.upTo} ${want.after}`
    if (!this.#line?.up || text === this.#wanted) return
    this.#wanted = text
    this.#outgoing = this.#outgoing.filter(({ type }) => type !== 'want')
    this.#say(want)
  }

  #say(message: ToLink): void {
    this.#outgoing.push(message)
    this.#line.ring()
  }

  #nextFrame(): Buffer | undefined {
    // The first look after the hello: what is wanted was not known to be heard before.
    if (this.#wanted === '') this.#ask()
    const message = this.#outgoing.shift()
    return message && encodeToLink(message)
  }

  #show(status: LinkStatus): void {
    const { state, reason, rateBps } = this.#status
    this.#status = status
    const { linkId } = this
    this.#telemetry?.gauge('link_buffered_bits', { link: linkId }, status.bufferedBits)
    if (status.qber !== undefined) this.#telemetry?.gauge('link_qber', { link: linkId }, status.qber)
    if (state === status.state && reason === status.reason && rateBps === status.rateBps) return
    const because = status.reason === undefined ? {} : { reason: status.reason }
    this.#telemetry?.emit({ type: 'link', linkId, state: status.state, ...because })
    this.#telemetry?.gauge('link_rate_bps', { link: linkId }, status.rateBps)
    this.#listeners.emit(this.status())
  }
}

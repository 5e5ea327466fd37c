import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { StreamChannel } from '../../channel/stream-channel.ts'
import { ClosedError, PoolExhaustedError, ProtocolError, QkdError } from '../../errors.ts'
import type { LinkState } from '../../interface/link.ts'
import { PROOF_BYTES, type ProvedBlock, proveBlock } from '../../key/proved-block.ts'
import { BackOff } from '../../util/back-off.ts'
import type { BlockNumbers } from '../../util/block-numbers.ts'
import { abortable, delay, withDeadline } from '../../util/deadline.ts'
import type { EndState } from '../end-state.ts'
import type { LinkEnd } from '../simulated-link.ts'
import type { DeviceMessage } from './device-message.ts'
import { DeviceSession, sizeMismatch } from './device-session.ts'
import { KeyBatches } from './key-batches.ts'
import type { DrawnKeys, KmePort } from './kme-port.ts'
import { MismatchAlarm } from './mismatch-alarm.ts'
import { proofContext } from './proof-context.ts'
import { YieldGauge } from './yield-gauge.ts'

/** Batches whose key_IDs are under way: while the other end fetches one, the next is drawn. */
const MAX_OPEN_BATCHES = 2
/** Blocks that the other end has not confirmed yet. */
const MAX_OPEN_BLOCKS = 4
/** How long a new connection may take to say hello, in milliseconds. */
const HELLO_MS = 5_000
/** Pauses after a refusal by the KME that does not say when to come again. */
const PAUSES = { minMs: 50, maxMs: 5_000 }
/** So long may the devices be without key before the link counts as degraded, in milliseconds. */
const STARVED_MS = 60_000

/** What a drawing end is made from. */
export interface DrawingEndOptions {
  readonly state: EndState
  readonly numbers: BlockNumbers
  readonly port: KmePort
}

/**
 * The listening end: it draws keys at its KME, tells the other end their key_IDs, and makes a block of what both ends have.
 * Key is scarce: what one connection left behind serves the next one.
 */
export class DrawingEnd implements LinkEnd {
  readonly #state: EndState
  readonly #numbers: BlockNumbers
  readonly #port: KmePort
  readonly #gauge: YieldGauge
  readonly #alarm: MismatchAlarm
  readonly #batches = new KeyBatches()
  /** Blocks whose other half has not been heard of. */
  readonly #pending = new Map<bigint, ProvedBlock>()
  /** Which process drew what the other end may still hold. */
  readonly #epoch = randomBytes(8).readBigUInt64BE() | 1n
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<void>>()
  #session: DeviceSession | undefined
  #batch = 0
  #credit = 0
  #interruption: string | undefined
  #wake: () => void = () => {}
  /** When a block was last made, on the monotonic clock. */
  #blockMs = Number.NEGATIVE_INFINITY

  constructor({ state, numbers, port }: DrawingEndOptions) {
    this.#state = state
    this.#numbers = numbers
    this.#port = port
    this.#gauge = new YieldGauge({ blockBits: state.options.blockSizeBytes * 8 })
    this.#alarm = new MismatchAlarm(state.options)
  }

  /** A connection of which it is proved that the other end of this link is there. */
  accept(channel: StreamChannel): void {
    const running = this.#serve(channel).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  makeRoom(): void {
    this.#wake()
  }

  startAbove(floor: bigint): void {
    this.#numbers.startAbove(floor)
    this.#wake()
  }

  interrupt(reason: string): void {
    this.#interruption = reason
    this.#session?.end(new ClosedError(reason))
    this.#state.down(reason)
  }

  restore(): void {
    this.#interruption = undefined
  }

  async close(): Promise<void> {
    this.#closing.abort(new ClosedError('The link is closed'))
    await Promise.all(this.#running)
    this.#batches.retain([])
    for (const { secret } of this.#pending.values()) secret.wipe()
    this.#pending.clear()
  }

  async #serve(channel: StreamChannel): Promise<void> {
    const session = new DeviceSession(channel, this.#closing.signal)
    let reason = 'The connection is lost'
    try {
      await this.#greet(session)
      await session.run(
        () => this.#listen(session),
        () => this.#drawOn(session),
      )
    } catch (error) {
      reason = (error as Error).message
    } finally {
      if (this.#session === session) {
        this.#session = undefined
        this.#gauge.rest()
        this.#state.down(this.#interruption ?? reason)
      }
      await session.close()
    }
  }

  async #greet(session: DeviceSession): Promise<void> {
    const { blockSizeBytes } = this.#state.options
    const hello = await session.expect('hello', { signal: withDeadline(session.signal, HELLO_MS) })
    if (this.#interruption !== undefined) throw new ClosedError(this.#interruption)
    const mismatch = sizeMismatch(blockSizeBytes, hello.blockSizeBytes)
    if (mismatch !== undefined) {
      await session.send({ type: 'welcome', blockSizeBytes, rateBps: 0, epoch: this.#epoch, batches: [] })
      throw mismatch
    }
    // Whoever proves that it is the other end has no use for an older connection.
    this.#session?.end(new ClosedError('Another connection took its place'))
    this.#session = session
    this.#credit = 0
    this.#settle(hello)
    const rateBps = this.#gauge.rateBps === 0 ? hello.rateBps : this.#gauge.rateBps
    if (rateBps === 0) this.#state.down('Waits for the first key of the devices')
    else this.#state.up(rateBps, rateBps)
    await session.send({ type: 'welcome', blockSizeBytes, rateBps, epoch: this.#epoch, batches: this.#batches.numbers })
  }

  /** What was under way when the last connection broke is kept if the other end has it, and dropped if not. */
  #settle({ epoch, batches, blocks, floor }: Extract<DeviceMessage, { type: 'hello' }>): void {
    const known = epoch === this.#epoch
    this.#batches.retain(known ? batches : [])
    for (const [number, { secret }] of this.#pending) {
      if (known && blocks.includes(number)) this.#state.offer({ number, secret })
      else secret.wipe()
    }
    this.#pending.clear()
    this.#numbers.startAbove(floor)
  }

  async #listen(session: DeviceSession): Promise<void> {
    for (;;) {
      const message = await session.receive()
      if (message.type === 'credit') this.#credit += message.blocks
      else if (message.type === 'floor') this.#numbers.startAbove(message.number)
      else if (message.type === 'fetched') this.#share(message)
      else if (message.type === 'failed') await this.#drop(session, message)
      else if (message.type === 'received') await this.#confirm(session, message)
      else if (message.type === 'mismatch') this.#burn(message.number)
      else throw new ProtocolError(`A message of type "${message.type}" is out of place`)
      this.#wake()
    }
  }

  async #drawOn(session: DeviceSession): Promise<void> {
    const { signal } = session
    const need = this.#state.options.blockSizeBytes + PROOF_BYTES
    for (;;) {
      if (!this.#wanted) {
        this.#gauge.rest()
        await this.#woken(signal)
      } else if (this.#batches.sharedBytes >= need && this.#pending.size < MAX_OPEN_BLOCKS) {
        await this.#makeBlock(session, this.#batches.choose(need))
      } else if (this.#batches.sizeBytes < need && this.#batches.open < MAX_OPEN_BATCHES) {
        this.#gauge.begin()
        const drawn = await this.#draw(session, need - this.#batches.sizeBytes)
        const batch = this.#nextBatch()
        this.#batches.add(batch, drawn.secrets, { shared: false })
        await session.send({ type: 'batch', batch, keyIds: drawn.keyIds })
      } else await this.#woken(signal)
    }
  }

  /** Keys, however long the KME needs; each try is a request for other keys. */
  async #draw(session: DeviceSession, needBytes: number): Promise<DrawnKeys> {
    const backOff = new BackOff(PAUSES)
    for (;;) {
      try {
        return await this.#port.draw(needBytes, session.signal)
      } catch (error) {
        session.signal.throwIfAborted()
        const retryAfterMs = error instanceof QkdError ? error.retryAfterMs : undefined
        await this.#complain(session, error as Error)
        await delay(Math.max(backOff.nextMs(), Math.min(retryAfterMs ?? 0, PAUSES.maxMs)), { signal: session.signal })
      }
    }
  }

  /** Devices that are slower than their users are no fault, so being short of key alone takes a while to show. */
  async #complain(session: DeviceSession, error: Error): Promise<void> {
    if (!(error instanceof PoolExhaustedError))
      return this.#show(session, 'down', `The KME does not serve: ${error.message}`)
    if (performance.now() - this.#blockMs < STARVED_MS) return
    const made = this.#blockMs !== Number.NEGATIVE_INFINITY
    await this.#show(session, made ? 'degraded' : 'down', `The KME has no key: ${error.message}`)
  }

  #nextBatch(): number {
    this.#batch = (this.#batch + 1) % 2 ** 32
    return this.#batch
  }

  async #makeBlock(session: DeviceSession, batches: readonly number[]): Promise<void> {
    const { linkId, localSiteId, remoteSiteId, blockSizeBytes } = this.#state.options
    const number = this.#numbers.next()
    const context = proofContext(linkId, [localSiteId, remoteSiteId], number)
    const block = proveBlock(this.#batches.take(batches) ?? [], { sizeBytes: blockSizeBytes, context })
    this.#pending.set(number, block)
    this.#credit -= 1
    this.#gauge.block()
    const { rateBps } = this.#gauge
    await session.send({ type: 'block', number, rateBps, tag: block.tags.drawer, batches })
  }

  #share({ batch, sizeBytes }: Extract<DeviceMessage, { type: 'fetched' }>): void {
    if (this.#batches.sizeOf(batch) === sizeBytes) this.#batches.share(batch)
    else throw new ProtocolError(`The other end has ${sizeBytes} bytes of batch ${batch}, which are not those drawn`)
  }

  async #drop(session: DeviceSession, { batch, reason }: Extract<DeviceMessage, { type: 'failed' }>): Promise<void> {
    this.#batches.drop(batch)
    await this.#show(session, 'degraded', `The KME of the other end does not serve: ${reason}`)
  }

  async #confirm(session: DeviceSession, { number, tag }: Extract<DeviceMessage, { type: 'received' }>): Promise<void> {
    const block = this.#pending.get(number)
    if (block === undefined || !timingSafeEqual(block.tags.fetcher, tag)) {
      throw new ProtocolError(`A receipt for block ${number} that is not its proof`)
    }
    this.#pending.delete(number)
    this.#state.offer({ number, secret: block.secret })
    this.#blockMs = performance.now()
    this.#alarm.clear()
    await this.#show(session, 'up', '')
  }

  /** Not the same key at both ends: neither uses it. */
  #burn(number: bigint): void {
    const block = this.#pending.get(number)
    if (block === undefined) throw new ProtocolError(`A word on block ${number}, which is not under way`)
    block.secret.wipe()
    this.#pending.delete(number)
    this.#credit += 1
    this.#alarm.raise()
  }

  /** Sets the state, and lets the other end know. */
  async #show(session: DeviceSession, state: LinkState, reason: string): Promise<void> {
    const before = this.#state.status()
    const rateBps = this.#gauge.rateBps
    if (state === 'up') this.#state.up(rateBps, rateBps)
    else if (state === 'degraded') this.#state.degraded(reason, rateBps)
    else this.#state.down(reason)
    const after = this.#state.status()
    if (before.state !== after.state || before.reason !== after.reason)
      await session.send({ type: 'state', state, reason })
  }

  get #wanted(): boolean {
    return this.#credit > 0 && this.#state.roomBlocks > this.#pending.size
  }

  async #woken(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const woken = new Promise<void>(resolve => {
      this.#wake = resolve
    })
    await abortable(woken, { signal })
  }
}

import { timingSafeEqual } from 'node:crypto'
import type { StreamChannel } from '../../channel/stream-channel.ts'
import { ClosedError, ProtocolError } from '../../errors.ts'
import { PROOF_BYTES, proveBlock } from '../../key/proved-block.ts'
import { AsyncQueue } from '../../util/async-queue.ts'
import type { BackOff } from '../../util/back-off.ts'
import { withDeadline } from '../../util/deadline.ts'
import type { EndState } from '../end-state.ts'
import type { LinkEnd } from '../simulated-link.ts'
import type { DeviceMessage } from './device-message.ts'
import { DeviceSession, sizeMismatch } from './device-session.ts'
import { KeyBatches } from './key-batches.ts'
import type { KmePort } from './kme-port.ts'
import { MismatchAlarm } from './mismatch-alarm.ts'
import { proofContext } from './proof-context.ts'

/** How long the other end may take to answer our hello, in milliseconds. */
const WELCOME_MS = 5_000
/** Numbers of proved blocks that the next hello tells: more than can be under way. */
const KEPT_BLOCKS = 16
/** Batches that may wait to be fetched; the other end has no more under way. */
const MAX_WAITING_BATCHES = 8
/** Room that is offered at a time. */
const MAX_CREDIT = 4_096

/** What a fetching end is made from. */
export interface FetchingEndOptions {
  readonly state: EndState
  readonly port: KmePort
  readonly backOff: BackOff
  /** Opens a connection of which it is proved that the other end of this link is there. */
  readonly connect: (options: { signal: AbortSignal }) => Promise<StreamChannel>
}

/**
 * The connecting end: it fetches at its KME the keys whose key_IDs the other end tells, and proves each block. It connects
 * again, with back-off, until it is closed.
 */
export class FetchingEnd implements LinkEnd {
  readonly #state: EndState
  readonly #port: KmePort
  readonly #backOff: BackOff
  readonly #connect: FetchingEndOptions['connect']
  readonly #alarm: MismatchAlarm
  readonly #batches = new KeyBatches()
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  /** Blocks of this epoch that were proved here, the newest ones. */
  #blocks: bigint[] = []
  #epoch = 0n
  #session: DeviceSession | undefined
  /** Blocks that the other end may still send. */
  #credit = 0
  #lastNumber = 0n
  /** What the devices yield, as the other end measures it. */
  #rateBps = 0
  #interruption: string | undefined
  #wake: () => void = () => {}

  constructor({ state, port, backOff, connect }: FetchingEndOptions) {
    this.#state = state
    this.#port = port
    this.#backOff = backOff
    this.#connect = connect
    this.#alarm = new MismatchAlarm(state.options)
    this.#running = this.#run()
  }

  makeRoom(): void {
    const session = this.#session
    const blocks = Math.min(this.#state.roomBlocks - this.#credit, MAX_CREDIT)
    if (session === undefined || blocks <= 0) return
    this.#credit += blocks
    this.#tell(session, { type: 'credit', blocks })
  }

  startAbove(floor: bigint): void {
    if (this.#session === undefined) return
    this.#tell(this.#session, { type: 'floor', number: floor })
    this.makeRoom()
  }

  interrupt(reason: string): void {
    this.#interruption = reason
    this.#session?.end(new ClosedError(reason))
    this.#state.down(reason)
  }

  restore(): void {
    this.#interruption = undefined
    this.#backOff.reset()
    this.#wake()
  }

  async close(): Promise<void> {
    this.#closing.abort(new ClosedError('The link is closed'))
    this.#wake()
    await this.#running
    this.#batches.retain([])
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      const reason = await this.#connectOnce().catch((error: Error) => error)
      if (signal.aborted) return
      this.#state.down(this.#interruption ?? reason.message)
      await this.#pause(this.#backOff.nextMs())
      while (this.#interruption !== undefined && !signal.aborted) await this.#pause(undefined)
    }
  }

  /** Holds one connection until it ends, and tells why it did. */
  async #connectOnce(): Promise<never> {
    const channel = await this.#connect({ signal: this.#closing.signal })
    const session = new DeviceSession(channel, this.#closing.signal)
    try {
      if (this.#interruption !== undefined) throw new ClosedError(this.#interruption)
      await this.#greet(session)
      const batches = new AsyncQueue<Extract<DeviceMessage, { type: 'batch' }>>()
      return await session.run(
        () => this.#listen(session, batches),
        () => this.#fetchOn(session, batches),
      )
    } finally {
      this.#session = undefined
      await session.close()
    }
  }

  async #greet(session: DeviceSession): Promise<void> {
    const { blockSizeBytes } = this.#state.options
    const { floor } = this.#state
    const held = { epoch: this.#epoch, batches: this.#batches.numbers, blocks: this.#blocks }
    const spent = floor > this.#lastNumber ? floor : this.#lastNumber
    await session.send({ type: 'hello', blockSizeBytes, rateBps: this.#rateBps, floor: spent, ...held })
    const welcome = await session.expect('welcome', { signal: withDeadline(session.signal, WELCOME_MS) })
    const mismatch = sizeMismatch(blockSizeBytes, welcome.blockSizeBytes)
    if (mismatch !== undefined) throw mismatch
    if (welcome.epoch !== this.#epoch) {
      this.#blocks = []
      this.#epoch = welcome.epoch
    }
    this.#batches.retain(welcome.batches)
    this.#backOff.reset()
    this.#session = session
    this.#credit = 0
    this.#rateBps = welcome.rateBps
    if (this.#rateBps === 0) this.#state.down('Waits for the first key of the devices')
    else this.#state.up(this.#rateBps, this.#rateBps)
    this.makeRoom()
  }

  async #listen(session: DeviceSession, batches: AsyncQueue<Extract<DeviceMessage, { type: 'batch' }>>): Promise<void> {
    for (;;) {
      const message = await session.receive()
      if (message.type === 'batch' && batches.size < MAX_WAITING_BATCHES) batches.push(message)
      else if (message.type === 'block') await this.#prove(session, message)
      else if (message.type === 'state') this.#follow(message)
      else throw new ProtocolError(`A message of type "${message.type}" is out of place`)
    }
  }

  async #fetchOn(
    session: DeviceSession,
    batches: AsyncQueue<Extract<DeviceMessage, { type: 'batch' }>>,
  ): Promise<void> {
    for (;;) {
      const { batch, keyIds } = (await batches.take({ signal: session.signal }))!
      const keys = await this.#port.fetch(keyIds, session.signal).catch((error: Error) => error)
      session.signal.throwIfAborted()
      if (keys instanceof Error) {
        this.#state.degraded(`The KME does not serve: ${keys.message}`, this.#rateBps)
        await session.send({ type: 'failed', batch, reason: keys.message })
        continue
      }
      if (this.#batches.sizeOf(batch) !== undefined) throw new ProtocolError(`Batch ${batch} came twice`)
      this.#batches.add(batch, keys, { shared: true })
      await session.send({ type: 'fetched', batch, sizeBytes: this.#batches.sizeOf(batch)! })
    }
  }

  async #prove(session: DeviceSession, block: Extract<DeviceMessage, { type: 'block' }>): Promise<void> {
    const { number, tag, rateBps, batches } = block
    const { linkId, localSiteId, remoteSiteId, blockSizeBytes } = this.#state.options
    if (this.#credit === 0) throw new ProtocolError('The other end sent more blocks than it had credit for')
    if (number <= this.#lastNumber) throw new ProtocolError(`Block ${number} is not above ${this.#lastNumber}`)
    const sizeBytes = batches.reduce((sum, batch) => sum + (this.#batches.sizeOf(batch) ?? 0), 0)
    const keys = sizeBytes < blockSizeBytes + PROOF_BYTES ? undefined : this.#batches.take(batches)
    if (keys === undefined) throw new ProtocolError(`Block ${number} is of batches that are not here`)
    const context = proofContext(linkId, [remoteSiteId, localSiteId], number)
    const { secret, tags } = proveBlock(keys, { sizeBytes: blockSizeBytes, context })
    this.#lastNumber = number
    this.#credit -= 1
    if (!timingSafeEqual(tags.drawer, tag)) {
      secret.wipe()
      this.#credit += 1
      this.#alarm.raise()
      this.#state.degraded('The two KMEs gave different keys', rateBps)
      await session.send({ type: 'mismatch', number })
      return
    }
    this.#blocks = [...this.#blocks, number].slice(-KEPT_BLOCKS)
    this.#alarm.clear()
    this.#rateBps = rateBps
    this.#state.up(rateBps, rateBps)
    this.#state.offer({ number, secret })
    await session.send({ type: 'received', number, tag: tags.fetcher })
    // A block that found a taker, or was below the floor, has left room.
    this.makeRoom()
  }

  #follow({ state, reason }: Extract<DeviceMessage, { type: 'state' }>): void {
    if (state === 'up') this.#state.up(this.#rateBps, this.#rateBps)
    else if (state === 'degraded') this.#state.degraded(reason, this.#rateBps)
    else this.#state.down(reason)
  }

  /** A message that nobody waits for: what ends it ends the session too. */
  #tell(session: DeviceSession, message: DeviceMessage): void {
    session.send(message).catch(error => session.end(error as Error))
  }

  /** Waits for `ms`, or for `#wake` alone. The timer is not unref()ed, as a socket under way would not be. */
  async #pause(ms: number | undefined): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      this.#wake = resolve
      if (ms !== undefined) timer = setTimeout(resolve, ms)
    })
    clearTimeout(timer)
  }
}

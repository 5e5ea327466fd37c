import type { StreamChannel } from '../../../channel/stream-channel.ts'
import { ClosedError, ProtocolError } from '../../../errors.ts'
import type { SecretKey } from '../../../key/secret-key.ts'
import { WegmanCarter } from '../../../key/wegman-carter.ts'
import { BackOff } from '../../../util/back-off.ts'
import type { BlockNumbers } from '../../../util/block-numbers.ts'
import { abortable, withDeadline } from '../../../util/deadline.ts'
import type { EndState } from '../../end-state.ts'
import type { LinkEnd } from '../../simulated-link.ts'
import { wallClock } from '../photons/photon-line.ts'
import type { RecordSource } from '../photons/records.ts'
import type { Authenticator } from '../session/authenticator.ts'
import { Bb84Session, type SessionBlock } from '../session/bb84-session.ts'
import { AuthenticationLedger, type LinkAuthenticationAccount } from './authentication-ledger.ts'
import { AuthenticationReserve } from './authentication-reserve.ts'
import type { CheckedBb84Options } from './bb84-link-options.ts'
import { whileHeld } from './door.ts'
import { encodeIntroduction, hear, INTRODUCTION_MS, type Introduction, introductionMismatch } from './introduction.ts'
import { LightGauge } from './light-gauge.ts'

/** Pause before the next block while light leaves no key, in milliseconds: the first, and the longest. */
const PROBE_MS = [100, 10_000] as const

/** A way to the other end, and to this end's devices. */
export interface EndConnection {
  readonly channel: StreamChannel
  readonly records: RecordSource
  /** What the other end said first, where somebody has heard it already. */
  readonly introduction?: Introduction
  /** Releases both at once. */
  close(): Promise<void>
}

/** Brings the next connection; waits as long as it takes. */
export type Connect = (options: { signal: AbortSignal }) => Promise<EndConnection>

/** What either end of a BB84 link runs on. */
export interface EndLoopOptions {
  readonly role: 'alice' | 'bob'
  readonly options: CheckedBb84Options
  readonly state: EndState
  readonly connect: Connect
  readonly backOff: BackOff
  /** Proves the first round, when the ends have no key yet or no more. */
  readonly bootstrap: () => Authenticator
  /** Alice alone. */
  readonly numbers: BlockNumbers
}

/**
 * One end at work: it connects, distils block after block while both ends have room, and begins again whenever that ends,
 * until it is closed. The first session is proved by `bootstrap`, later ones by key out of earlier blocks; `bootstrap`
 * comes in again where an end has lost that key with its process, or has used it up.
 */
export class EndLoop implements LinkEnd {
  readonly #parts: EndLoopOptions
  readonly #gauge: LightGauge
  readonly #reserve = new AuthenticationReserve()
  readonly #ledger = new AuthenticationLedger(this.#reserve)
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  readonly #probes = new BackOff({ minMs: PROBE_MS[0], maxMs: PROBE_MS[1] })
  #connection: EndConnection | undefined
  #interruption: string | undefined
  #lastNumber = -1n
  #wakeRoom: () => void = () => {}
  #wakePause: () => void = () => {}

  constructor(parts: EndLoopOptions) {
    this.#parts = parts
    this.#gauge = new LightGauge(parts.options, parts.state)
    this.#running = this.#run()
  }

  get authentication(): LinkAuthenticationAccount {
    return this.#ledger.account
  }

  makeRoom(): void {
    this.#wakeRoom()
  }

  startAbove(floor: bigint): void {
    this.#parts.numbers.startAbove(floor)
    this.#wakeRoom()
  }

  interrupt(reason: string): void {
    this.#interruption = reason
    this.#parts.state.down(reason)
    void this.#connection?.close()
  }

  restore(): void {
    this.#interruption = undefined
    this.#parts.backOff.reset()
    this.#wakePause()
  }

  async close(): Promise<void> {
    this.#closing.abort(new ClosedError('The link is closed'))
    this.#wakePause()
    await this.#running
    this.#reserve.wipe()
  }

  async #run(): Promise<void> {
    const { state, backOff } = this.#parts
    const { signal } = this.#closing
    while (!signal.aborted) {
      const reason = await this.#connectOnce().catch((error: Error) => error)
      if (signal.aborted) return
      this.#gauge.lost(reason)
      state.down(this.#interruption ?? reason.message)
      await this.#pause(backOff.nextMs())
      while (this.#interruption !== undefined && !signal.aborted) await this.#pause(undefined)
    }
  }

  /** Holds one connection until it ends, and tells why it did. */
  async #connectOnce(): Promise<Error> {
    const connection = await this.#parts.connect({ signal: this.#closing.signal })
    this.#connection = connection
    const signal = whileHeld(connection.channel, this.#closing.signal)
    try {
      if (this.#interruption !== undefined) return new ClosedError(this.#interruption)
      await this.#serve(connection, signal)
      return new ClosedError('The session is over')
    } finally {
      this.#connection = undefined
      await connection.close()
    }
  }

  async #serve(connection: EndConnection, signal: AbortSignal): Promise<void> {
    const session = await this.#openSession(connection, signal)
    const stop = connection.records.onLight?.(dark => this.#gauge.light(dark))
    try {
      this.#parts.backOff.reset()
      this.#gauge.opened()
      for (;;) {
        await this.#room(signal)
        const block = await session.nextBlock({ signal })
        this.#take(block)
        await this.#spare(block, signal)
      }
    } finally {
      stop?.()
      session.close()
      this.#ledger.end()
    }
  }

  async #openSession({ channel, records, introduction }: EndConnection, signal: AbortSignal): Promise<Bb84Session> {
    const { role, options, numbers, state } = this.#parts
    const bounded = { signal: withDeadline(signal, INTRODUCTION_MS) }
    const own = this.#introduction()
    await channel.send(encodeIntroduction(own), bounded)
    const theirs = introduction ?? (await hear(channel, bounded))
    const mismatch = introductionMismatch(own, theirs)
    if (mismatch !== undefined) throw new ProtocolError(mismatch)
    const shared = own.spares.filter(number => theirs.spares.includes(number))
    const [first, second] = role === 'alice' ? [own, theirs] : [theirs, own]
    const { parameters, blockTimeoutMs, onStage } = options
    const spare = shared[0] === undefined ? undefined : this.#reserve.take(shared[0])
    const spareBits = spare?.sizeBits ?? 0
    const opening = Bb84Session.open(channel, {
      role,
      parameters,
      records,
      blockTimeoutMs,
      authenticator: this.#authenticator(spare),
      nextNumber: () => numbers.next(),
      onPeerFloor: floor => numbers.startAbove(floor),
      floor: () => (state.floor > this.#lastNumber ? state.floor : max(this.#lastNumber, 0n)),
      lastNumber: this.#lastNumber,
      spareKeys: this.#reserve,
      context: Buffer.concat([encodeIntroduction(first), encodeIntroduction(second)]),
      signal: withDeadline(signal, INTRODUCTION_MS),
      ...(onStage === undefined ? {} : { onStage }),
    })
    const session = await opening.catch(reason => {
      this.#ledger.fail(spareBits)
      throw reason
    })
    this.#ledger.begin(session, spareBits)
    // Proved by now, and so are the lists of keys: what the other end has lost is of no use here.
    this.#reserve.retain(shared)
    return session
  }

  #introduction(): Introduction {
    const { linkId, localSiteId: siteId, remoteSiteId: peerSiteId } = this.#parts.options
    return { purpose: 'talk', linkId, siteId, peerSiteId, spares: this.#reserve.numbers }
  }

  /** Each spare key serves one session, however it ends. */
  #authenticator(spare: SecretKey | undefined): Authenticator | WegmanCarter {
    if (spare === undefined) return this.#parts.bootstrap()
    return new WegmanCarter(spare, { role: this.#parts.role === 'alice' ? 'initiator' : 'responder' })
  }

  #take({ report, secrets }: SessionBlock): void {
    for (const block of secrets) {
      this.#lastNumber = block.number
      this.#parts.state.offer(block)
    }
    this.#gauge.block(report)
    this.#parts.options.onBlock(report)
  }

  /** Light that leaves no key costs authentication key all the same: Alice looks again after longer and longer pauses. */
  async #spare({ report }: SessionBlock, signal: AbortSignal): Promise<void> {
    if (report.cause !== 'light') this.#probes.reset()
    else if (this.#parts.role === 'alice') await wallClock.sleep(this.#probes.nextMs(), { signal })
  }

  /** Resolves when a block may come; a block may overfill the buffer by what it brings. */
  async #room(signal: AbortSignal): Promise<void> {
    while (this.#parts.state.roomBlocks <= 0) {
      signal.throwIfAborted()
      await abortable(this.#woken(), { signal })
    }
  }

  #woken(): Promise<void> {
    return new Promise(resolve => {
      this.#wakeRoom = resolve
    })
  }

  /** Waits for `ms`, or for `#wake` alone. The timer is not unref()ed, as a socket under way would not be. */
  async #pause(ms: number | undefined): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      this.#wakePause = resolve
      if (ms !== undefined) timer = setTimeout(resolve, ms)
    })
    clearTimeout(timer)
  }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

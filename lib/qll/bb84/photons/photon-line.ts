import { setTimeout as pause } from 'node:timers/promises'
import { ClosedError } from '../../../errors.ts'
import type { AbortOptions, Unsubscribe } from '../../../interface/lifecycle.ts'
import { abortable } from '../../../util/deadline.ts'
import { Listeners } from '../../../util/listeners.ts'
import type { ChannelModel } from '../model/channel-model.ts'
import { type ProtocolParameters, pulsesFor } from '../model/expected-block.ts'
import { type PhotonBlock, PhotonChannel } from './photon-channel.ts'
import type { LitPath, PhotonPath } from './photon-path.ts'
import { joinRecords, type PulseRecords, type RecordSource } from './records.ts'

/** Blocks that one side's device keeps for a side that is slow to ask; older ones are overwritten. */
const KEPT_BLOCKS = 2
/** How often a path that is dark is asked again, in milliseconds. */
const DARK_POLL_MS = 100
/** Longest that a path is believed to stay dark, in milliseconds: as long as a timer can run. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1
/** A path so lossy that a block takes longer than this is as good as dark, in seconds: a day. */
const LONGEST_BLOCK_S = 86_400

/** The time that pulses take. */
export interface LineClock {
  /** Milliseconds of a clock that never goes back. */
  now(): number
  /** Resolves after `ms`, or rejects with the reason of the signal. */
  sleep(ms: number, options: { signal: AbortSignal }): Promise<void>
}

/** The time of the wall. A line at work keeps its process alive, as an open socket would. */
export const wallClock: LineClock = {
  now: () => performance.now(),
  sleep: (ms, { signal }) =>
    pause(ms, undefined, { signal }).catch(error => {
      throw signal.aborted ? signal.reason : error
    }),
}

/** What a `PhotonLine` is made from. */
export interface PhotonLineOptions {
  readonly path: PhotonPath
  readonly protocol: ProtocolParameters
  /** Sifted bits that a block is expected to hold: it lasts until so many are there. */
  readonly keyBits: number
  /** Default: the wall clock. */
  readonly clock?: LineClock
}

type Side = 'alice' | 'bob'

/**
 * The whole quantum part of one link: Alice's source, what lies between, Bob's detectors, each block in the time that its
 * pulses take. A block is sent when a side asks for one. Each side gets its own records and nothing else, in this process
 * or, through `servePhotons`, in another. What a side does not ask for in time is gone, as in a device whose memory is
 * full; the ends find the next common block by its number.
 */
export class PhotonLine {
  readonly alice: RecordSource
  readonly bob: RecordSource
  readonly #options: PhotonLineOptions
  readonly #clock: LineClock
  readonly #waiting = { alice: [] as PulseRecords[], bob: [] as PulseRecords[] }
  readonly #listeners = new Listeners<string | undefined>()
  readonly #closing = new AbortController()
  #blocks = 0n
  #channel: PhotonChannel | undefined
  #sending: Promise<void> | undefined
  #dark: string | undefined
  /** When the last pulse was sent. */
  #restedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: PhotonLineOptions) {
    this.#options = options
    this.#clock = options.clock ?? wallClock
    this.alice = this.#source('alice')
    this.bob = this.#source('bob')
  }

  /** Turns the source off and overwrites what waits. */
  close(): void {
    this.#closing.abort(new ClosedError('The photon channel is closed'))
    for (const records of [...this.#waiting.alice.splice(0), ...this.#waiting.bob.splice(0)]) records.states.fill(0)
    this.#listeners.clear()
  }

  #source(side: Side): RecordSource {
    return {
      next: options => this.#next(side, options),
      onLight: listener => this.#onLight(listener),
    }
  }

  async #next(side: Side, options: AbortOptions = {}): Promise<PulseRecords> {
    for (;;) {
      this.#closing.signal.throwIfAborted()
      const records = this.#waiting[side].shift()
      if (records !== undefined) return records
      this.#sending ??= this.#send().finally(() => {
        this.#sending = undefined
      })
      await abortable(this.#sending, options)
    }
  }

  #onLight(listener: (dark: string | undefined) => void): Unsubscribe {
    if (this.#dark !== undefined) listener(this.#dark)
    return this.#listeners.add(listener)
  }

  /** One block, for both sides. */
  async #send(): Promise<void> {
    const { keyBits } = this.#options
    const slices: PhotonBlock[] = []
    try {
      // Bits are reckoned, not counted: when a block ends must not depend on what was detected in it.
      for (let sentBits = 0; sentBits < keyBits * 0.999; ) {
        const slice = await this.#slice(keyBits - sentBits)
        slices.push(slice.block)
        sentBits += slice.keyBits
      }
      const block = this.#blocks++
      keep(
        this.#waiting.alice,
        joinRecords(
          slices.map(({ prepared }) => prepared),
          block,
        ),
      )
      keep(
        this.#waiting.bob,
        joinRecords(
          slices.map(({ detected }) => detected),
          block,
        ),
      )
    } finally {
      for (const { prepared, detected } of slices.length > 1 || this.#closing.signal.aborted ? slices : []) {
        prepared.states.fill(0)
        detected.states.fill(0)
      }
    }
  }

  /** Pulses for at most `keyBits` sifted bits, for as long as the path stays as it is. */
  async #slice(keyBits: number): Promise<{ block: PhotonBlock; keyBits: number }> {
    const { signal } = this.#closing
    const { channel: model, forMs } = await this.#light(signal)
    const { protocol, keyBits: blockBits } = this.#options
    const wholePulses = pulsesFor(model, protocol, keyBits)
    const pulses = Math.ceil(Math.min(wholePulses, (forMs * model.clockHz) / 1e3))
    const durationMs = (1e3 * pulses) / model.clockHz
    // The devices run on while the ends work, and have the block that they began meanwhile.
    const blockMs = (1e3 * pulsesFor(model, protocol, blockBits)) / model.clockHz
    this.#restedAtMs = Math.max(this.#restedAtMs, this.#clock.now() - blockMs) + durationMs
    await this.#clock.sleep(Math.max(this.#restedAtMs - this.#clock.now(), 0), { signal })
    this.#channel ??= new PhotonChannel({ channel: model, protocol })
    return { block: this.#channel.transmit(pulses, model), keyBits: (keyBits * pulses) / wholePulses }
  }

  /** The path as it is once light comes through. */
  async #light(signal: AbortSignal): Promise<LitPath> {
    for (;;) {
      const path = this.#options.path()
      const lit = 'dark' in path || 'channel' in path ? path : { channel: path, forMs: Number.POSITIVE_INFINITY }
      const dark = 'dark' in lit ? lit.dark : this.#tooFaint(lit.channel)
      this.#tell('dark' in lit && lit.planned === true ? undefined : dark)
      if (dark === undefined) return lit as LitPath
      const forMs = 'dark' in lit ? (lit.forMs ?? DARK_POLL_MS) : DARK_POLL_MS
      await this.#clock.sleep(Math.min(forMs, LONGEST_SLEEP_MS), { signal })
      this.#restedAtMs = this.#clock.now()
    }
  }

  #tell(dark: string | undefined): void {
    if (dark === this.#dark) return
    this.#dark = dark
    this.#listeners.emit(dark)
  }

  #tooFaint(model: ChannelModel): string | undefined {
    const { protocol, keyBits } = this.#options
    const seconds = pulsesFor(model, protocol, keyBits) / model.clockHz
    return seconds <= LONGEST_BLOCK_S ? undefined : 'The path is so lossy that a block would take more than a day'
  }
}

function keep(waiting: PulseRecords[], records: PulseRecords): void {
  waiting.push(records)
  if (waiting.length > KEPT_BLOCKS) waiting.shift()!.states.fill(0)
}

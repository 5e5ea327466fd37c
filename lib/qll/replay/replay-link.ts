import { delay } from '../../util/deadline.ts'
import { EndState } from '../end-state.ts'
import { RateBucket } from '../rate-bucket.ts'
import { type LinkEnd, SimulatedLink } from '../simulated-link.ts'
import { checkLinkOptions, requireRate, type SimulatedLinkOptions } from '../simulated-link-options.ts'
import { listRecording, REPLAY_BLOCK_BYTES, Recording } from './recording.ts'

/**
 * One end of a link whose key was recorded: keys of a device, carried to both sites as files. Each end reads a copy of its own,
 * and nothing travels between the ends. What was given once is never given again, whatever happens to the process.
 */
export class ReplayLink extends SimulatedLink {}

/** What an end is made from. */
export interface ReplayLinkOptions extends Omit<SimulatedLinkOptions, 'blockSizeBytes' | 'heartbeatMs'> {
  /** This end's own copy of the recording, as `qkd link replay` makes it. */
  readonly directory: string
  /** Key that is given at most, in bits per second. Default 10,000,000. */
  readonly rateBps?: number
  /** How often an exhausted recording is looked at for more, in milliseconds. Default 1,000. */
  readonly pollMs?: number
}

/** What waits in the buffer is burned when the process ends, and recorded key does not come again. */
const BUFFER_BLOCKS = 2
const END = 'The recording has come to its end; feed more with qkd link replay'

/**
 * Opens this end's copy of a recording.
 * @throws {ConfigError} it is not there, or feeds another end
 * @throws {StoreError} what was used of it can't be told
 * @throws {InvalidArgumentError} an option is out of its range
 */
export async function createReplayLink(options: ReplayLinkOptions): Promise<ReplayLink> {
  const { directory, rateBps = 10_000_000, pollMs = 1_000, ...common } = options
  const checked = checkLinkOptions({ bufferBlocks: BUFFER_BLOCKS, ...common, blockSizeBytes: REPLAY_BLOCK_BYTES })
  requireRate(rateBps)
  const { localSiteId: siteId, linkId } = checked
  const recording = await Recording.open(directory, { siteId, linkId })
  const state = new EndState(checked, 'device')
  if ((await listRecording(directory)).length > 0) state.up(rateBps, rateBps)
  else state.down(END)
  return new ReplayLink({ state, end: new ReplayEnd(state, recording, { rateBps, pollMs }) })
}

class ReplayEnd implements LinkEnd {
  readonly #state: EndState
  readonly #recording: Recording
  readonly #options: { readonly rateBps: number; readonly pollMs: number }
  readonly #bucket: RateBucket
  readonly #ended = new AbortController()
  #running: Promise<void> | undefined
  #interrupted = false

  constructor(state: EndState, recording: Recording, options: { rateBps: number; pollMs: number }) {
    this.#state = state
    this.#recording = recording
    this.#options = options
    const blockSizeBits = REPLAY_BLOCK_BYTES * 8
    this.#bucket = new RateBucket({ rateBps: options.rateBps, blockSizeBits, nowMs: performance.now() })
    this.makeRoom()
  }

  makeRoom(): void {
    if (this.#ended.signal.aborted || this.#interrupted) return
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      // Room that was made while the last block was on its way.
      if (this.#state.roomBlocks > 0) this.makeRoom()
    })
  }

  startAbove(floor: bigint): void {
    this.#recording.passOver(floor)
    this.makeRoom()
  }

  interrupt(reason: string): void {
    this.#interrupted = true
    this.#state.down(reason)
  }

  restore(): void {
    this.#interrupted = false
    this.makeRoom()
  }

  async close(): Promise<void> {
    this.#ended.abort()
    await this.#running
  }

  /** Fills the buffer; ends when it's full. */
  async #run(): Promise<void> {
    const { signal } = this.#ended
    while (this.#state.roomBlocks > 0 && !signal.aborted && !this.#interrupted) {
      const pauseMs = await this.#step()
      if (pauseMs > 0) await delay(pauseMs, { signal }).catch(() => {})
    }
  }

  /** Gives a block if it may; says how long to pause before the next, in milliseconds. */
  async #step(): Promise<number> {
    const waitMs = this.#bucket.waitMs(performance.now())
    if (waitMs > 0) return Math.max(1, waitMs)
    try {
      const block = await this.#recording.next()
      if (block === undefined) {
        this.#state.down(END)
        return this.#options.pollMs
      }
      this.#bucket.take(performance.now())
      if (!this.#interrupted) this.#state.up(this.#options.rateBps, this.#options.rateBps)
      this.#state.offer(block)
      return 0
    } catch (error) {
      this.#state.down(error instanceof Error ? error.message : String(error))
      return this.#options.pollMs
    }
  }
}

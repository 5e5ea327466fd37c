import type { AbortOptions } from '../../../interface/lifecycle.ts'
import type { MultiplyShift } from '../hash/multiply-shift.ts'
import type { FiniteKeyEstimate } from '../model/finite-key.ts'
import type { PulseRecords } from '../photons/records.ts'
import type { RandomFill } from '../random.ts'
import type { BlockCutter } from './block-cutter.ts'
import type { Conversation } from './conversation.ts'
import type { AgreedParameters } from './parameters.ts'
import type { Reconciled } from './reconcile.ts'
import type { StageClock } from './report.ts'
import type { ErrorRateEstimate } from './sampling.ts'

/** What either end needs for one block. */
export interface EndContext {
  readonly conversation: Conversation
  readonly parameters: AgreedParameters
  /** For public seeds. */
  readonly random: RandomFill
  readonly clock: StageClock
  readonly cutter: BlockCutter
  /** Privacy amplification; one for all blocks, for it keeps tables. */
  readonly hash: MultiplyShift
  /** Bounds every wait of the block. */
  readonly options: AbortOptions
  /** This end's records of the next block. */
  nextRecords(): Promise<PulseRecords>
  /** Gives records back that belong to a later block than the other end's. */
  holdRecords(records: PulseRecords): void
  /** Bits of key that authentication will take from this block: a block must yield more. */
  reservedBits(): number
  /** Takes that many numbers in a row for secrets and gives the first. */
  takeNumbers(count: number): bigint
  /** How many keys for later sessions a block of so many bytes is to give. */
  sparesWithin(outputBytes: number): number
}

/**
 * Why a block is given up: the light is too noisy or too faint to leave key, the keys of the ends did not verify as the
 * same, or the devices were not at the same block.
 */
export type AbortCause = 'light' | 'verification' | 'records'

/** What is known of a block before its errors are corrected. */
export interface Untouched {
  readonly block: bigint
  readonly pulses: number
  readonly clicks: number
  readonly siftedBits: number
  readonly keyBits: number
  readonly estimate: ErrorRateEstimate | undefined
}

/** What an end has at the end of a block; it owns `key` and wipes it. */
export type Outcome = Untouched & {
  readonly reconciled?: Reconciled
  readonly bounds?: FiniteKeyEstimate
  readonly leakedBits?: number
} & (
    | {
        readonly outcome: 'key'
        readonly reason: undefined
        readonly key: Uint8Array
        /** Of the first spare key, and then of the first secret. */
        readonly firstNumber: bigint
        readonly spares: number
      }
    | { readonly outcome: 'aborted'; readonly reason: string; readonly cause: AbortCause }
  )

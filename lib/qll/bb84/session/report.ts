import { forgeryBound } from '../../../key/wegman-carter.ts'
import { verificationBound } from '../hash/verification.ts'
import type { FiniteKeyEstimate } from '../model/finite-key.ts'
import type { AbortCause, Outcome } from './end.ts'
import type { ErrorRateEstimate } from './sampling.ts'

/** The stages of a block, in order. */
export const STAGES = ['sifting', 'estimation', 'correction', 'verification', 'amplification'] as const
export type Stage = (typeof STAGES)[number]

/** What became of one block, for the record of the link: numbers only. */
export interface BlockReport {
  /** Number of the block at the devices. */
  readonly block: bigint
  readonly outcome: 'key' | 'aborted'
  /** Why there is no key, in words. */
  readonly reason: string | undefined
  /** And in kind. */
  readonly cause: AbortCause | undefined
  readonly pulses: number
  readonly clicks: number
  /** Bits whose bases agreed, the sample included. */
  readonly siftedBits: number
  /** Bits that went into error correction. */
  readonly keyBits: number
  /** What the sample said about them. */
  readonly estimate: ErrorRateEstimate | undefined
  /** Share of them that was wrong, as error correction found; undefined where it did not come to an end. */
  readonly qber: number | undefined
  /** All that was said about the key: parities, and the verification tag. */
  readonly leakedBits: number
  /** Parities over the Shannon limit of the errors that were found. */
  readonly efficiency: number | undefined
  /** Messages that each end sent for error correction. */
  readonly correctionRounds: number
  /** What the bounds gave; only Alice's counts go into it, and she tells them. */
  readonly bounds: FiniteKeyEstimate | undefined
  /** Length of the amplified key, in bits. */
  readonly secretBits: number
  /** Of these, put into the authentication key. */
  readonly authenticationBits: number
  /** Authentication key that the block cost, in bits. */
  readonly authenticationSpentBits: number
  /** Bits of the numbered secrets that came out; what does not fill one waits for the next block. */
  readonly deliveredBits: number
  /** Distance of the whole from a secret, shared key: secrecy, correctness and authentication added. */
  readonly epsilon: number
  /** How long each stage took at this end, waiting included, in milliseconds. */
  readonly stageMs: Readonly<Partial<Record<Stage, number>>>
}

/** What a block cost besides key bits of its own. */
export interface BlockCost {
  readonly stageMs: BlockReport['stageMs']
  readonly authenticationSpentBits: number
  /** Bytes that passed over the classical channel. */
  readonly saidBytes: number
}

/** The record of a block that was given up. */
export function abortedReport(outcome: Outcome, cost: BlockCost): BlockReport {
  const nothing = { qber: undefined, secretBits: 0, authenticationBits: 0, deliveredBits: 0, epsilon: 0 }
  return { ...seenOf(outcome, cost), ...nothing }
}

/** The record of a block that gave key. */
export function keyReport(
  outcome: Outcome & { readonly outcome: 'key' },
  {
    authenticationBits,
    deliveredBits,
    secrecy,
    tags,
    ...cost
  }: BlockCost & { authenticationBits: number; deliveredBits: number; secrecy: number; tags: number },
): BlockReport {
  const { words, errors } = outcome.reconciled!
  return {
    ...seenOf(outcome, cost),
    qber: errors / outcome.keyBits,
    secretBits: 8 * outcome.key.byteLength,
    authenticationBits,
    deliveredBits,
    epsilon: secrecy + verificationBound(words.length) + tags * forgeryBound(cost.saidBytes),
  }
}

function seenOf(outcome: Outcome, { stageMs, authenticationSpentBits }: BlockCost) {
  const { reconciled, block, pulses, clicks, siftedBits, keyBits, estimate, bounds, reason } = outcome
  return {
    block,
    outcome: outcome.outcome,
    reason,
    cause: outcome.outcome === 'aborted' ? outcome.cause : undefined,
    pulses,
    clicks,
    siftedBits,
    keyBits,
    estimate,
    bounds,
    efficiency: reconciled?.efficiency,
    correctionRounds: reconciled?.rounds ?? 0,
    leakedBits: outcome.leakedBits ?? reconciled?.parities ?? 0,
    authenticationSpentBits,
    stageMs,
  }
}

/** Measures stages one after the other. */
export class StageClock {
  readonly ms: Partial<Record<Stage, number>> = {}
  readonly #onStage: ((stage: Stage, ms: number) => void) | undefined
  #since = performance.now()

  constructor(onStage?: (stage: Stage, ms: number) => void) {
    this.#onStage = onStage
  }

  /** The stage that has run since the last call is over. */
  end(stage: Stage): void {
    const now = performance.now()
    const ms = now - this.#since
    this.ms[stage] = ms
    this.#since = now
    this.#onStage?.(stage, ms)
  }
}

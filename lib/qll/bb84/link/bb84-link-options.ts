import { InvalidArgumentError } from '../../../errors.ts'
import type { LinkKind } from '../../../interface/link.ts'
import { requireInteger } from '../../../util/deadline.ts'
import { type CheckedLinkOptions, checkLinkOptions, type SimulatedLinkOptions } from '../../simulated-link-options.ts'
import type { ChannelModel } from '../model/channel-model.ts'
import { type ProtocolParameters, pulsesFor } from '../model/expected-block.ts'
import { type BlockPlan, evaluateProtocol } from '../model/plan-block.ts'
import type { AgreedParameters, SessionParameters } from '../session/parameters.ts'
import { agreeParameters } from '../session/parameters.ts'
import type { BlockReport, Stage } from '../session/report.ts'

/** What both ends of a BB84 link are made from; all but the listeners and the buffer must be the same at both. */
export interface Bb84LinkOptions extends SimulatedLinkOptions {
  /** What the photons are expected to meet: what rate the link is set up for follows from it. */
  readonly channel: ChannelModel
  /** Intensities and bases that the devices choose from, as a preset has them or `planBlock` finds them. */
  readonly protocol: ProtocolParameters
  /** Sifted bits that a block of post-processing holds, from 4,096 to 2^22. Default 2^18. */
  readonly keyBits?: number
  /** Further choices for the post-processing; see `SessionParameters`. */
  readonly parameters?: Partial<Omit<SessionParameters, 'protocol' | 'blockSizeBytes'>>
  /** Share of the time in which the path has light, where modules are shared by turns: 0 to 1. Default 1. */
  readonly timeShare?: number
  /** What the link calls itself. Default `fibre`. */
  readonly kind?: LinkKind
  /** Longest that a block may take once its photons are there, in milliseconds. Default 60,000. */
  readonly blockTimeoutMs?: number
  /** Hears of each block of post-processing as it ends: the record of what was seen, told, spent and promised. */
  readonly onBlock?: (report: BlockReport) => void
  /** Hears of each stage of a block as it ends, and how long it took at this end, in milliseconds. */
  readonly onStage?: (stage: Stage, ms: number) => void
}

/** The options with their defaults, checked. */
export interface CheckedBb84Options extends CheckedLinkOptions {
  readonly parameters: AgreedParameters
  readonly keyBits: number
  readonly clockHz: number
  readonly timeShare: number
  /** What a block is expected to bring. */
  readonly plan: BlockPlan
  readonly kind: LinkKind
  readonly blockTimeoutMs: number
  readonly onBlock: (report: BlockReport) => void
  readonly onStage: ((stage: Stage, ms: number) => void) | undefined
}

/** Tags that both directions keep key for: so many that a time of bad light does not use them up. */
const RESERVE_TAGS = 128

/**
 * Checks what a program passed.
 * @throws {InvalidArgumentError} an option is out of its range, or the light can bring no key with these choices
 * @throws {ConfigError} the post-processing can't work so
 */
export function checkBb84Options(options: Bb84LinkOptions): CheckedBb84Options {
  const { channel, protocol, keyBits = 2 ** 18, kind = 'fibre', timeShare = 1, blockTimeoutMs = 60_000 } = options
  const common = checkLinkOptions(options)
  requireInteger('keyBits', keyBits, { min: 4096, max: 2 ** 22 })
  requireInteger('blockTimeoutMs', blockTimeoutMs, { min: 10, max: 3_600_000 })
  const { blockSizeBytes } = common
  const parameters = agreeParameters({ reserveTags: RESERVE_TAGS, ...options.parameters, protocol, blockSizeBytes })
  if (!(timeShare > 0 && timeShare <= 1)) throw new InvalidArgumentError('timeShare must be above 0 and at most 1')
  const lit = evaluateProtocol(channel, protocol, { keyBits, secrecy: parameters.secrecy })
  const plan = { ...lit, rateBps: lit.rateBps * timeShare }
  if (plan.secretBits === 0) {
    const seconds = pulsesFor(channel, protocol, keyBits) / channel.clockHz
    throw new InvalidArgumentError(
      `Link "${common.linkId}" can bring no key: blocks of ${keyBits} sifted bits (${seconds.toPrecision(3)} s) at an error rate of ${(100 * plan.qber).toFixed(2)} % leave none; shorten the distance, or make keyBits larger`,
    )
  }
  const { onBlock = () => {}, onStage } = options
  const { clockHz } = channel
  return Object.freeze({
    ...common,
    parameters,
    keyBits,
    clockHz,
    timeShare,
    plan,
    kind,
    blockTimeoutMs,
    onBlock,
    onStage,
  })
}

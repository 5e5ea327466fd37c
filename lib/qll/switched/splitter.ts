import { InvalidArgumentError } from '../../errors.ts'
import { ChannelModel, type ReceiverParameters } from '../bb84/model/channel-model.ts'
import type { LinkEndAddress } from './schedule.ts'

/** A passive splitter behind one sender: every receiver sees all the time what its branch lets through. */
export interface Splitter {
  /** Branches, 2 to 128. */
  readonly ways: number
  /** Loss besides that of splitting, in dB. Default 0.3 for each doubling of the branches. */
  readonly excessDb?: number
}

/** What a photon loses on its way into one of the branches, in dB. */
export function splitterLossDb({ ways, excessDb = 0.3 * Math.log2(ways) }: Splitter): number {
  if (!Number.isInteger(ways) || ways < 2 || ways > 128) {
    throw new InvalidArgumentError(`A splitter has 2 to 128 ways, not ${ways}`)
  }
  return 10 * Math.log10(ways) + excessDb
}

/**
 * The channel of one branch. All branches run at once and nothing is switched: a photon goes one way, so that two
 * receivers never make key of the same one, and what the sender knows of its pulses serves each of them alone.
 */
export function splitterChannel(
  receiver: ReceiverParameters,
  splitter: Splitter,
  { lengthKm, interceptFraction = 0 }: { lengthKm: number; interceptFraction?: number },
): ChannelModel {
  const lossDb = receiver.fibreLossDbPerKm * lengthKm + splitterLossDb(splitter)
  return new ChannelModel(receiver, { lossDb, interceptFraction })
}

/** The end of a branch at the sender's site: all branches share module 0, and the branch is the port. */
export function branchAddress(siteId: string, branch: number, { ways }: Splitter): LinkEndAddress {
  if (Number.isInteger(branch) && branch >= 0 && branch < ways) return { siteId, module: 0, port: branch }
  throw new InvalidArgumentError(`Branch ${branch} is none of the ${ways} of this splitter`)
}

import { createHash } from 'node:crypto'
import { ConfigError } from '../../../errors.ts'
import { requireInteger } from '../../../util/deadline.ts'
import type { CascadeVariantName } from '../cascade/batch.ts'
import { PUBLISHED_VARIANTS } from '../cascade/variants.ts'
import type { ProtocolParameters } from '../model/expected-block.ts'

/** What the two ends of a link must agree on. */
export interface SessionParameters {
  /** Intensities and bases that the devices choose from. */
  readonly protocol: ProtocolParameters
  /** Distance of each block's key from a secret one, 0 to 1. Default 1e-10. */
  readonly secrecy?: number
  /** Sifted bits that are told to estimate the error rate, at most an eighth of the block. Default 8,192. */
  readonly sampleBits?: number
  /** Frames of error correction hold about so many bits. Default 65,536. */
  readonly frameBits?: number
  /** Rules of error correction. Default `default`. */
  readonly variant?: CascadeVariantName
  /** Estimated error rate above which a block is given up unseen, 0 to 0.5. Default 0.11, the limit of BB84. */
  readonly maximumErrorRate?: number
  /** Size of the numbered secrets that the link yields, in bytes. Default 4,096. */
  readonly blockSizeBytes?: number
  /** Tags that both directions keep key for: what successful blocks fill up again. Default 64. */
  readonly reserveTags?: number
}

export type AgreedParameters = Readonly<Required<SessionParameters>>

/** The parameters with their defaults, checked. @throws {ConfigError} one of them cannot be right; it is named */
export function agreeParameters(given: SessionParameters): AgreedParameters {
  const parameters: AgreedParameters = {
    secrecy: 1e-10,
    sampleBits: 8192,
    frameBits: 65_536,
    variant: 'default',
    maximumErrorRate: 0.11,
    blockSizeBytes: 4096,
    reserveTags: 64,
    ...given,
  }
  requireInteger('sampleBits', parameters.sampleBits, { min: 64, max: 2 ** 20 })
  requireInteger('frameBits', parameters.frameBits, { min: 1024, max: 2 ** 20 })
  requireInteger('blockSizeBytes', parameters.blockSizeBytes, { min: 16, max: 2 ** 20 })
  requireInteger('reserveTags', parameters.reserveTags, { min: 8, max: 65_536 })
  requireBetween('secrecy', parameters.secrecy, [0, 1])
  requireBetween('maximumErrorRate', parameters.maximumErrorRate, [0, 0.5])
  if (parameters.variant !== 'default' && !Object.hasOwn(PUBLISHED_VARIANTS, parameters.variant)) {
    throw new ConfigError(`variant must be default or one of ${Object.keys(PUBLISHED_VARIANTS).join(', ')}`)
  }
  checkProtocol(parameters.protocol)
  return Object.freeze(parameters)
}

/** A digest that both ends compare before they begin; `context` is whatever else they must mean alike. */
export function parametersDigest(parameters: AgreedParameters, context: Uint8Array = new Uint8Array(0)): Buffer {
  const { protocol, ...rest } = parameters
  const lists = [protocol.intensities, protocol.probabilities, protocol.keyBasisProbability]
  const fields = Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify([lists, fields]))
    .update(context)
    .digest()
}

function checkProtocol({ intensities, probabilities, keyBasisProbability }: ProtocolParameters): void {
  const [signal, decoy, vacuum] = intensities
  if (!(signal > decoy + vacuum && decoy > vacuum && vacuum >= 0)) {
    throw new ConfigError('protocol.intensities must descend, the first above the other two together')
  }
  const total = probabilities.reduce((sum, probability) => sum + probability, 0)
  if (!probabilities.every(probability => probability > 0) || Math.abs(total - 1) > 1e-9) {
    throw new ConfigError('protocol.probabilities must be above 0 and add up to 1')
  }
  requireBetween('protocol.keyBasisProbability', keyBasisProbability, [0, 1])
}

function requireBetween(name: string, value: number, [low, high]: readonly [number, number]): void {
  if (value > low && value < high) return
  throw new ConfigError(`${name} must be above ${low} and below ${high}, not ${value}`)
}

import { InvalidArgumentError } from '../errors.ts'
import type { Telemetry } from '../interface/telemetry.ts'
import { requireInteger } from '../util/deadline.ts'

/** What both ends of a simulated link are made from. */
export interface SimulatedLinkOptions {
  /** The same at both ends; 1 to 128 printable characters, as the site IDs. */
  linkId: string
  localSiteId: string
  remoteSiteId: string
  /** Size of each block in bytes, the same at both ends; from 32 to 1,000,000. Default 32,000. */
  blockSizeBytes?: number
  /** Blocks that wait at this end before the link stops generating; from 1 to 4,096. Default 64. */
  bufferBlocks?: number
  /**
   * Time between two signs of life on the connection, in milliseconds; the link is down after three without one. From
   * 10 to 60,000. Default 1000.
   */
  heartbeatMs?: number
  /** Where the end reports its state, rate and stock. Default nowhere. */
  telemetry?: Telemetry
}

/** The options with their defaults, checked. */
export type CheckedLinkOptions = Readonly<Required<Omit<SimulatedLinkOptions, 'telemetry'>>> & {
  readonly telemetry: Telemetry | undefined
}

/**
 * Checks what a program passed.
 * @throws {InvalidArgumentError} an option is out of its range
 */
export function checkLinkOptions(options: SimulatedLinkOptions): CheckedLinkOptions {
  const { blockSizeBytes = 32_000, bufferBlocks = 64, heartbeatMs = 1000, telemetry } = options
  const { linkId, localSiteId, remoteSiteId } = options
  for (const [name, value] of Object.entries({ linkId, localSiteId, remoteSiteId })) requireId(name, value)
  if (localSiteId === remoteSiteId) {
    throw new InvalidArgumentError(`A link joins two sites, and both ends of "${linkId}" are at "${localSiteId}"`)
  }
  return Object.freeze({
    linkId,
    localSiteId,
    remoteSiteId,
    blockSizeBytes: requireInteger('blockSizeBytes', blockSizeBytes, { min: 32, max: 1_000_000 }),
    bufferBlocks: requireInteger('bufferBlocks', bufferBlocks, { min: 1, max: 4096 }),
    heartbeatMs: requireInteger('heartbeatMs', heartbeatMs, { min: 10, max: 60_000 }),
    telemetry,
  })
}

/** `rateBps` if it is a rate that a simulated link can have: up to 1 Tb/s. */
export function requireRate(rateBps: number, { min = 1 } = {}): number {
  return requireInteger('rateBps', rateBps, { min, max: 1e12 })
}

function requireId(name: string, value: unknown): void {
  if (typeof value === 'string' && /^[^\p{C}]{1,128}$/u.test(value)) return
  throw new InvalidArgumentError(`${name} must be 1 to 128 printable characters`)
}

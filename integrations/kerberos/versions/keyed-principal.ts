import { InvalidArgumentError, requireInteger } from '../../../lib/index.ts'
import { type Enctype, enctypeProfile } from '../enctype.ts'
import { parsePrincipal } from '../principal.ts'

/** From here on an alarm stands, in mode setup: time to plan a `trust rekey`. */
export const ALARM_KVNO = 60_000

/** Versions held at a time, with room for retries below the table's own bound. */
const MAX_HELD = 200
const MAX_AGE_SECONDS = 2_592_000

/** A principal whose key versions two agents agree on, as one of them sees it. */
export interface KeyedPrincipalOptions {
  readonly principal: string
  /** `issuer`: this end's KDC seals tickets with it and this end leads; `acceptor`: this end opens them. */
  readonly role: 'issuer' | 'acceptor'
  /** SAE ID of the other end's agent. */
  readonly peerSaeId: string
  /** Encryption types, of each version one key each; an acceptor takes any of them. Default 20 alone. */
  readonly enctypes?: readonly Enctype[]
  /** The longest life of a ticket under it, in seconds, 1 to 604,800; its max life in the KDC. Default 36,000. */
  readonly ticketLifeSeconds?: number
  /** How far clocks may differ, in seconds, 0 to 3,600. Default 300, as MIT's. */
  readonly skewSeconds?: number
  /** Issuer: a new version this often, in seconds, 1 to 2,592,000. Default 600. */
  readonly rotateSeconds?: number
  /**
   * Issuer: how long the KDC may go on with one version when no newer one comes, in seconds, up to 2,592,000; then it
   * issues no tickets for the principal. 0 for no end. Default ten rotations, at least 3,600. Mode setup alone: a KDC that
   * asks the agent stops with it.
   */
  readonly maxAgeSeconds?: number
  /** Issuer: versions that the acceptor holds ahead of need, 1 to 64. Default 1: agreed on and used at once. */
  readonly window?: number
  /** Set where the KDC can't hold versions over the wrap from 65535 to 1: mode setup. Default false. */
  readonly wraps?: boolean
}

/** The same, checked and whole. */
export interface KeyedPrincipal extends Required<KeyedPrincipalOptions> {
  /** How long a superseded version stays, in milliseconds: a ticket's life and the difference of clocks. */
  readonly retainMs: number
}

/**
 * Checks what an administrator asked for and fills it in.
 * @throws {InvalidArgumentError} names the field and the bounds
 */
export function keyedPrincipal(options: KeyedPrincipalOptions): KeyedPrincipal {
  const { principal, role, peerSaeId, enctypes = [20], wraps = false } = options
  const { ticketLifeSeconds = 36_000, skewSeconds = 300, rotateSeconds = 600, window = 1 } = options
  const { maxAgeSeconds = Math.min(MAX_AGE_SECONDS, Math.max(3_600, 10 * rotateSeconds)) } = options
  parsePrincipal(principal)
  if (role !== 'issuer' && role !== 'acceptor') throw new InvalidArgumentError(`role must be issuer or acceptor`)
  if (enctypes.length === 0 || new Set(enctypes).size !== enctypes.length) {
    throw new InvalidArgumentError('enctypes must name at least one encryption type, each once')
  }
  requireInteger('ticketLifeSeconds', ticketLifeSeconds, { min: 1, max: 604_800 })
  requireInteger('skewSeconds', skewSeconds, { min: 0, max: 3_600 })
  requireInteger('rotateSeconds', rotateSeconds, { min: 1, max: 2_592_000 })
  requireInteger('maxAgeSeconds', maxAgeSeconds, { min: 0, max: MAX_AGE_SECONDS })
  requireInteger('window', window, { min: 1, max: 64 })
  const retained = Math.ceil((ticketLifeSeconds + skewSeconds) / rotateSeconds)
  if (role === 'issuer' && retained + window > MAX_HELD) {
    throw new InvalidArgumentError(
      `rotateSeconds: ${retained} superseded versions of ${principal} would be held at a time, at most ${MAX_HELD}; rotate less often, or let tickets live shorter`,
    )
  }
  return Object.freeze({
    principal,
    role,
    peerSaeId,
    enctypes: [...enctypes.map(number => enctypeProfile(number).enctype)].sort((a, b) => strength(a) - strength(b)),
    ticketLifeSeconds,
    skewSeconds,
    rotateSeconds,
    maxAgeSeconds,
    window,
    wraps,
    retainMs: (ticketLifeSeconds + skewSeconds) * 1000,
  })
}

function strength(enctype: Enctype): number {
  return [20, 18, 19, 17].indexOf(enctype)
}

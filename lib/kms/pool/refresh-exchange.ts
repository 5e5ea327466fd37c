import { createHash } from 'node:crypto'
import { ProtocolError, UnauthorizedError } from '../../errors.ts'
import { lp, u64 } from '../../key/lp.ts'
import type { KemKeyPair, KemName } from '../../key/post-quantum.ts'
import { nextRoot } from '../../key/ratchet.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { SiteIdentity } from '../../key/site-identity.ts'
import type { BlockLedger } from './block-ledger.ts'
import { KEMS, type RefreshTerms } from './secret-note.ts'

/** Keeps these signatures apart from all others that the same key may make. */
const CONTEXT = 'qkdkit/1 site-kem'

/** `first` is the site that asks: the one that sorts first. */
export type RefreshRole = 'first' | 'second'

/** What a refresh begins with. */
export interface RefreshOffer {
  readonly epoch: number
  readonly kem: KemName
  /** When it began, on the monotonic clock. */
  readonly sinceMs: number
  readonly encapsulationKey: Uint8Array
  /** Parameter sets of the site that asks, and of the one that answers, as bits. */
  readonly offered: [number, number]
  /** Their certificates, in the same order. */
  readonly certificates: [Uint8Array, Uint8Array]
}

/** What it is bound to besides. */
export interface RefreshBase {
  readonly ledger: BlockLedger
  /** Terms of the refresh before. */
  readonly last: RefreshTerms
  readonly identity: SiteIdentity | undefined
}

/** One refresh of a pair secret as both sites have said it so far. */
export class RefreshExchange {
  readonly offer: RefreshOffer
  readonly #base: RefreshBase
  /** At the site that asks: its ephemeral key. */
  pair: KemKeyPair | undefined
  /** What ML-KEM carried. */
  shared: SecretKey | undefined
  /** At the site that asks: the next root is stored here. */
  isProposed = false
  #transcript: Buffer | undefined

  constructor(offer: RefreshOffer, base: RefreshBase) {
    this.offer = offer
    this.#base = base
  }

  /** SHA-256 of all that was said up to the ciphertext. */
  get transcript(): Buffer {
    if (this.#transcript === undefined) throw new ProtocolError('The peer has not answered yet')
    return this.#transcript
  }

  /** What a later refresh has to know of this one. */
  get terms(): RefreshTerms {
    const { identity } = this.#base
    return { kem: this.offer.kem, isSigned: identity !== undefined, transcript: this.transcript }
  }

  /** The answer is there: from here on everything is bound to it. */
  conclude(ciphertext: Uint8Array): void {
    const { ledger, last } = this.#base
    const { epoch, kem, encapsulationKey, certificates, offered } = this.offer
    const [first, second] = ledger.pair.siteIds
    const sites = lp(first, certificates[0], Buffer.of(offered[0]), second, certificates[1], Buffer.of(offered[1]))
    const said = lp(kem, encapsulationKey, ciphertext, last.transcript)
    this.#transcript = createHash('sha256')
      .update(lp(CONTEXT, ledger.poolId, u64(epoch), sites, said))
      .digest()
  }

  /** This site's signature; empty where it has no identity. */
  sign(role: RefreshRole): Uint8Array {
    return this.#base.identity?.sign(lp(role, this.transcript), CONTEXT) ?? new Uint8Array(0)
  }

  /** @throws {UnauthorizedError} the other site did not sign, or not this */
  verify(role: RefreshRole, signature: Uint8Array): void {
    const { identity, ledger, last } = this.#base
    const certificate = this.offer.certificates[role === 'first' ? 0 : 1]
    if (identity !== undefined)
      identity.verify(ledger.remoteSiteId, { certificate, signature }, lp(role, this.transcript), CONTEXT)
    else if (last.isSigned)
      throw new UnauthorizedError('The last refresh was signed; this one is not: the configuration has lost its mlDsa')
  }

  /** The root that both come to; the caller owns it. */
  nextRoot(): SecretKey {
    const { shared, transcript, offer } = this
    if (shared === undefined) throw new ProtocolError('The peer has not answered yet')
    return nextRoot(this.#base.ledger.secret!.root, { epoch: offer.epoch, shared, transcript })
  }

  wipe(): void {
    this.pair?.wipe()
    this.shared?.wipe()
  }
}

/**
 * No weaker than the strongest set that both sites have, and than the last refresh.
 * @throws {ProtocolError} it is
 */
export function requireStrength(chosen: KemName, { common, last }: { common: number; last: KemName }): void {
  if (strongest(common) !== chosen)
    throw new ProtocolError(`${chosen} is not the strongest parameter set that both sites have`)
  if (KEMS.indexOf(chosen) < KEMS.indexOf(last))
    throw new ProtocolError(`${chosen} is weaker than what the last refresh was made with`)
}

/** The parameter sets from `weakest` on, as bits. */
export function offered(weakest: KemName): number {
  return KEMS.reduce((bits, _, at) => (at >= KEMS.indexOf(weakest) ? bits | (1 << at) : bits), 0)
}

/** The strongest of the parameter sets; undefined where there is none. */
export function strongest(bits: number): KemName | undefined {
  return KEMS.findLast((_, at) => (bits & (1 << at)) !== 0)
}

import { PoolExhaustedError, UnauthorizedError } from '../errors.ts'
import type { AuditLog } from '../interface/audit.ts'
import type { KeyReceipt } from '../interface/kms.ts'
import type { Telemetry } from '../interface/telemetry.ts'
import { canonicalKeyId } from '../key/key-id.ts'
import { TokenBucket } from './policy/token-bucket.ts'
import type { RecentKeys } from './recent-keys.ts'

/** Receipts of one host a second, and at once after a quiet time: nobody shall fill the disk with them. */
const RATE = { perSecond: 50, burst: 1_000 }

/** What receipts are taken with. */
export interface KeyReceiptsOptions {
  /** Undefined for nowhere: then receipts are only told. */
  readonly audit: AuditLog | undefined
  readonly recent: RecentKeys
  readonly telemetry: Telemetry
  readonly now: () => number
  readonly monotonicMs: () => number
}

/** What hosts say of the keys that they have, for whoever has to know when keys are no longer to be trusted. */
export class KeyReceipts {
  readonly #options: KeyReceiptsOptions
  readonly #rates = new Map<string, TokenBucket>()

  constructor(options: KeyReceiptsOptions) {
    this.#options = options
  }

  /**
   * Takes receipts of an authenticated host of this site, all or none; they are durable when it resolves.
   * @throws {UnauthorizedError} a key was given to another host, or is shared with another
   * @throws {PoolExhaustedError} the host says too much
   */
  async take(saeId: string, peerSaeId: string, receipts: readonly KeyReceipt[]): Promise<void> {
    const { recent } = this.#options
    const known = receipts.map(({ keyId }) => recent.find(saeId, canonicalKeyId(keyId) ?? keyId))
    if (known.some(key => key !== undefined && key.masterSaeId !== peerSaeId && key.slaveSaeId !== peerSaeId))
      throw new UnauthorizedError(`A key of the receipts is not shared with ${peerSaeId}`)
    if (!this.#rateOf(saeId).take(receipts.length, this.#options.monotonicMs()))
      throw new PoolExhaustedError('Too many receipts; say less, or later', { retryAfterMs: 1_000 })
    await Promise.all(receipts.map((receipt, at) => this.#write(saeId, peerSaeId, receipt, known[at] !== undefined)))
  }

  async #write(saeId: string, peerSaeId: string, receipt: KeyReceipt, isKnown: boolean): Promise<void> {
    const { audit, telemetry, now } = this.#options
    const { state, use, atMs = now() } = receipt
    const keyId = canonicalKeyId(receipt.keyId) ?? receipt.keyId
    await audit?.record({
      event: 'receipt',
      outcome: state,
      keyIds: [keyId],
      receipt: { saeId, peerSaeId, use, atMs },
      // From before this process: the lines on the key itself say whether the host was given it.
      ...(!isKnown && { reason: 'the key is none of those given out since the start, as far as they are remembered' }),
    })
    const type = state === 'in-use' ? 'key-in-use' : 'key-retired'
    telemetry.emit({ type, saeId, peerSaeId, keyId, use, atMs })
  }

  /** There are as many as hosts are registered. */
  #rateOf(saeId: string): TokenBucket {
    const known = this.#rates.get(saeId)
    if (known !== undefined) return known
    const rate = new TokenBucket({ ...RATE, nowMs: this.#options.monotonicMs() })
    this.#rates.set(saeId, rate)
    return rate
  }
}

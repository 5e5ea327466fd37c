import type { Key } from '../../interface/kms.ts'

/** What does not fit between the two ends; the same words in an end's own outcome and in the refusal that it sends. */
export type AgreementFault =
  /** The offer names other SAEs than the two that the channel joins. */
  | 'wrong-names'
  /** The offer is for a purpose that this end does not serve. */
  | 'wrong-purpose'
  /** The key has a level that this end does not take, or that the other end's KMS calls something else. */
  | 'wrong-level'
  /** The KMS gave another key than the one selected, by its size or its key_ID. */
  | 'wrong-key'
  /** The other end does not hold the key, or has seen another conversation. */
  | 'wrong-proof'
  /** A message is malformed, or has no place where it came. */
  | 'wrong-message'

/** Why an end gives an agreement up, as it tells the other. */
export type AgreementRefusal =
  | AgreementFault
  /** The KMS of the refusing end denies the key: unknown, spent, not for this host, or against the policy. */
  | 'kms-refused'
  /** The KMS of the refusing end has no key now, or can't be asked. Try again later. */
  | 'kms-failed'
  /** The refusing end is in another agreement on this channel, as when both began at once. Try again. */
  | 'busy'
  /** The time of the refusing end was over. */
  | 'timed-out'
  /** The program at the refusing end has stopped it. */
  | 'cancelled'

/** A key that both ends have proven to each other. The caller owns `secret`, which is derived, and wipes it after use. */
export interface AgreedKey extends Key {
  /** The SAE that began. */
  readonly masterSaeId: string
  readonly slaveSaeId: string
  readonly purpose: string
}

/** What every agreement that failed tells. */
interface FailedAgreement {
  /** The key that was taken for it and is of no use any more; undefined where it failed before one was. */
  readonly burnedKeyId: string | undefined
}

/**
 * How an agreement ended: a closed list. Everything that the other end or the way to it can do is one of these; what this
 * end's own KMS or caller does is a rejection. There is no key but in `agreed`, and no second try with the same one.
 */
export type AgreementOutcome =
  | { readonly outcome: 'agreed'; readonly key: AgreedKey }
  /** The other end gave up and said why. */
  | ({ readonly outcome: 'refused'; readonly code: AgreementRefusal } & FailedAgreement)
  /** This end found that something does not fit, and told the other. */
  | ({ readonly outcome: 'mismatch'; readonly fault: AgreementFault } & FailedAgreement)
  /** The time is over; `waitingFor` says for whom. */
  | ({ readonly outcome: 'timed-out'; readonly waitingFor: 'peer' | 'kms' } & FailedAgreement)
  /** The other end closed the channel, or the channel was lost. */
  | ({ readonly outcome: 'peer-closed' } & FailedAgreement)

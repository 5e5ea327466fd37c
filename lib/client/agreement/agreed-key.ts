import type { Key } from '../../interface/kms.ts'
import type { KeySchedule } from './key-schedule.ts'
import type { AgreedKey } from './outcome.ts'

/** The key as the application gets it, once both ends are proven. */
export function agreedKey(
  { keyId, sizeBits, level, trustClass }: Key,
  schedule: KeySchedule,
  names: Pick<AgreedKey, 'masterSaeId' | 'slaveSaeId' | 'purpose'>,
): AgreedKey {
  return {
    ...names,
    keyId,
    secret: schedule.agreedKey(),
    sizeBits,
    // A policy may give a pad unasked; what is derived from its bits is as good as a key, and no pad any more.
    level: level === 'one-time-pad' ? 'quantum' : level,
    trustClass,
  }
}

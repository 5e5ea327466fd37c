import type { SecurityLevel } from '../../interface/kms.ts'

/** Levels that a policy gives where it names none, the default one first. */
export const SHIPPED_LEVELS: readonly SecurityLevel[] = ['quantum', 'hybrid', 'one-time-pad']

import type { SecurityLevel } from '../interface/kms.ts'
import type { LowPoolResponse } from '../interface/policy.ts'

/** For each level, those that whoever asks for at least it may be given. */
const MEETS: Readonly<Record<SecurityLevel, readonly SecurityLevel[]>> = {
  'one-time-pad': ['one-time-pad'],
  hybrid: ['hybrid'],
  quantum: ['quantum', 'hybrid', 'one-time-pad'],
  expanded: ['expanded', 'quantum', 'hybrid', 'one-time-pad'],
  'post-quantum': ['post-quantum', 'expanded', 'quantum', 'hybrid', 'one-time-pad'],
}

/** True where a key of `level` is at least what `minLevel` promises. A level that nobody tells meets no minimum. */
export function meetsLevel(level: SecurityLevel | undefined, minLevel: SecurityLevel): boolean {
  return level !== undefined && MEETS[minLevel].includes(level)
}

/** The level that a response to a low pool falls back to; undefined where it lowers none. */
export function fallbackLevel(response: LowPoolResponse): 'expanded' | 'post-quantum' | undefined {
  if (response === 'expand') return 'expanded'
  return response === 'post-quantum' ? response : undefined
}

/** True for levels that a policy may lower when a pool is dry: those of fresh cells that promise no pad (design, section 4). */
export function mayBeLowered(level: SecurityLevel): boolean {
  return level === 'quantum' || level === 'hybrid'
}

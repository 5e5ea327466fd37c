import type { KeyLedger } from '../versions/key-ledger.ts'
import { ALARM_KVNO, type KeyedPrincipal } from '../versions/keyed-principal.ts'

/** One key version, as an administrator sees it: no key. */
export interface VersionStatus {
  readonly kvno: number
  readonly epoch: number
  readonly keyId: string
  /** ISO 8601. */
  readonly since: string
  /** When a retained version ends, ISO 8601. */
  readonly ends?: string
}

/** Where one principal stands. */
export interface PrincipalStatus {
  readonly principal: string
  readonly role: 'issuer' | 'acceptor'
  readonly peerSaeId: string
  readonly current: VersionStatus | null
  /** Agreed on and not in use yet, the next one first. */
  readonly announced: readonly VersionStatus[]
  /** The newest first. */
  readonly retained: readonly VersionStatus[]
  /** kvnos from before the first agreement that are still kept, such as a password's. */
  readonly foreignKvnos: readonly number[]
  /** Issuer: when the next rotation is due, ISO 8601. */
  readonly nextRotation: string | null
  /** Why the last rotation failed; null where it did not. */
  readonly failure: string | null
  /** Issuer: how far the acceptor's clock was ahead at the last rotation, in seconds; null where it was not said. */
  readonly clockSkewSeconds: number | null
  /** Set from kvno 60,000 on, where a database can't wrap. */
  readonly rekeyAdvised: boolean
}

/** Where an agent stands. */
export interface AgentStatus {
  readonly saeId: string
  readonly principals: readonly PrincipalStatus[]
  /** Alarms that stand. */
  readonly alarms: readonly string[]
}

/** What the agent knows besides the ledger. */
export interface StatusContext {
  readonly nowMs: number
  readonly failure: string | undefined
  readonly dueMs: number | undefined
  readonly clockSkewMs: number | undefined
}

/** Where `terms.principal` stands in the ledger. */
export function principalStatus(
  ledger: KeyLedger,
  { principal, role, peerSaeId, wraps }: KeyedPrincipal,
  { nowMs, failure, dueMs, clockSkewMs }: StatusContext,
): PrincipalStatus {
  const versions = ledger.table.versions(principal)
  const inState = (wanted: string): VersionStatus[] =>
    versions
      .filter(({ state }) => state === wanted)
      .map(({ kvno, epoch, keyId, sinceMs, endsMs }) => ({
        kvno,
        epoch,
        keyId,
        since: iso(sinceMs),
        ...(endsMs === undefined ? {} : { ends: iso(endsMs) }),
      }))
  const current = inState('current')[0] ?? null
  return {
    principal,
    role,
    peerSaeId,
    current,
    announced: inState('announced').reverse(),
    retained: inState('retained'),
    foreignKvnos: ledger.foreignKvnos(principal),
    nextRotation: dueMs === undefined ? null : iso(Math.max(dueMs, nowMs)),
    failure: failure ?? null,
    clockSkewSeconds: clockSkewMs === undefined ? null : Math.round(clockSkewMs / 1000),
    rekeyAdvised: !wraps && current !== null && current.kvno >= ALARM_KVNO,
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

import type { Telemetry } from '../../../lib/index.ts'
import type { KeyLedger } from '../versions/key-ledger.ts'

/** The last kvno of a record that has 16 bits for it. */
const LAST_KVNO = 65_535

/** Writes where the key versions of every principal stand: the one in use, the next, and where they end. */
export function reportVersions(telemetry: Telemetry, ledger: KeyLedger): void {
  for (const { principal, peerSaeId, wraps } of ledger.principals) {
    const versions = ledger.table.versions(principal)
    const current = versions.find(({ state }) => state === 'current')
    if (current === undefined) continue
    const { kvno, sinceMs } = current
    const announced = versions.filter(({ state }) => state === 'announced').at(-1)
    telemetry.gauge('kerberos_kvno', { principal }, kvno)
    telemetry.gauge('kerberos_kvno_next', { principal }, announced?.kvno ?? (kvno % LAST_KVNO) + 1)
    if (!wraps) telemetry.gauge('kerberos_kvno_limit', { principal }, LAST_KVNO)
    const labels = { integration: 'kerberos', peer: peerSaeId, name: principal }
    telemetry.gauge('rotation_key_since_ms', labels, sinceMs)
  }
}

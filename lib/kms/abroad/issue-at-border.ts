import { randomUUID } from 'node:crypto'
import type { GetKeyOptions, Key } from '../../interface/kms.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { levelOf } from '../../key/selection.ts'
import { withDeadline } from '../../util/deadline.ts'
import type { DecisionLog } from '../audit/decision-log.ts'
import type { Admission } from '../policy/admission.ts'
import type { Border } from './border.ts'
import { requireAbroadLabel } from './neighbour.ts'

/** A request of a host of the border site itself, its arguments checked. */
export interface BorderRequest {
  readonly masterSaeId: string
  readonly slaveSaeId: string
  readonly options: GetKeyOptions
  /** How long the other domain may take, in milliseconds. */
  readonly confirmMs: number
}

/**
 * Fresh keys for a host of the border site and one of another domain: made here, because no link is between the two KMEs, and
 * given to the master when they have arrived.
 */
export async function issueAtBorder(
  { border, admission, audit }: { border: Border; admission: Admission; audit: DecisionLog | undefined },
  { masterSaeId, slaveSaeId, options, confirmMs }: BorderRequest,
): Promise<Key[]> {
  const domain = border.neighbours.ofAll([slaveSaeId])
  const pair = { masterSaeId, slaveSaeId }
  const peerSiteId = domain.kme.kmeId
  const admitted = admission.admit({ ...options, pair, peerSiteId, burnsBytes: 0 })
  const keys: Key[] = []
  try {
    const label = { level: levelOf(admitted.suite), trustClass: 'relayed' } as const
    requireAbroadLabel(domain, label)
    for (let made = 0; made < admitted.number; made += 1) {
      const secret = SecretKey.random(admitted.sizeBytes)
      keys.push({ keyId: randomUUID(), secret, sizeBits: secret.sizeBits, ...label })
    }
    const { integration } = options
    const entry = { event: 'issue', ...pair, peerSiteId, rule: admitted.ruleName } as const
    await audit?.allowed({ ...entry, ...(integration && { integration }) }, keys)
    const signal = withDeadline(options.signal, confirmMs)
    await border.outbound.handOver({ initiatorSaeId: masterSaeId, targetSaeIds: [slaveSaeId], keys }, { signal })
    admitted.issued()
    return keys
  } catch (error) {
    for (const { secret } of keys) secret.wipe()
    admitted.refused()
    throw error
  }
}

import { createDatabaseSink } from '../../integrations/kerberos/kdb/database-sink.ts'
import { KdcDatabase } from '../../integrations/kerberos/kdb/kdc-database.ts'
import { acceptVersions } from '../../integrations/kerberos/versions/accept-versions.ts'
import { rotateVersion } from '../../integrations/kerberos/versions/issue-version.ts'
import { KeyLedger } from '../../integrations/kerberos/versions/key-ledger.ts'
import { keyedPrincipal } from '../../integrations/kerberos/versions/keyed-principal.ts'
import { noLedgerStore } from '../../integrations/kerberos/versions/ledger-store.ts'
import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { TestRealm } from '../../test/helpers/kdc-realm.ts'
import { createTestSites } from '../../test/helpers/test-sites.ts'
import { elapsedMs } from '../report.ts'

/** Ten-hour tickets and a rotation every ten minutes keep so many; kept few here, for the bench is over in seconds. */
const TICKET_LIFE_SECONDS = 1

/**
 * How long whole rotations of a trust take in mode setup, in milliseconds each: the agreement on a key of the KMS, the
 * acceptor's database, the issuer's database. KMS and channel are in this process, the two KDCs are real.
 */
export async function measureRotations(
  [issuing, accepting]: readonly [TestRealm, TestRealm],
  { trust, count }: { trust: string; count: number },
): Promise<readonly number[]> {
  await using sites = await createTestSites()
  using issuer = ledgerOf(issuing, { trust, role: 'issuer', peerSaeId: 'bob' })
  using acceptor = ledgerOf(accepting, { trust, role: 'acceptor', peerSaeId: 'alice' })
  const [out, back] = createMemoryChannelPair(['alice', 'bob'])
  const accepted = acceptVersions({ ledger: acceptor, kms: sites.bob, channel: back })
  const timesMs: number[] = []
  for (let done = 0; done < count; done += 1) {
    const channel = out
    timesMs.push(await elapsedMs(() => rotateVersion(trust, { ledger: issuer, kms: sites.alice, channel })))
    await issuer.expire()
    await acceptor.expire()
  }
  await out.close()
  await accepted
  return timesMs
}

function ledgerOf(
  { name, database, stash, env }: TestRealm,
  { trust, role, peerSaeId }: { trust: string; role: 'issuer' | 'acceptor'; peerSaeId: string },
): KeyLedger {
  const { KRB5_CONFIG = '', KRB5_KDC_PROFILE = '' } = env
  const environment = { KRB5_CONFIG, KRB5_KDC_PROFILE }
  const terms = { ticketLifeSeconds: TICKET_LIFE_SECONDS, skewSeconds: 0 }
  return new KeyLedger({
    principals: [keyedPrincipal({ principal: trust, role, peerSaeId, ...terms })],
    sink: createDatabaseSink(new KdcDatabase({ realm: name, database, stashFile: stash, environment })),
    store: noLedgerStore,
  })
}

import { createRemoteKms } from '../../lib/index.ts'
import { loginsWhile } from '../../test/integrations/kerberos/login-load.ts'
import { pluginMode } from '../../test/integrations/kerberos/plugin/plugin-mode.ts'
import { setupMode } from '../../test/integrations/kerberos/setup-mode.ts'
import { SERVICE, TRUST } from '../../test/integrations/kerberos/trust-suite.ts'
import type { SoakOptions } from '../soak.ts'
import { BenchProcess } from '../tls/bench-process.ts'
import type { RemoteEnds } from '../tls/kme-process.ts'

/**
 * Logins from nothing to a ticket for a service of another realm, `count` in each mode, while the trust between the realms
 * rotates over and over. Looks for a login that fails. Needs Debian's krb5-kdc, krb5-admin-server, krb5-user, libkrb5-dev.
 */
export async function run({ count = 500, log }: SoakOptions): Promise<void> {
  for (const mode of [setupMode, pluginMode]) {
    // The KMEs run in a process of their own, as they do on other machines: an agent has 200 ms to answer its KDC.
    await using kmes = new BenchProcess('kme-process')
    const ends = await kmes.ask<RemoteEnds>({})
    await using alice = createRemoteKms(ends.alice)
    await using bob = createRemoteKms(ends.bob)
    await using rig = await mode.build({ alice, bob }, { now: Date.now })
    const rotate = () => rig.pair.agents[0].rotate(TRUST)
    await rotate()
    const { logins, failures, rotations } = await loginsWhile(rig.realms, { count, service: SERVICE, rotate })
    log(`mode ${mode.name}: ${logins} logins, ${rotations} rotations, ${failures.length} failures`)
    if (failures.length > 0) throw new Error([...new Set(failures)].join('; '))
  }
}

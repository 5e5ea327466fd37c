import { tableSink } from '../../../../integrations/kerberos/versions/key-sink.ts'
import { noLedgerStore } from '../../../../integrations/kerberos/versions/ledger-store.ts'
import { createPluginRealms } from '../../../helpers/plugin-realms.ts'
import { createAgentPair } from '../agent-pair.ts'
import { trustTerms } from '../setup-mode.ts'
import { type KdcMode, LOCAL_SERVICE, SERVICE, TRUST } from '../trust-suite.ts'

/** KDCs that ask their agents through the database module. */
export const pluginMode: KdcMode = {
  name: 'plugin',
  unknownKvno: /kvno \d+ of krbtgt\/B\.QKD@A\.QKD was never announced to the agent of this site, or its time is over/,
  noKey: /error 29 .*has no key for krbtgt\/B\.QKD@A\.QKD now/s,
  stopped: /error 29 /,
  build: async (kms, { now }) => {
    const realms = await createPluginRealms({ now })
    try {
      const [a, b] = realms.realms
      for (const at of [0, 1]) await realms.addPoolPrincipal(at, TRUST)
      await a!.kadmin(`addprinc -randkey ${LOCAL_SERVICE}`)
      await b!.kadmin(`addprinc -randkey ${SERVICE}`)
      const agent = { sink: tableSink, store: noLedgerStore, now }
      const pair = await createAgentPair([
        { kms: kms.alice, principals: [trustTerms('issuer', { wraps: true })], ...agent },
        { kms: kms.bob, principals: [trustTerms('acceptor', { wraps: true })], ...agent },
      ])
      // The issuer's KDC asks each time, so that a test knows which version comes next.
      await realms.startAgent(0, { keys: pair.ledgers[0].table, validMs: 0 })
      await realms.startAgent(1, { keys: pair.ledgers[1].table })
      return {
        realms,
        pair,
        stopIssuer: async () => {
          await realms.stopAgent(0)
          await pair.agents[0].close()
        },
        [Symbol.asyncDispose]: async () => {
          await realms[Symbol.asyncDispose]()
          await pair[Symbol.asyncDispose]()
        },
      }
    } catch (error) {
      await realms[Symbol.asyncDispose]()
      throw error
    }
  },
}

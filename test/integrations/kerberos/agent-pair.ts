import { KerberosAgent, type KerberosAgentOptions } from '../../../integrations/kerberos/agent/kerberos-agent.ts'
import { KeyLedger } from '../../../integrations/kerberos/versions/key-ledger.ts'
import { type KeySink, tableSink } from '../../../integrations/kerberos/versions/key-sink.ts'
import { type KeyedPrincipalOptions, keyedPrincipal } from '../../../integrations/kerberos/versions/keyed-principal.ts'
import { type LedgerStore, noLedgerStore } from '../../../integrations/kerberos/versions/ledger-store.ts'
import { createMemoryChannelPair } from '../../../lib/channel/memory-channel.ts'
import type { Kms } from '../../../lib/interface/kms.ts'

/** What one agent of a pair is made of. */
export interface AgentParts extends Partial<Pick<KerberosAgentOptions, 'now' | 'rotates' | 'telemetry' | 'timeoutMs'>> {
  readonly kms: Kms
  readonly principals: readonly KeyedPrincipalOptions[]
  readonly sink?: KeySink
  readonly store?: LedgerStore
}

/** Two agents that reach each other in memory. `cut()` makes the way between them fail, until `mend()`. */
export interface AgentPair extends AsyncDisposable {
  readonly agents: readonly [KerberosAgent, KerberosAgent]
  readonly ledgers: readonly [KeyLedger, KeyLedger]
  cut(): void
  mend(): void
}

/** The agents are open; by default they rotate only when told. */
export async function createAgentPair(parts: readonly [AgentParts, AgentParts]): Promise<AgentPair> {
  let cut = false
  const ids = [parts[0].kms.saeId, parts[1].kms.saeId] as const
  const ledgers = parts.map(
    ({ principals, sink = tableSink, store = noLedgerStore, now }) =>
      new KeyLedger({ principals: principals.map(keyedPrincipal), sink, store, now }),
  )
  const agents: KerberosAgent[] = []
  for (const [i, { kms, rotates = false, now, telemetry, timeoutMs }] of parts.entries()) {
    const openChannel = async () => {
      if (cut) throw new Error('The way to the other agent is cut')
      const [mine, theirs] = createMemoryChannelPair([ids[i]!, ids[1 - i]!])
      void agents[1 - i]!.serve(theirs)
      return mine
    }
    agents.push(new KerberosAgent({ kms, ledger: ledgers[i]!, openChannel, rotates, now, telemetry, timeoutMs }))
  }
  // The acceptors first: an issuer that rotates by itself begins at once.
  for (const agent of [...agents].reverse()) await agent.open()
  return {
    agents: [agents[0]!, agents[1]!],
    ledgers: [ledgers[0]!, ledgers[1]!],
    cut: () => {
      cut = true
    },
    mend: () => {
      cut = false
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(agents.map(agent => agent.close()))
    },
  }
}

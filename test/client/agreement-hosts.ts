import { acceptAgreement } from '../../lib/client/agreement/accept.ts'
import { initiateAgreement } from '../../lib/client/agreement/initiate.ts'
import type { AgreedKey, AgreementOutcome } from '../../lib/client/agreement/outcome.ts'
import type { AcceptAgreementOptions, InitiateAgreementOptions } from '../../lib/client/agreement/terms.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import { createTestSites } from '../helpers/test-sites.ts'
import { WatchedKms } from '../integrations/tls/watched-kms.ts'

/** Alice and Bob at two real sites, each with a KMS that a test can watch and disturb. */
export interface Hosts extends AsyncDisposable {
  readonly alice: WatchedKms
  readonly bob: WatchedKms
  /** Another host at Bob's site. */
  readonly carol: Kms
  initiate(end: MessageChannel, options?: Partial<InitiateAgreementOptions>): Promise<AgreementOutcome>
  accept(end: MessageChannel, options?: Partial<AcceptAgreementOptions>): Promise<AgreementOutcome>
  /** Both at once; the outcomes of Alice, who begins, and of Bob. */
  agree(
    ends: { readonly alice: MessageChannel; readonly bob: MessageChannel },
    options?: { alice?: Partial<InitiateAgreementOptions>; bob?: Partial<AcceptAgreementOptions> },
  ): Promise<[AgreementOutcome, AgreementOutcome]>
  /** True where every key that either KMS has given since the last `forget()` is wiped. */
  allWiped(): boolean
  /** Undoes what a test did to the two. */
  forget(): void
}

/** Starts the sites. Agreements have 5 seconds, unless an option says otherwise. */
export async function createHosts(): Promise<Hosts> {
  const sites = await createTestSites()
  const [alice, bob] = [new WatchedKms(sites.alice), new WatchedKms(sites.bob)]
  const initiate: Hosts['initiate'] = (end, options) =>
    initiateAgreement(alice, end, { peerSaeId: 'bob', purpose: 'test', ...options })
  const accept: Hosts['accept'] = (end, options) => acceptAgreement(bob, end, { purpose: 'test', ...options })
  return {
    alice,
    bob,
    carol: sites.carol,
    initiate,
    accept,
    agree: (ends, options = {}) => Promise.all([initiate(ends.alice, options.alice), accept(ends.bob, options.bob)]),
    allWiped: () => [...alice.keys, ...bob.keys].every(({ secret }) => secret.wiped),
    forget: () => {
      for (const kms of [alice, bob]) {
        kms.keys.length = kms.fetches = 0
        kms.beforeFetch = () => {}
        kms.alter = keys => keys
      }
    },
    [Symbol.asyncDispose]: () => sites[Symbol.asyncDispose](),
  }
}

/** The key of an agreement that must have come about. */
export function keyOf(outcome: AgreementOutcome): AgreedKey {
  if (outcome.outcome === 'agreed') return outcome.key
  throw new Error(`No agreement: ${JSON.stringify(outcome)}`)
}

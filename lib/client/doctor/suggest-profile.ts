import type { KmeProfileName } from '../../etsi014/kme-profile.ts'
import type { KmeTrait } from './finding.ts'

/** Traits that only KMEs of one make have together, the most telling first. */
const MAKES: readonly { readonly profile: KmeProfileName; readonly traits: readonly KmeTrait[] }[] = [
  { profile: 'dske', traits: ['any-spelling', 'no-post'] },
  { profile: 'dske', traits: ['any-spelling', 'keys-object'] },
  { profile: 'qkd-net', traits: ['site-names'] },
  { profile: 'etsi-qkd-rest', traits: ['numeric-id'] },
  { profile: 'transeuroogs', traits: ['key-not-found-503'] },
  { profile: 'guardian', traits: ['fastapi-errors'] },
  { profile: 'next-door', traits: ['html-errors'] },
  { profile: 'merqury', traits: ['key-message-not-found', 'zero-counters'] },
  { profile: 'qukaydee', traits: ['key-not-found-404'] },
]

/** What can be read only where it's asked for. */
const NEEDS_LENIENCE: readonly KmeTrait[] = ['any-spelling', 'numeric-id', 'site-names', 'keys-object']

/** The profile that fits what was seen: `etsi` where nothing has to be read otherwise, `lenient` for an unknown make. */
export function suggestProfile(traits: ReadonlySet<KmeTrait>): KmeProfileName {
  const make = MAKES.find(({ traits: wanted }) => wanted.every(trait => traits.has(trait)))
  if (make !== undefined) return make.profile
  return NEEDS_LENIENCE.some(trait => traits.has(trait)) ? 'lenient' : 'etsi'
}

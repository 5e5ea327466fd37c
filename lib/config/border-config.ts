import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { etsiId, list, listenSchema, objectSchema } from './schema-parts.ts'
import type { ListenConfig, TlsIdentity } from './site-config.ts'

/** Levels that a key may be worth past the border. */
const LEVELS = ['quantum', 'hybrid', 'expanded', 'post-quantum'] as const

/** Another domain, whose KME stands at this same site. */
export interface DomainConfig {
  /** What the certificate of that KME must say. */
  readonly kmeId: string
  /** Base URL of its ETSI GS QKD 020 server. */
  readonly url: string
  /** SAEs of that domain. */
  readonly saes: readonly string[]
  /** What keys to and from it are taken to be worth, as both operators have agreed. Default `quantum`. */
  readonly level: (typeof LEVELS)[number]
}

/** This site's part of the border to other domains: ETSI GS QKD 020. */
export interface BorderConfig {
  readonly listen: ListenConfig
  /** URL of `listen` as the other KMEs reach it. Default its address and port. */
  readonly url?: string
  /** `synchronous` waits for the acknowledgement in the answer, where the other KME can. Default `asynchronous`. */
  readonly mode: 'asynchronous' | 'synchronous'
  /** Certificate towards other domains, and their authority. Default the site's own. */
  readonly tls?: TlsIdentity
  readonly domains: readonly DomainConfig[]
}

/** The same as it stands in a file: `tls` has paths, and what has a default may be missing. */
export interface BorderConfigFile extends Omit<BorderConfig, 'listen' | 'mode' | 'domains'> {
  readonly listen: Partial<ListenConfig> & Pick<ListenConfig, 'port'>
  readonly mode?: BorderConfig['mode']
  readonly domains: readonly (Omit<DomainConfig, 'level'> & Partial<Pick<DomainConfig, 'level'>>)[]
}

const url = (description: string): JsonSchema => ({
  type: 'string',
  pattern: '^https://[^\\s/?#]+[^\\s?#]*$',
  maxLength: 900,
  description,
})

/** The schema of `border`; `tls` is that of the site. */
export const borderSchema = (tls: JsonSchema): JsonSchema =>
  objectSchema(
    "This site's part of the border to other domains (ETSI GS QKD 020)",
    {
      listen: listenSchema('Where the KMEs of other domains at this site connect, over TLS 1.3'),
      url: url('Base URL of listen as they reach it, such as https://10.0.0.1:8020; default its address'),
      mode: {
        enum: ['asynchronous', 'synchronous'],
        default: 'asynchronous',
        description: 'Whether keys are acknowledged by a call of their own, or in the answer',
      },
      tls,
      domains: list(
        'Other domains with a KME at this site',
        objectSchema(
          'Another domain',
          {
            kmeId: etsiId('KME ID that the certificate of its KME must name'),
            url: url('Base URL of its ETSI GS QKD 020 server'),
            saes: list('SAE IDs of that domain', etsiId('SAE ID'), 10_000),
            level: {
              enum: [...LEVELS],
              default: 'quantum',
              description: 'What keys to and from it are worth, as both operators have agreed',
            },
          },
          ['level'],
        ),
        64,
      ),
    },
    ['url', 'mode', 'tls'],
  )

/** What no schema can say of `border`: SAEs and KMEs that stand in two places. */
export function checkBorder(
  border: BorderConfigFile | undefined,
  { saeIds, kmeIds }: { saeIds: readonly string[]; kmeIds: readonly string[] },
): SchemaFault[] {
  const faults: SchemaFault[] = []
  const taken = new Map<string, string>([...saeIds, ...kmeIds].map(id => [id, '/saes, /peers or /kmeId']))
  const claim = (id: string, path: string) => {
    const first = taken.get(id)
    if (first === undefined) taken.set(id, path)
    else faults.push({ path, message: `"${id}" stands at ${first} already; each has one place` })
  }
  for (const [index, { kmeId, saes }] of (border?.domains ?? []).entries()) {
    claim(kmeId, `/border/domains/${index}/kmeId`)
    for (const [at, saeId] of saes.entries()) claim(saeId, `/border/domains/${index}/saes/${at}`)
  }
  return faults
}

import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { etsiId, list, listenSchema, objectSchema, text } from './schema-parts.ts'
import type { ListenConfig } from './site-config.ts'

/** The name by which encryptors know a host. */
export interface SkipSystemConfig {
  /** For a host of another site also a pattern: `*`, `?`, `[list]`, `[!list]`. */
  readonly systemId: string
  readonly saeId: string
}

/** An encryptor of this site that comes by pre-shared key. */
export interface SkipPskConfig {
  /** The PSK identity that it sends. */
  readonly identity: string
  readonly saeId: string
  /** The pre-shared key. */
  readonly key: Buffer
}

/** The server of Cisco's SKIP. */
export interface SkipConfig {
  readonly listen: ListenConfig
  /** Hosts that encryptors know by another name than their SAE ID. Default none. */
  readonly systems: readonly SkipSystemConfig[]
  /** Encryptors that come by pre-shared key on TLS 1.2, in place of a certificate. Default none. */
  readonly psks: readonly SkipPskConfig[]
}

/** The same as it stands in a file: pre-shared keys lie in files of their own. */
export interface SkipConfigFile {
  readonly listen: Partial<ListenConfig> & Pick<ListenConfig, 'port'>
  readonly systems?: readonly SkipSystemConfig[]
  readonly psks?: readonly (Omit<SkipPskConfig, 'key'> & { readonly file: string })[]
}

/** The schema of `skip`. */
export const skipSchema: JsonSchema = objectSchema(
  'The server of Cisco SKIP (draft-cisco-skip), for encryptors of this site',
  {
    listen: listenSchema('Where encryptors connect'),
    systems: list(
      'Hosts that encryptors know by another name than their SAE ID',
      objectSchema('A system', {
        systemId: etsiId('Its system ID; for a host of another site also a pattern with * ? [list] [!list]'),
        saeId: etsiId('SAE ID of the host'),
      }),
      10_000,
    ),
    psks: list(
      'Encryptors of this site that come by pre-shared key (TLS 1.2, DHE-PSK) in place of a certificate',
      objectSchema('An encryptor', {
        identity: etsiId('The PSK identity that it sends'),
        saeId: etsiId('SAE ID of the encryptor'),
        file: text('File of the pre-shared key: 32 to 128 hex digits, mode 0600, relative to this file'),
      }),
      1_024,
    ),
  },
  ['systems', 'psks'],
)

/** What no schema can say of `skip`. */
export function checkSkip(
  skip: SkipConfigFile | undefined,
  { own, remote }: { own: readonly string[]; remote: readonly string[] },
): SchemaFault[] {
  const faults: SchemaFault[] = []
  const systemIds = new Map<string, string>()
  for (const [index, { systemId, saeId }] of (skip?.systems ?? []).entries()) {
    const path = `/skip/systems/${index}`
    const first = systemIds.get(systemId)
    if (first === undefined) systemIds.set(systemId, path)
    else faults.push({ path, message: `system "${systemId}" stands at ${first} already; each has one place` })
    if (own.includes(saeId) && /[*?[]/.test(systemId)) {
      faults.push({ path, message: `"${saeId}" is a host of this site: its systemId is one name, not a pattern` })
    }
    if (!own.includes(saeId) && !remote.includes(saeId)) faults.push({ path: `${path}/saeId`, message: unknown(saeId) })
  }
  const identities = new Map<string, string>()
  for (const [index, { identity, saeId }] of (skip?.psks ?? []).entries()) {
    const path = `/skip/psks/${index}`
    const first = identities.get(identity)
    if (first === undefined) identities.set(identity, path)
    else faults.push({ path, message: `identity "${identity}" stands at ${first} already; each has one place` })
    if (own.includes(saeId)) continue
    faults.push({ path: `${path}/saeId`, message: `"${saeId}" is not listed under /saes; add it there` })
  }
  return faults
}

function unknown(saeId: string): string {
  return `"${saeId}" is listed neither under /saes nor with a peer; add it there or correct the name`
}

import type { SecurityLevel, TrustClass } from '../interface/kms.ts'
import type { PolicyFile } from '../interface/policy.ts'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { type Etsi014Config, etsi014Schema } from './etsi014-config.ts'
import {
  checkKmeAccess,
  KME_ACCESS_OPTIONAL,
  type KmeAccess,
  type KmeTlsFiles,
  kmeAccessSchemas,
} from './kme-access.ts'
import { etsiId, integer, list, listenSchema, name, objectSchema, text } from './schema-parts.ts'
import type { KeysConfig, ListenConfig, SaeConfig, TlsIdentity } from './site-config.ts'
import { tlsFilesSchema } from './site-config.ts'

/** A host of this site, and the certificate by which the KMEs behind the front know it. */
export interface FrontSaeConfig extends SaeConfig {
  readonly tls: TlsIdentity
}

/** A KME of somebody else's make, and the far site that it serves. */
export interface FrontKmeConfig extends Omit<KmeAccess, 'tls'> {
  readonly peerSiteId: string
  /** The hosts at that site. */
  readonly saes: readonly string[]
  /** What its keys are held to be where it does not say so itself. Default `quantum`. */
  readonly level: SecurityLevel
  /** Default `direct`. */
  readonly trustClass: TrustClass
}

/** Everything `createFront` needs. */
export interface FrontConfig {
  readonly siteId: string
  readonly kmeId: string
  readonly listen: ListenConfig
  readonly tls: TlsIdentity
  readonly saes: readonly FrontSaeConfig[]
  readonly kmes: readonly FrontKmeConfig[]
  readonly keys: KeysConfig
  readonly etsi014?: Etsi014Config
  readonly policy?: PolicyFile
  readonly audit?: { readonly file: string }
  readonly ops?: ListenConfig
}

/** The same as it stands in a file. */
export interface FrontConfigFile extends Omit<FrontConfig, 'saes' | 'policy'> {
  readonly $schema?: string
  readonly saes: readonly (SaeConfig & { readonly tls: KmeTlsFiles })[]
  readonly policy?: { readonly file: string }
}

const { tls: saeTlsSchema, ...kmeSchemas } = kmeAccessSchemas

const size = (description: string, fallback: number): JsonSchema => ({
  ...integer(`${description} in bits, a multiple of 8`, 8, 1_048_576, fallback),
  multipleOf: 8,
})

/** JSON Schema (draft 2020-12) of the configuration of `qkd kme front`. */
export const frontConfigSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit front configuration',
  ...objectSchema(
    'Policy and audit in front of the KMEs of other vendors',
    {
      $schema: text('Where this schema is published'),
      siteId: name('Site ID'),
      kmeId: etsiId('KME ID of the front'),
      listen: listenSchema('The ETSI GS QKD 014 server'),
      tls: tlsFilesSchema,
      saes: list(
        'Hosts of this site',
        objectSchema(
          'A host (SAE)',
          {
            saeId: etsiId('SAE ID, here and at the KMEs behind'),
            fingerprint256: {
              type: 'string',
              pattern: '^[0-9a-f]{64}$',
              description: "SHA-256 of the host's certificate: 64 lower-case hex digits without colons",
            },
            serialNumber: {
              type: 'string',
              pattern: '^[0-9A-Fa-f:]{1,64}$',
              description: "Serial number of the host's certificate, hex",
            },
            tls: saeTlsSchema,
          },
          ['fingerprint256', 'serialNumber'],
        ),
        1_000,
      ),
      kmes: list(
        'KMEs of other vendors at this site, one for each far site',
        objectSchema(
          'A KME',
          {
            peerSiteId: name('Site at the other end'),
            saes: list('SAE IDs at the other end', etsiId('SAE ID'), 10_000),
            ...kmeSchemas,
            level: {
              enum: ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum'],
              default: 'quantum',
              description: 'What its keys are held to be where it does not say so itself',
            },
            trustClass: {
              enum: ['direct', 'split', 'relayed', 'post-quantum'],
              default: 'direct',
              description: 'How they came where it does not say so itself',
            },
          },
          [...KME_ACCESS_OPTIONAL, 'level', 'trustClass'],
        ),
        256,
      ),
      keys: {
        ...objectSchema(
          'Size and number of keys that the front lets through',
          {
            keySizeBits: size('Default size of a key', 256),
            minKeySizeBits: size('Smallest key', 64),
            maxKeySizeBits: size('Largest key', 4_096),
            maxKeyPerRequest: integer('Keys that one request may ask for', 1, 1_024, 128),
          },
          ['keySizeBits', 'minKeySizeBits', 'maxKeySizeBits', 'maxKeyPerRequest'],
        ),
        default: {},
      },
      etsi014: etsi014Schema,
      policy: objectSchema('Who may have which keys', {
        file: text('Policy file, JSON or YAML, relative to this file; read again when it changes'),
      }),
      audit: objectSchema('Where decisions are written before keys are handed out', {
        file: text('Audit log, relative to this file; made where it is missing'),
      }),
      ops: listenSchema('Health, readiness and metrics, over HTTP without TLS'),
    },
    ['$schema', 'keys', 'etsi014', 'policy', 'audit', 'ops'],
  ),
}

/** What no schema can say: hosts and sites that meet twice, URLs that are none. */
export function checkFrontConfig({ siteId, saes, kmes }: FrontConfigFile): SchemaFault[] {
  const faults: SchemaFault[] = []
  const seen = new Map<string, string>()
  const once = (id: string, path: string) => {
    const first = seen.get(id)
    if (first === undefined) seen.set(id, path)
    else faults.push({ path, message: `"${id}" stands at ${first} already; each has one place` })
  }
  for (const [index, { saeId }] of saes.entries()) once(saeId, `/saes/${index}/saeId`)
  for (const [index, kme] of kmes.entries()) {
    const path = `/kmes/${index}`
    faults.push(...checkKmeAccess(kme, path))
    for (const [at, saeId] of kme.saes.entries()) once(saeId, `${path}/saes/${at}`)
    if (kme.peerSiteId === siteId || kmes.findIndex(other => other.peerSiteId === kme.peerSiteId) < index) {
      faults.push({ path: `${path}/peerSiteId`, message: `"${kme.peerSiteId}" must be another site, with one KME` })
    }
  }
  return faults
}

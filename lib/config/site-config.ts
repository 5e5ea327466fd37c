import type { SecurityLevel } from '../interface/kms.ts'
import type { PolicyFile } from '../interface/policy.ts'
import type { JsonSchema } from '../util/json-schema.ts'
import { type AlarmsConfig, type AlarmsConfigFile, alarmsSchema } from './alarms-config.ts'
import { type BorderConfig, type BorderConfigFile, borderSchema } from './border-config.ts'
import { type ConsoleConfig, type ConsoleConfigFile, consoleSchema } from './console-config.ts'
import { type Etsi014Config, etsi014Schema } from './etsi014-config.ts'
import { type LinkConfig, type LinkConfigFile, linkKindSchemas, type MlDsaIdentity } from './link-config.ts'
import { type NetworkConfig, type NetworkConfigFile, networkSchema } from './network-config.ts'
import { type OperatorsConfig, type OperatorsConfigFile, operatorsSchema } from './operators-config.ts'
import { etsiId, integer, list, listenSchema as listen, name, objectSchema, text } from './schema-parts.ts'
import { type ServicesConfig, type ServicesConfigFile, servicesSchema } from './services-config.ts'
import { type SkipConfig, type SkipConfigFile, skipSchema } from './skip-config.ts'
import { type StoreConfig, type StoreConfigFile, storeSchema } from './store-config.ts'

export type { StoreConfig }

/** Where a server listens. */
export interface ListenConfig {
  /** Address or name of a local interface. Default `127.0.0.1`. */
  readonly host: string
  /** TCP port; 0 takes a free one. */
  readonly port: number
}

/** A host (SAE) of this site. */
export interface SaeConfig {
  /** What its certificate says: where, stands in `etsi014.saeIdentity`. */
  readonly saeId: string
  /** SHA-256 of its certificate's DER, lower-case hex without colons: where set, this certificate and no other. */
  readonly fingerprint256?: string
  /** Serial number of its certificate, hex: where set, certificates with this number and no other. */
  readonly serialNumber?: string
  /** The `minLevel` of its requests that name none: for hosts whose software can't. Default none; such a request is never lowered. */
  readonly minLevel?: SecurityLevel
}

/** Another site whose KMS shares pools with this one. The site with the smaller siteId (by code unit) dials. */
export interface PeerConfig {
  readonly siteId: string
  /** What the certificate of the other KMS must say: its common name, or `urn:qkdkit:kme:` and this ID. */
  readonly kmeId: string
  /** The hosts at that site. */
  readonly saes: readonly string[]
  /** Hosts of other domains, to which that site is the way. Default none. */
  readonly foreignSaes?: readonly string[]
  /** Address of the peer's `peerListen`; there where this site dials. */
  readonly host?: string
  readonly port?: number
}

/** How the pools of this site are run. */
export interface PoolConfig {
  /** How long an issued key may wait to be fetched, in milliseconds. Default 300,000 (5 minutes). */
  readonly lifetimeMs: number
  /** How many blocks of 1,000 cells each pool keeps in stock at the most, at least one for each direction. Default 8. */
  readonly targetBlocks: number
  /** How many it keeps however little is asked. Default 4 or `targetBlocks`, the lower; with satellites `targetBlocks`. */
  readonly minBlocks?: number
  /** How long a request waits for key before it is refused, in milliseconds. Default 2,000. */
  readonly maxWaitMs: number
  /**
   * When delivered cells are gone from the store at the latest, in milliseconds; after a restart counted from when the other site
   * is met. Default 60,000.
   */
  readonly shredMs: number
  /** When the secret with each other site is refreshed, in milliseconds, ... Default 3,600,000 (an hour). */
  readonly refreshMs?: number
  /** ... and after how many keys of this site, whichever is first. Default 268,435,456. */
  readonly refreshKeys?: number
  /** The weakest parameter set of ML-KEM that such a refresh may be made with. Default `ML-KEM-768`. */
  readonly kem?: 'ML-KEM-768' | 'ML-KEM-1024'
  /** How often within an hour a peer's store may be put back, or begin anew, before its pool is suspended. Default 10. */
  readonly restoresPerHour?: number
  /** How many blocks may differ from the peer's within an hour before that. Default 100. */
  readonly mismatchesPerHour?: number
}

/** Size and number of keys, as the ETSI 014 status reports them. */
export interface KeysConfig {
  /** Size of a key where the request names none, in bits. Default 256. */
  readonly keySizeBits: number
  /** Default 64. */
  readonly minKeySizeBits: number
  /** Default 4,096. */
  readonly maxKeySizeBits: number
  /** How many keys one request may ask for. Default 128. */
  readonly maxKeyPerRequest: number
  /** How many further hosts one request may name (multicast); 0 for none. Default 32. */
  readonly maxSaeIdCount?: number
}

/** Certificate, private key and trusted certificate authority of one end, as PEM text. */
export interface TlsIdentity {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

/** Everything `createSite` needs. Paths are absolute, TLS files are read: nothing refers to a configuration file. */
export interface SiteConfig {
  readonly siteId: string
  readonly kmeId: string
  /** The ETSI GS QKD 014 server. */
  readonly listen: ListenConfig
  /** How that server treats its callers. */
  readonly etsi014?: Etsi014Config
  /** Processes that do TLS and HTTP for the hosts, 1 to 64. Default 0: the process of the site does it itself. */
  readonly workers?: number
  /** The server of Cisco's SKIP, for encryptors that don't speak ETSI 014. Default none. */
  readonly skip?: SkipConfig
  /** This site's part of the border to other domains: ETSI GS QKD 020. Default none. */
  readonly border?: BorderConfig
  /** Where the KMSs of other sites connect. */
  readonly peerListen: ListenConfig
  /** The site's part in a network with relays. Default: it shares key with its neighbours alone. */
  readonly network?: NetworkConfig
  /** The parts of the site as processes of their own. Default: all in one. */
  readonly services?: ServicesConfig
  readonly tls: TlsIdentity
  /**
   * Certificate of the site with ML-DSA-65: proves the first round of its links (needed where a `bb84` link has no `psk`) and each
   * refresh of the secret with another site, which must then sign too.
   */
  readonly mlDsa?: MlDsaIdentity
  readonly saes: readonly SaeConfig[]
  readonly peers: readonly PeerConfig[]
  readonly links: readonly LinkConfig[]
  readonly store: StoreConfig
  readonly pool: PoolConfig
  readonly keys: KeysConfig
  /** Who may have which keys. Default what `keys` allows, to every host. */
  readonly policy?: PolicyFile
  /** Where decisions are written before they take effect. Default nowhere. */
  readonly audit?: { readonly file: string }
  /** `/healthz`, `/readyz` and `/metrics`, without TLS: an address that only the machine or its watchers reach. Default nowhere. */
  readonly ops?: ListenConfig
  /** Traces of key requests by OpenTelemetry: needs `@opentelemetry/api`, and an SDK that the process sets up. Default false. */
  readonly traces?: boolean
  /** What becomes of alarms. Default they are events, and nothing is kept or told. */
  readonly alarms?: AlarmsConfig
  /** How operators reach the running site, and what each may do. Default not at all. */
  readonly operators?: OperatorsConfig
  /** The page that shows all of it to a person. Default nowhere. */
  readonly console?: ConsoleConfig
}

/** The same as it stands in a file: `tls` has paths, relative to the file; what has a default may be missing. */
export interface SiteConfigFile
  extends Omit<
    SiteConfig,
    | 'listen'
    | 'peerListen'
    | 'network'
    | 'services'
    | 'skip'
    | 'border'
    | 'links'
    | 'store'
    | 'pool'
    | 'keys'
    | 'policy'
    | 'ops'
    | 'alarms'
    | 'operators'
    | 'console'
  > {
  readonly $schema?: string
  readonly listen: Partial<ListenConfig> & Pick<ListenConfig, 'port'>
  readonly peerListen: Partial<ListenConfig> & Pick<ListenConfig, 'port'>
  readonly network?: NetworkConfigFile
  readonly services?: ServicesConfigFile
  readonly skip?: SkipConfigFile
  readonly border?: BorderConfigFile
  readonly links: readonly LinkConfigFile[]
  readonly store?: StoreConfigFile
  readonly pool?: Partial<PoolConfig>
  readonly keys?: Partial<KeysConfig>
  readonly policy?: { readonly file: string }
  readonly ops?: Partial<ListenConfig> & Pick<ListenConfig, 'port'>
  readonly alarms?: AlarmsConfigFile
  readonly operators?: OperatorsConfigFile
  readonly console?: ConsoleConfigFile
}

/** `{cert, key, ca}` as paths of PEM files. */
export const tlsFilesSchema: JsonSchema = objectSchema('PEM files, relative to this file', {
  cert: text('Path of the certificate (PEM)'),
  key: text('Path of its private key (PEM, mode 0600)'),
  ca: text('Path of the certificate authority that signed both ends (PEM)'),
})

/** An SAE ID as a schema. */
export const saeIdSchema: JsonSchema = etsiId('SAE ID')

/** A KME ID as a schema. */
export const kmeIdSchema: JsonSchema = etsiId('KME ID')

const pool: JsonSchema = {
  ...objectSchema(
    'How the pools are run',
    {
      lifetimeMs: integer('How long an issued key may wait to be fetched, ms', 1_000, 86_400_000, 300_000),
      targetBlocks: integer('Blocks of 1,000 cells in stock for each pool at the most', 2, 4_096, 8),
      minBlocks: integer(
        'Blocks kept however little is asked; left out 4 or targetBlocks, the lower, and with satellites targetBlocks',
        2,
        4_096,
      ),
      maxWaitMs: integer('How long a request waits for key, ms', 0, 60_000, 2_000),
      shredMs: integer(
        'When delivered cells are gone from the store at the latest, ms, after a restart from when the other site is met',
        100,
        3_600_000,
        60_000,
      ),
      refreshMs: integer('When the secret with each other site is refreshed, ms', 1_000, 604_800_000, 3_600_000),
      refreshKeys: integer('After how many keys it is refreshed, if that is sooner', 1, 2 ** 28, 2 ** 28),
      kem: {
        enum: ['ML-KEM-768', 'ML-KEM-1024'],
        description: 'The weakest parameter set that a refresh may be made with; the strongest of both sites is used',
        default: 'ML-KEM-768',
      },
      restoresPerHour: integer(
        "How often within an hour a peer's store may be put back, or begin anew, before its pool is suspended",
        1,
        1_000_000,
        10,
      ),
      mismatchesPerHour: integer('How many blocks may differ from those of the peer before that', 1, 1_000_000, 100),
    },
    [
      'lifetimeMs',
      'targetBlocks',
      'minBlocks',
      'maxWaitMs',
      'shredMs',
      'refreshMs',
      'refreshKeys',
      'kem',
      'restoresPerHour',
      'mismatchesPerHour',
    ],
  ),
  default: {},
}

const keySize = (description: string, fallback: number): JsonSchema => ({
  ...integer(`${description} in bits, a multiple of 8`, 8, 255_488, fallback),
  multipleOf: 8,
})

const keys: JsonSchema = {
  ...objectSchema(
    'Size and number of keys',
    {
      keySizeBits: keySize('Default size of a key', 256),
      minKeySizeBits: keySize('Smallest key', 64),
      maxKeySizeBits: keySize('Largest key', 4_096),
      maxKeyPerRequest: integer('Keys that one request may ask for', 1, 1_024, 128),
      maxSaeIdCount: integer('Further hosts that one request may name; 0 for no multicast', 0, 64, 32),
    },
    ['keySizeBits', 'minKeySizeBits', 'maxKeySizeBits', 'maxKeyPerRequest', 'maxSaeIdCount'],
  ),
  default: {},
}

/** JSON Schema (draft 2020-12) of a site's configuration file; every field says in `description` what it takes. */
export const siteConfigSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit site configuration',
  ...objectSchema(
    'One site: its KMS, hosts, peers and links',
    {
      $schema: text('Where this schema is published'),
      siteId: name('Site ID'),
      kmeId: etsiId('KME ID of this site'),
      listen: listen('The ETSI GS QKD 014 server'),
      etsi014: etsi014Schema,
      workers: integer('Processes that do TLS and HTTP for the hosts; 0 for none but that of the site', 0, 64, 0),
      skip: skipSchema,
      border: borderSchema(tlsFilesSchema),
      peerListen: listen('Where the KMSs of other sites connect'),
      tls: tlsFilesSchema,
      mlDsa: objectSchema('Certificate of the site with ML-DSA-65, as PEM files relative to this file', {
        cert: text('Path of the certificate (PEM)'),
        key: text('Path of its private key (PEM, mode 0600)'),
        ca: text('Path of the certificate authority that signed both sites (PEM)'),
      }),
      saes: list(
        'Hosts of this site',
        objectSchema(
          'A host (SAE)',
          {
            saeId: etsiId('SAE ID'),
            fingerprint256: {
              type: 'string',
              pattern: '^[0-9a-f]{64}$',
              description: "SHA-256 of the host's certificate: 64 lower-case hex digits without colons",
            },
            serialNumber: {
              type: 'string',
              pattern: '^[0-9A-Fa-f]{1,40}$',
              description: "Serial number of the host's certificate: 1 to 40 hex digits without colons",
            },
            minLevel: {
              enum: ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum'],
              description: 'Lowest level that will do for requests of the host that name none, see levels.md',
            },
          },
          ['fingerprint256', 'serialNumber', 'minLevel'],
        ),
        10_000,
      ),
      peers: list(
        'Other sites',
        objectSchema(
          'Another site',
          {
            siteId: name('Site ID of the peer'),
            kmeId: etsiId('KME ID of the peer'),
            saes: list('SAE IDs at the peer', etsiId('SAE ID'), 10_000),
            foreignSaes: list('SAE IDs of other domains, to which the peer is the way', etsiId('SAE ID'), 10_000),
            host: text("Address or name of the peer's peerListen"),
            port: integer("TCP port of the peer's peerListen", 1, 65_535),
          },
          ['host', 'port', 'foreignSaes'],
        ),
        256,
      ),
      links: list(
        'QKD links that end at this site',
        objectSchema(
          'One end of a link',
          {
            linkId: name('Link ID, the same at both ends'),
            peerSiteId: name('Site at the other end'),
            ...linkKindSchemas,
            role: { enum: ['listen', 'connect'], description: 'Which end this is' },
            host: text('listen: local address; connect: address of the other end'),
            port: integer('TCP port, 0 for a free one where this end listens', 0, 65_535),
          },
          ['role', 'host', 'port', ...Object.keys(linkKindSchemas)],
        ),
        256,
      ),
      network: networkSchema,
      services: servicesSchema,
      store: storeSchema,
      pool,
      keys,
      policy: objectSchema('Who may have which keys', {
        file: text('Policy file, JSON or YAML, relative to this file; read again when it changes'),
      }),
      audit: objectSchema('Where decisions are written before they take effect', {
        file: text('Audit log, relative to this file; made where it is missing'),
      }),
      ops: listen('Health, readiness and metrics, over HTTP without TLS'),
      traces: {
        type: 'boolean',
        description: 'Traces of key requests by OpenTelemetry, see operator.md',
        default: false,
      },
      alarms: alarmsSchema,
      operators: operatorsSchema,
      console: consoleSchema,
    },
    [
      '$schema',
      'etsi014',
      'console',
      'mlDsa',
      'network',
      'services',
      'store',
      'pool',
      'keys',
      'policy',
      'audit',
      'ops',
      'alarms',
      'traces',
      'operators',
      'skip',
      'border',
    ],
  ),
}

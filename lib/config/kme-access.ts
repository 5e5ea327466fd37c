import { KME_PROFILE_NAMES, type KmeProfileName, kmeProfiles } from '../etsi014/kme-profile.ts'
import { isLoopback } from '../util/ip-address.ts'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { etsiId, objectSchema, text } from './schema-parts.ts'
import type { TlsIdentity } from './site-config.ts'

/** How a host, a link or a front door reaches a KME, of whatever make. */
export interface KmeAccess {
  /** Base URL of the ETSI GS QKD 014 server: `https`, with a path prefix where the KME has one. */
  readonly kme: string
  /** The KME's ID; where set, its certificate must say so. */
  readonly kmeId?: string
  /** SHA-256 of its certificate's DER, lower-case hex without colons: where set, this certificate and no other. */
  readonly kmeFingerprint256?: string
  /** Name that its certificate carries where that isn't the host of `kme`. */
  readonly servername?: string
  /** What it does otherwise than the standard. Default `etsi`. */
  readonly profile?: KmeProfileName
  /** `auto` sends one key's request as GET and any other as POST. Default the profile's. */
  readonly method?: 'auto' | 'GET' | 'POST'
  readonly tls: TlsIdentity
}

/** Certificate and key as files: PEM, or both in one PKCS #12 file. */
export interface KmeTlsFiles {
  readonly cert?: string
  readonly key?: string
  readonly ca?: string
  readonly pfx?: string
  /** File whose first line is the passphrase of `pfx` or `key`. */
  readonly passphraseFile?: string
}

/** The same as it stands in a file. */
export interface KmeAccessFile extends Omit<KmeAccess, 'tls'> {
  readonly tls: KmeTlsFiles
}

const kmeTlsSchema: JsonSchema = objectSchema(
  'Certificate and key, relative to this file: PEM files, or one PKCS #12 file',
  {
    cert: text('Path of the certificate (PEM)'),
    key: text('Path of its private key (PEM, mode 0600)'),
    ca: text('Path of the certificate authority that signed the KME (PEM); with pfx, default the authorities in that'),
    pfx: text('Path of a PKCS #12 file (.p12, .pfx; mode 0600) with certificate and key, in place of cert and key'),
    passphraseFile: text('Path of a file whose first line is the passphrase of pfx or key (mode 0600)'),
  },
  ['cert', 'key', 'ca', 'pfx', 'passphraseFile'],
)

/** The fields of a `KmeAccessFile`, for `objectSchema`. */
export const kmeAccessSchemas: Readonly<Record<keyof KmeAccess, JsonSchema>> = {
  kme: {
    type: 'string',
    pattern: '^https?://[^\\s/?#]+[^\\s?#]*$',
    description: 'Base URL of the KME, such as https://kme.example:8014, with its prefix where it has one',
  },
  kmeId: etsiId('KME ID that its certificate must name'),
  kmeFingerprint256: {
    type: 'string',
    pattern: '^[0-9a-f]{64}$',
    description: "SHA-256 of the KME's certificate: 64 lower-case hex digits without colons",
  },
  servername: text("Name that the KME's certificate carries where that is not the host of kme"),
  profile: {
    enum: [...KME_PROFILE_NAMES],
    description: 'What the KME does otherwise than the standard; default etsi',
  },
  method: {
    enum: ['auto', 'GET', 'POST'],
    description: 'auto sends one key as GET and more as POST; default what the profile says, mostly auto',
  },
  tls: kmeTlsSchema,
}

/** Those of them that may be missing. */
export const KME_ACCESS_OPTIONAL = ['kmeId', 'kmeFingerprint256', 'servername', 'profile', 'method'] as const

/** What no schema can say of `kme`; `path` is the JSON pointer of what has it. */
export function checkKmeAccess(
  { kme, profile = 'etsi' }: Pick<KmeAccess, 'kme' | 'profile'>,
  path = '',
): SchemaFault[] {
  if (!URL.canParse(kme)) return [{ path: `${path}/kme`, message: `not a URL: ${kme}` }]
  const { protocol, hostname } = new URL(kme)
  if (protocol === 'https:') return []
  if (kmeProfiles[profile].plainHttp && isLoopback(hostname)) return []
  const message = 'must be https: keys do not travel in clear (a profile without TLS serves this machine alone)'
  return [{ path: `${path}/kme`, message }]
}

import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import {
  checkKmeAccess,
  KME_ACCESS_OPTIONAL,
  type KmeAccess,
  type KmeAccessFile,
  kmeAccessSchemas,
} from './kme-access.ts'
import { etsiId, integer, objectSchema } from './schema-parts.ts'
import type { TlsIdentity } from './site-config.ts'

/** What every link end has. */
interface LinkEndConfig {
  readonly linkId: string
  readonly peerSiteId: string
  /** Which end this is. Default: the site with the smaller siteId connects. */
  readonly role: 'listen' | 'connect'
  /** For `listen` a local address, for `connect` the other end's. */
  readonly host: string
  readonly port: number
}

/** One end of a link of plain random bytes, without photons or post-processing. */
export interface SimulatedLinkConfig extends LinkEndConfig {
  readonly kind: 'simulated'
  /** Secret key that the link yields, in bits per second; both ends name the same. */
  readonly rateBps: number
}

/** What every link with (simulated) photons has; both ends have the same design. */
interface PhotonLinkConfig extends LinkEndConfig {
  /** The devices, by name. */
  readonly preset: string
  /** Sifted bits of a block of post-processing. Default 262,144. */
  readonly keyBits: number
  /** File of the key that proves the first round, the same at both ends. Default: the site's `mlDsa` certificate. */
  readonly psk?: string
  /** Where the photon channel is, if it is a process of its own. Default: at the listening end. */
  readonly photons?: { readonly host: string; readonly port: number }
}

/**
 * One end of a BB84 link over fibre: simulated photons, real post-processing. The listening end is Alice, who prepares the
 * photons.
 */
export interface Bb84LinkConfig extends PhotonLinkConfig {
  readonly kind: 'bb84'
  /** Length of the fibre in km. Default 10. */
  readonly distanceKm: number
  /** Power of classical channels that run along in the same fibre, in dBm. Default: the fibre is dark. */
  readonly classicalDbm?: number
  /** Width of the filter before Bob's detectors that keeps them out, in nm. Default 0.1. */
  readonly filterNm?: number
}

/** One end of a BB84 link through air. */
export interface FreeSpaceLinkConfig extends PhotonLinkConfig {
  readonly kind: 'free-space'
  /** Between the telescopes, in km. Default 1. */
  readonly distanceKm: number
}

/** One end of a BB84 link with a satellite, which passes at the same times each day. */
export interface SatelliteLinkConfig extends PhotonLinkConfig {
  readonly kind: 'satellite'
  readonly passes: readonly SatellitePassConfig[]
}

/** A pass of each day. */
export interface SatellitePassConfig {
  /** When the satellite stands highest: `HH:MM` or `HH:MM:SS`, UTC. */
  readonly time: string
  readonly maximumElevationDeg: number
}

/** One end of a link without a quantum channel: ML-KEM-768 between neighbours. */
export interface PostQuantumLinkConfig extends LinkEndConfig {
  readonly kind: 'post-quantum'
  /** Key that the link yields, in bits per second; both ends name the same. */
  readonly rateBps: number
  /** File of the key that proves both ends. Default: the site's `mlDsa` certificate. */
  readonly psk?: string
}

/** One end of a link whose key comes from a vendor's KME at each site, by ETSI GS QKD 014. The listening end draws. */
export interface Etsi014LinkConfig extends LinkEndConfig {
  readonly kind: 'etsi-014'
  readonly device: DeviceConfig
  /** File of the key that proves both ends. Default: the site's `mlDsa` certificate. */
  readonly psk?: string
}

/** The KME behind a link end, and as whom it is asked. */
export interface DeviceConfig extends KmeAccess {
  /** The SAE that this end is at its KME. */
  readonly saeId: string
  /** The SAE that the other end is at its own. */
  readonly peerSaeId: string
  /** Keys to ask for at once. Default what the KME's status allows, up to 128. */
  readonly keysPerRequest?: number
  /** Size of those keys in bits. Default the KME's own. */
  readonly keySizeBits?: number
}

/** The same as it stands in a file. */
export type DeviceConfigFile = Omit<DeviceConfig, 'tls'> & KmeAccessFile

/** One end of a link whose key was recorded, and carried to both sites as files. Nothing travels between the ends. */
export interface ReplayLinkConfig extends LinkEndConfig {
  readonly kind: 'replay'
  /** This end's own copy of the recording, as `qkd link replay` makes it. */
  readonly directory: string
  /** Key that is given at most, in bits per second. Default 10,000,000. */
  readonly rateBps: number
}

export type LinkConfig =
  | SimulatedLinkConfig
  | Bb84LinkConfig
  | FreeSpaceLinkConfig
  | SatelliteLinkConfig
  | PostQuantumLinkConfig
  | Etsi014LinkConfig
  | ReplayLinkConfig

export type LinkConfigKind = LinkConfig['kind']

/** The same as it stands in a file: what has a default may be missing, and which fields go with a kind is not said. */
export interface LinkConfigFile
  extends Omit<LinkEndConfig, 'role' | 'host' | 'port'>,
    Partial<Pick<LinkEndConfig, 'host' | 'port'>>,
    Partial<Pick<SimulatedLinkConfig, 'rateBps'>>,
    Partial<Pick<ReplayLinkConfig, 'directory'>>,
    Partial<Omit<Bb84LinkConfig, 'kind' | keyof LinkEndConfig>>,
    Partial<Pick<SatelliteLinkConfig, 'passes'>> {
  readonly device?: DeviceConfigFile
  readonly kind?: LinkConfigKind
  readonly role?: LinkEndConfig['role']
}

/** Certificate and key with ML-DSA-65 and the authority of both sites, as PEM text: `TlsIdentity` of another kind. */
export type MlDsaIdentity = TlsIdentity

/** Names of the presets by kind of link: those of `BB84_PRESETS` and its like, which are below this layer. */
export const LINK_PRESETS = {
  bb84: ['gys', 't12', 'yuan-2018', 'li-2023'],
  'free-space': ['roofs-night', 'roofs-day'],
  satellite: ['leo-2017', 'leo-fast'],
} as const

const KIND = 'bb84'
const DEFAULTS = {
  simulated: {},
  bb84: { preset: 'yuan-2018', distanceKm: 10, keyBits: 2 ** 18 },
  'free-space': { preset: 'roofs-night', distanceKm: 1, keyBits: 2 ** 18 },
  satellite: { preset: 'leo-fast', keyBits: 2 ** 18 },
  'post-quantum': {},
  'etsi-014': {},
  // Nothing is dialled and nobody listens.
  replay: { rateBps: 10_000_000, host: '127.0.0.1', port: 0 },
} as const satisfies Record<LinkConfigKind, object>

const PHOTON_FIELDS = ['preset', 'keyBits', 'psk', 'photons'] as const

type KindField = Exclude<keyof LinkConfigFile, keyof LinkEndConfig | 'kind'>

/** Fields that not every kind has. */
const FIELDS: Readonly<Record<LinkConfigKind, readonly KindField[]>> = {
  simulated: ['rateBps'],
  bb84: [...PHOTON_FIELDS, 'distanceKm', 'classicalDbm', 'filterNm'],
  'free-space': [...PHOTON_FIELDS, 'distanceKm'],
  satellite: [...PHOTON_FIELDS, 'passes'],
  'post-quantum': ['rateBps', 'psk'],
  'etsi-014': ['device', 'psk'],
  replay: ['directory', 'rateBps'],
}
const REQUIRED: Partial<Record<LinkConfigKind, readonly KindField[]>> = {
  simulated: ['rateBps'],
  satellite: ['passes'],
  'post-quantum': ['rateBps'],
  'etsi-014': ['device'],
  replay: ['directory'],
}
const kinds = Object.keys(FIELDS) as LinkConfigKind[]
const presets = Object.values(LINK_PRESETS).flat()
const defaultPresets = Object.entries(LINK_PRESETS).map(
  ([kind, names]) => `${kind}: ${names.join(', ')} (default ${DEFAULTS[kind as keyof typeof LINK_PRESETS].preset})`,
)

/** The schema of those fields. */
export const linkKindSchemas: Readonly<Record<string, JsonSchema>> = {
  kind: {
    enum: [KIND, ...kinds.filter(kind => kind !== KIND)],
    description:
      'Kind of link: bb84 (fibre: simulated photons, real post-processing; default), free-space and satellite (the same through air), post-quantum (ML-KEM, no photons), etsi-014 (the KMEs of a vendor, one at each site), replay (recorded key in files) or simulated (plain random bytes)',
  },
  rateBps: {
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000_000,
    description:
      'simulated, post-quantum, replay: key rate in bits per second: an integer from 1 to 1000000000; default with replay 10000000',
  },
  preset: { enum: presets, description: `The devices; ${defaultPresets.join('; ')}` },
  distanceKm: {
    type: 'number',
    minimum: 0,
    maximum: 1_000,
    description: 'bb84, free-space: between the sites in km, a number from 0 to 1000; default 10 and 1',
  },
  keyBits: {
    type: 'integer',
    minimum: 4_096,
    maximum: 2 ** 22,
    description:
      'Links with photons: sifted bits of a block of post-processing, an integer from 4096 to 4194304; default 262144',
  },
  classicalDbm: {
    type: 'number',
    minimum: -60,
    maximum: 20,
    description:
      'bb84: power of classical channels in the same fibre in dBm, a number from -60 to 20; default: the fibre is dark',
  },
  filterNm: {
    type: 'number',
    exclusiveMinimum: 0,
    maximum: 100,
    description: "bb84 with classicalDbm: width of the filter before Bob's detectors in nm, up to 100; default 0.1",
  },
  passes: {
    type: 'array',
    minItems: 1,
    maxItems: 64,
    description: 'satellite: the passes of each day',
    items: {
      type: 'object',
      description: 'A pass',
      properties: {
        time: {
          type: 'string',
          pattern: '^([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d)?$',
          description: 'When the satellite stands highest: HH:MM or HH:MM:SS, UTC',
        },
        maximumElevationDeg: {
          type: 'number',
          exclusiveMinimum: 0,
          maximum: 90,
          description: 'How high it then stands, in degrees up to 90',
        },
      },
      required: ['time', 'maximumElevationDeg'],
      additionalProperties: false,
    },
  },
  device: objectSchema(
    'etsi-014: the KME of this site that the key comes from; the listening end draws, the other fetches',
    {
      saeId: etsiId('SAE ID of this end at its KME'),
      peerSaeId: etsiId('SAE ID of the other end at its own KME'),
      keysPerRequest: integer('Keys to ask for at once; default what the KME allows, up to 128', 1, 1_024),
      keySizeBits: { ...integer("Size of those keys in bits; default the KME's own", 8, 1_048_576), multipleOf: 8 },
      ...kmeAccessSchemas,
    },
    ['keysPerRequest', 'keySizeBits', ...KME_ACCESS_OPTIONAL],
  ),
  directory: {
    type: 'string',
    minLength: 1,
    description: "replay: directory of this end's own copy of the recording, as qkd link replay makes it",
  },
  psk: {
    type: 'string',
    minLength: 1,
    description:
      'Not simulated: file of 32 bytes or more, mode 0600, the same at both ends, that proves the first round; default: the mlDsa certificate of the site',
  },
  photons: {
    type: 'object',
    description:
      'Links with photons: where the photon channel is, if it is a process of its own; default: at the listening end',
    properties: {
      host: { type: 'string', minLength: 1, description: 'Address or name' },
      port: { type: 'integer', minimum: 1, maximum: 65_535, description: 'TCP port: an integer from 1 to 65535' },
    },
    required: ['host', 'port'],
    additionalProperties: false,
  },
}

/** What the kind of a link asks for or has no use for. */
export function checkLinkKind(
  link: LinkConfigFile,
  path: string,
  { certified }: { certified: boolean },
): SchemaFault[] {
  const kind = link.kind ?? KIND
  const faults: SchemaFault[] = []
  for (const field of new Set(Object.values(FIELDS).flat())) {
    if (link[field] === undefined || FIELDS[kind].includes(field)) continue
    const others = kinds.filter(other => FIELDS[other].includes(field)).map(other => `"${other}"`)
    faults.push({
      path,
      message: `field "${field}" goes with kind ${others.join(' or ')}; remove it or change the kind`,
    })
  }
  for (const field of REQUIRED[kind] ?? []) {
    if (link[field] !== undefined) continue
    faults.push({ path, message: `field "${field}" is missing; kind "${kind}" needs it` })
  }
  if (kind in LINK_PRESETS && link.preset !== undefined) {
    const names: readonly string[] = LINK_PRESETS[kind as keyof typeof LINK_PRESETS]
    if (!names.includes(link.preset)) {
      faults.push({ path: `${path}/preset`, message: `kind "${kind}" has the presets ${names.join(', ')}` })
    }
  }
  if (kind === 'etsi-014' && link.device !== undefined) faults.push(...checkDevice(link.device, `${path}/device`))
  for (const field of ['host', 'port'] as const) {
    if (kind === 'replay' || link[field] !== undefined) continue
    faults.push({ path, message: `field "${field}" is missing; every kind but "replay" needs it` })
  }
  if (kind !== 'simulated' && kind !== 'replay' && link.psk === undefined && !certified) {
    const message =
      'nothing proves the first round: give the site an "mlDsa" certificate (development: qkd pki init), or the link a "psk"'
    faults.push({ path, message })
  }
  return faults
}

function checkDevice(device: DeviceConfigFile, path: string): SchemaFault[] {
  const faults = checkKmeAccess(device, path)
  if (device.saeId === device.peerSaeId) {
    faults.push({
      path: `${path}/peerSaeId`,
      message: 'must be another SAE than saeId: one end draws, the other fetches',
    })
  }
  return faults
}

/** The link with its defaults; it was checked. `pathOf` makes paths absolute, `deviceTls` is what `device` named as files. */
export function withLinkDefaults(
  { kind = KIND, role, device, ...link }: LinkConfigFile,
  {
    defaultRole,
    pathOf,
    deviceTls,
  }: {
    defaultRole: LinkEndConfig['role']
    pathOf: (path: string) => string
    deviceTls?: TlsIdentity | undefined
  },
): LinkConfig {
  const psk = link.psk === undefined ? {} : { psk: pathOf(link.psk) }
  const recording = link.directory === undefined ? {} : { directory: pathOf(link.directory) }
  const read = device === undefined ? {} : { device: { ...device, tls: deviceTls } }
  return { ...DEFAULTS[kind], ...link, role: role ?? defaultRole, ...psk, ...recording, ...read, kind } as LinkConfig
}

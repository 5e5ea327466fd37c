import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
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

/**
 * One end of a BB84 link: simulated photons, real post-processing. The listening end is Alice, who prepares the photons.
 * Both ends have the same preset, distance and size of blocks.
 */
export interface Bb84LinkConfig extends LinkEndConfig {
  readonly kind: 'bb84'
  /** The devices, by the name of a published system. Default `yuan-2018`. */
  readonly preset: string
  /** Length of the fibre in km. Default 10. */
  readonly distanceKm: number
  /** Sifted bits of a block of post-processing. Default 262,144. */
  readonly keyBits: number
  /** File of the key that proves the first round, the same at both ends. Default: the site's `mlDsa` certificate. */
  readonly psk?: string
  /** Where the photon channel is, if it is a process of its own. Default: at the listening end. */
  readonly photons?: { readonly host: string; readonly port: number }
}

export type LinkConfig = SimulatedLinkConfig | Bb84LinkConfig

/** The same as it stands in a file: what has a default may be missing, and which fields go with a kind is not said. */
export interface LinkConfigFile
  extends Omit<LinkEndConfig, 'role'>,
    Partial<Omit<SimulatedLinkConfig, 'kind' | keyof LinkEndConfig>>,
    Partial<Omit<Bb84LinkConfig, 'kind' | keyof LinkEndConfig>> {
  readonly kind?: LinkConfig['kind']
  readonly role?: LinkEndConfig['role']
}

/** Certificate and key with ML-DSA-65 and the authority of both sites, as PEM text: `TlsIdentity` of another kind. */
export type MlDsaIdentity = TlsIdentity

/** Names of the presets; those of `BB84_PRESETS`, which is below this layer. */
export const LINK_PRESETS = ['gys', 't12', 'yuan-2018', 'li-2023'] as const

const KIND = 'bb84'
const BB84_DEFAULTS = { preset: 'yuan-2018', distanceKm: 10, keyBits: 2 ** 18 } as const

/** Fields that go with one kind alone. */
const FIELDS = {
  simulated: ['rateBps'],
  bb84: ['preset', 'distanceKm', 'keyBits', 'psk', 'photons'],
} as const

/** The schema of those fields; `text` and `integer` make those of plain fields. */
export const linkKindSchemas: Readonly<Record<string, JsonSchema>> = {
  kind: {
    enum: ['bb84', 'simulated'],
    description:
      'Kind of link: bb84 (simulated photons, real post-processing; default) or simulated (plain random bytes)',
  },
  rateBps: {
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000_000,
    description: 'simulated: secret key rate in bits per second: an integer from 1 to 1000000000',
  },
  preset: {
    enum: [...LINK_PRESETS],
    description: `bb84: the devices, one of ${LINK_PRESETS.join(', ')}; default ${BB84_DEFAULTS.preset}`,
  },
  distanceKm: {
    type: 'number',
    minimum: 0,
    maximum: 1_000,
    description: `bb84: length of the fibre in km, a number from 0 to 1000; default ${BB84_DEFAULTS.distanceKm}`,
  },
  keyBits: {
    type: 'integer',
    minimum: 4_096,
    maximum: 2 ** 22,
    description: `bb84: sifted bits of a block of post-processing, an integer from 4096 to 4194304; default ${BB84_DEFAULTS.keyBits}`,
  },
  psk: {
    type: 'string',
    minLength: 1,
    description:
      'bb84: file of 32 bytes or more, mode 0600, the same at both ends, that proves the first round; default: the mlDsa certificate of the site',
  },
  photons: {
    type: 'object',
    description: 'bb84: where the photon channel is, if it is a process of its own; default: at the listening end',
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
  for (const [other, fields] of Object.entries(FIELDS)) {
    for (const field of other === kind ? [] : fields) {
      if (link[field] === undefined) continue
      faults.push({ path, message: `field "${field}" goes with kind "${other}"; remove it or change the kind` })
    }
  }
  if (kind === 'simulated' && link.rateBps === undefined) {
    faults.push({ path, message: 'field "rateBps" is missing; kind "simulated" needs it' })
  }
  if (kind === 'bb84' && link.psk === undefined && !certified) {
    const message =
      'nothing proves the first round: give the site an "mlDsa" certificate (development: qkd pki init), or the link a "psk"'
    faults.push({ path, message })
  }
  return faults
}

/** The link with its defaults; it was checked. `pathOf` makes paths absolute. */
export function withLinkDefaults(
  { kind = KIND, role, ...link }: LinkConfigFile,
  { defaultRole, pathOf }: { defaultRole: LinkEndConfig['role']; pathOf: (path: string) => string },
): LinkConfig {
  const common = { ...link, role: role ?? defaultRole }
  if (kind === 'simulated') return { ...common, kind } as SimulatedLinkConfig
  const psk = link.psk === undefined ? {} : { psk: pathOf(link.psk) }
  return { ...BB84_DEFAULTS, ...common, ...psk, kind }
}

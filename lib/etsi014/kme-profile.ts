import { InvalidArgumentError, type QkdErrorCode } from '../errors.ts'
import type { EtsiMethod } from './target.ts'

/** A refusal that a KME words by another status than the standard, and what it means there. */
export interface KmeRefusal {
  readonly method: EtsiMethod
  readonly status: number
  readonly code: QkdErrorCode
}

/** What a make of KME does otherwise than ETSI GS QKD 014 V1.1.1 says, as far as a client has to act on it. */
export interface KmeProfile {
  /** Which KMEs it is for. */
  readonly title: string
  /** What they do otherwise and what becomes of it here, one sentence each. */
  readonly deviations: readonly string[]
  /** `auto` sends one key's request as GET and any other as POST. */
  readonly method: 'auto' | 'GET' | 'POST'
  /** Status members in any case, under their older names, and IDs that are numbers. */
  readonly anySpelling: boolean
  /** A single key without the list around it. */
  readonly keysMayBeObject: boolean
  /** Unit of the three sizes in a status. */
  readonly statusSizeUnit: 'bits' | 'bytes'
  /** What stands in `key`: base64, or base64 of base64. */
  readonly keyEncoding: 'base64' | 'base64-twice'
  /** Where `number` and `size` go: into query or body, or into the path. */
  readonly request: 'standard' | 'path'
  /** The one size that it gives whatever was asked, in bits; another is refused before anything is sent. */
  readonly onlySizeBits: number | undefined
  /** Keys of one request; more are refused before anything is sent. */
  readonly maxPerRequest: number | undefined
  /** Without TLS, on this same machine alone. */
  readonly plainHttp: boolean
  readonly refusals: readonly KmeRefusal[]
}

const ETSI: KmeProfile = {
  title: 'The standard',
  deviations: [],
  method: 'auto',
  anySpelling: false,
  keysMayBeObject: false,
  statusSizeUnit: 'bits',
  keyEncoding: 'base64',
  request: 'standard',
  onlySizeBits: undefined,
  maxPerRequest: undefined,
  plainHttp: false,
  refusals: [],
}

const REPLAYS = 'A key that was fetched before is given again; nothing here asks twice.'

/**
 * The profiles by name. `etsi` already takes what does no harm: HTML and empty errors, FastAPI's `detail`, null for optional
 * members, unknown members, fewer keys than asked, key_IDs of any form, white space in base64.
 */
export const kmeProfiles = {
  etsi: ETSI,
  lenient: {
    ...ETSI,
    title: 'Any KME of unknown make',
    deviations: [
      'Status members may be in lower case and IDs may be numbers; they are read as what they stand for.',
      'A single key may come without the list around it; it is read as a list of one.',
    ],
    anySpelling: true,
    keysMayBeObject: true,
  },
  qukaydee: {
    ...ETSI,
    title: 'QuKayDee (hosted)',
    deviations: [
      'Refuses an unknown SAE with 404, a replayed key with 404 and an expired one with 403; they become the errors of the standard.',
      'Answers 400 where it has too little key; it is taken for exhaustion, to be tried later.',
    ],
  },
  'next-door': {
    ...ETSI,
    title: 'CreepPork next-door',
    deviations: [
      'Leaves number and size of a GET unread; everything is sent by POST.',
      'Refuses by HTML and answers 401 to a key that was fetched; both are typed errors.',
      'Gives keys of 31 bytes for 250 bits; sizes that are no multiple of 8 are never asked for.',
      'Forgets unfetched keys of a pair at the next enc_keys: fetch each key before the next one is drawn.',
    ],
    method: 'POST',
  },
  'py-qkd-kme-sim': {
    ...ETSI,
    title: 'next-door-key py-qkd-kme-sim',
    deviations: ['Refuses by 422 what does not validate and by 400 an unknown certificate; both are typed errors.'],
  },
  'qkd-kme-server': {
    ...ETSI,
    title: 'thomasarmel qkd_kme_server',
    deviations: [
      'Gives 256 bits whatever size is asked; another size is refused before anything is sent.',
      'Gives fewer keys than asked, with 200; they are passed on and reported.',
      'SAE IDs are 64-bit integers, written in decimal, and the SAE is known by the serial number of its certificate.',
      'Answers 409, 412 and 504 for trouble between its KMEs; they become "unreachable", to be tried later.',
      REPLAYS,
    ],
    onlySizeBits: 256,
    refusals: [
      { method: 'enc_keys', status: 409, code: 'ERR_QKD_KME_UNREACHABLE' },
      { method: 'enc_keys', status: 412, code: 'ERR_QKD_KME_UNREACHABLE' },
      { method: 'dec_keys', status: 409, code: 'ERR_QKD_KME_UNREACHABLE' },
      { method: 'dec_keys', status: 412, code: 'ERR_QKD_KME_UNREACHABLE' },
    ],
  },
  merqury: {
    ...ETSI,
    title: 'Merqury reference KME',
    deviations: ['The counters of its status are all 0; nothing here stands on them.', REPLAYS],
  },
  'etsi-qkd-rest': {
    ...ETSI,
    title: 'a-v-popov etsi-qkd-rest',
    deviations: ['target_KME_ID is the number 0; it is read as text.', REPLAYS],
    anySpelling: true,
  },
  guardian: {
    ...ETSI,
    title: 'guardian and its like (FastAPI)',
    deviations: [
      'Refuses by {"detail": …} and 422; both are typed errors.',
      'Names null for optional members and has members of its own; both are passed over.',
      'The default size is 32 bits: name the size you need.',
    ],
  },
  dske: {
    ...ETSI,
    title: 'dske-python, the DSKE client as KME',
    deviations: [
      'Stands behind a prefix; name it in the base URL, up to /etsi.',
      'Status members are in lower case; they are read as what they stand for.',
      'keys is an object; it is read as a list of one.',
      'Knows GET alone: one key_ID for each call.',
    ],
    method: 'GET',
    anySpelling: true,
    keysMayBeObject: true,
    maxPerRequest: 1,
  },
  'qkd-net': {
    ...ETSI,
    title: 'qkd-net (Waterloo)',
    deviations: [
      'key_size is in bytes; it is read as such.',
      'Status says master_KME_ID and slave_KME_ID for the SAEs; they are read as what they stand for.',
      'key_ID is an index and a block with a dash between; it is passed on as it is.',
    ],
    anySpelling: true,
    statusSizeUnit: 'bytes',
  },
  qkdnetsim: {
    ...ETSI,
    title: 'QKDNetSim testbed',
    deviations: [
      'Speaks HTTP without TLS; served on this machine alone.',
      'number and size stand in the path.',
      'key is base64 of base64 with a line feed; it is decoded twice.',
    ],
    method: 'GET',
    request: 'path',
    keyEncoding: 'base64-twice',
    plainHttp: true,
  },
  'arnika-mock': {
    ...ETSI,
    title: "arnika's mock KMS",
    deviations: [
      'Speaks HTTP without TLS; served on this machine alone.',
      'Gives one key of 256 bits for each call; anything else is refused before anything is sent.',
      REPLAYS,
    ],
    onlySizeBits: 256,
    maxPerRequest: 1,
    plainHttp: true,
  },
  dkms: {
    ...ETSI,
    title: 'DKMS (Rust)',
    deviations: [
      'Refuses an unknown SAE by 404 and too many requests by 429, and reports its peer by 502; all are typed errors.',
    ],
  },
  transeuroogs: {
    ...ETSI,
    title: 'transeuroogs KMS',
    deviations: [
      'Answers 503 to a key_ID that is unknown, fetched or expired; it is taken for "not found".',
      'Refuses null and unknown members; none are sent.',
    ],
    refusals: [{ method: 'dec_keys', status: 503, code: 'ERR_QKD_KEY_NOT_FOUND' }],
  },
} as const satisfies Record<string, KmeProfile>

/** Name of a compatibility profile. */
export type KmeProfileName = keyof typeof kmeProfiles

/** Every name, the standard's first. */
export const KME_PROFILE_NAMES = Object.keys(kmeProfiles) as readonly KmeProfileName[]

/**
 * The profile of that name.
 * @throws {InvalidArgumentError} there is none
 */
export function requireKmeProfile(name: KmeProfileName = 'etsi'): KmeProfile {
  if (Object.hasOwn(kmeProfiles, name)) return kmeProfiles[name]
  throw new InvalidArgumentError(`profile must be one of ${KME_PROFILE_NAMES.join(', ')}`)
}

/**
 * Refuses what a KME would answer with another key than was asked, before any key is spent on it.
 * @throws {InvalidArgumentError} more keys or another size than the profile's KMEs give
 */
export function requireServed(
  { title, maxPerRequest, onlySizeBits }: KmeProfile,
  { number, sizeBits }: { number: number; sizeBits?: number | undefined },
): void {
  if (maxPerRequest !== undefined && number > maxPerRequest) {
    throw new InvalidArgumentError(`${title} takes ${maxPerRequest} key a request, and ${number} were asked`, {
      details: [{ parameter_name: 'number', parameter_value: number, allowed_values: [maxPerRequest] }],
    })
  }
  if (onlySizeBits !== undefined && sizeBits !== undefined && sizeBits !== onlySizeBits) {
    throw new InvalidArgumentError(`${title} gives keys of ${onlySizeBits} bits alone, and ${sizeBits} were asked`, {
      details: [{ parameter_name: 'sizeBits', parameter_value: sizeBits, allowed_values: [onlySizeBits] }],
    })
  }
}

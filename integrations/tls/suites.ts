import { InvalidArgumentError } from '../../lib/index.ts'

/** The only suites of TLS 1.3 in which OpenSSL takes an external key from Node, by their numbers in a ClientHello. */
const TLS13_SUITES = { TLS_CHACHA20_POLY1305_SHA256: 0x1303, TLS_AES_128_GCM_SHA256: 0x1301 } as const

/** Those of TLS 1.2 that mix (EC)DHE in: a key that is found out later opens no recording (RFC 5489, RFC 7905). */
const TLS12_EPHEMERAL_SUITES = {
  'ECDHE-PSK-CHACHA20-POLY1305': 0xccac,
  'ECDHE-PSK-AES256-CBC-SHA384': 0xc038,
  'ECDHE-PSK-AES128-CBC-SHA256': 0xc037,
} as const

/** Those that stand on the pre-shared key alone: used only where they are named (RFC 4279, RFC 5487, RFC 7905). */
const TLS12_PURE_SUITES = {
  'PSK-CHACHA20-POLY1305': 0xccab,
  'PSK-AES256-GCM-SHA384': 0x00a9,
  'PSK-AES128-GCM-SHA256': 0x00a8,
  'PSK-AES256-CCM': 0xc0a5,
  'PSK-AES128-CCM': 0xc0a4,
} as const

const TLS12_SUITES = { ...TLS12_EPHEMERAL_SUITES, ...TLS12_PURE_SUITES } as const

/** A suite of TLS 1.2, as OpenSSL names it. */
export type Tls12Suite = keyof typeof TLS12_SUITES

/** The suites that can be named in `tls12Suites`. */
export const TLS12_SUITE_NAMES = Object.keys(TLS12_SUITES) as readonly Tls12Suite[]

/**
 * The suites of TLS 1.3 as node:tls takes them. OpenSSL's callback pins SHA-256; with the default list, a server that also
 * has a certificate chooses AES-256-GCM-SHA384, ignores a valid key, and neither side sees an error.
 */
export const CIPHERS = Object.keys(TLS13_SUITES).join(':')
/** The same by their numbers. */
export const CIPHER_NUMBERS: readonly number[] = Object.values(TLS13_SUITES)

/** The versions of TLS that a session may have. */
export interface TlsVersionOptions {
  /** `TLSv1.3` (default), or `TLSv1.2` for a peer that knows no better; both ends still take 1.3 where both have it. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /**
   * The suites to use in TLS 1.2, of `ECDHE-PSK-…` and `PSK-…`. Default: all with ECDHE. A suite without it gives no forward
   * secrecy, and is used only if it is named here.
   */
  readonly tls12Suites?: readonly Tls12Suite[]
}

/** The same, checked. */
export interface TlsVersions {
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** Empty without TLS 1.2. */
  readonly tls12Suites: readonly Tls12Suite[]
  /** For node:tls. */
  readonly ciphers: string
}

/**
 * Checks the options on versions.
 * @throws {InvalidArgumentError} an option is wrong, or `requireGroup` can't be met in TLS 1.2
 */
export function tlsVersions(options: TlsVersionOptions & { readonly requireGroup?: string | undefined }): TlsVersions {
  const { minVersion = 'TLSv1.3', tls12Suites, requireGroup } = options
  if (minVersion !== 'TLSv1.3' && minVersion !== 'TLSv1.2') {
    throw new InvalidArgumentError(`minVersion must be 'TLSv1.3' or 'TLSv1.2'`)
  }
  if (minVersion === 'TLSv1.3') {
    if (tls12Suites !== undefined) throw new InvalidArgumentError(`tls12Suites needs minVersion: 'TLSv1.2'`)
    return { minVersion, tls12Suites: [], ciphers: CIPHERS }
  }
  const suites = requireSuites(tls12Suites ?? (Object.keys(TLS12_EPHEMERAL_SUITES) as Tls12Suite[]))
  if (requireGroup !== undefined) requireReachable(requireGroup, suites)
  return { minVersion, tls12Suites: suites, ciphers: [CIPHERS, ...suites].join(':') }
}

/** The numbers of TLS 1.2 suites in a ClientHello. */
export function suiteNumbers(suites: readonly Tls12Suite[]): readonly number[] {
  return suites.map(suite => TLS12_SUITES[suite])
}

function requireSuites(suites: readonly Tls12Suite[]): readonly Tls12Suite[] {
  if (!Array.isArray(suites) || suites.length === 0) {
    throw new InvalidArgumentError('tls12Suites must name at least one suite')
  }
  for (const suite of suites) {
    if (!Object.hasOwn(TLS12_SUITES, suite)) {
      throw new InvalidArgumentError(`tls12Suites names ${suite}; there are ${TLS12_SUITE_NAMES.join(', ')}`)
    }
  }
  return suites
}

function requireReachable(group: string, suites: readonly Tls12Suite[]): void {
  if (group.includes('MLKEM')) {
    throw new InvalidArgumentError(`requireGroup ${group} needs minVersion: 'TLSv1.3': TLS 1.2 has no such group`)
  }
  const pure = suites.find(suite => Object.hasOwn(TLS12_PURE_SUITES, suite))
  if (pure !== undefined) throw new InvalidArgumentError(`requireGroup can't be met with ${pure}, which has no group`)
}

/** A header in which a proxy that ends TLS says which SAE it speaks for. */
export interface HeaderSource {
  readonly from: 'header'
  /** Its name in lower case. */
  readonly name: string
  /** SHA-256 of the certificates by which proxies are known, lower-case hex. Default none. */
  readonly proxies?: readonly string[]
  /** Whether a caller on this machine that shows no certificate is a proxy. Default false. */
  readonly loopback?: boolean
}

/**
 * One place where the name of an SAE may stand: ETSI GS QKD 014 V1.1.1, clause 5.1, has the KME confirm it from the
 * certificate, and leaves open from where in it.
 */
export type IdentitySource =
  /** What follows `prefix` in a URI subject alternative name, percent-decoded. Default `urn:qkdkit:sae:`. */
  | { readonly from: 'uri-san'; readonly prefix?: string }
  /** What stands before `suffix` in a DNS subject alternative name. Default the whole name. */
  | { readonly from: 'dns-san'; readonly suffix?: string }
  /** The one common name of the subject. */
  | { readonly from: 'common-name' }
  /** The certificate's serial number, which one SAE is registered with: unique only within one authority. */
  | { readonly from: 'serial-number' }
  /** The certificate itself, which one SAE is registered with. */
  | { readonly from: 'fingerprint' }
  | HeaderSource

/** What an ETSI 014 server does for clients that expect something else than its default. */
export interface Etsi014Compatibility {
  /** Status that tells an exhausted pool: the standard's 503, or 400 for clients that know no other. Default 503. */
  readonly exhaustionStatus?: 400 | 503
  /** Passes `size` over and gives keys of the default size, for clients that ask in bytes. Default false. */
  readonly ignoreSize?: boolean
  /** Whether each key says its level and trust class in `key_extension`. Default true. */
  readonly keyExtensions?: boolean
}

import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { InvalidArgumentError } from '../errors.ts'
import { requireInteger } from '../util/deadline.ts'
import { DER, der, derValues } from '../util/der.ts'
import { ML_DSA_65_ALGORITHM, mlDsaKeyPem, mlDsaSeed, mlDsaSpki } from './ml-dsa-key.ts'
import { createMlDsa65 } from './post-quantum.ts'
import { SecretKey } from './secret-key.ts'

/** A certificate with an ML-DSA-65 key and that key (PKCS #8, the seed), both as PEM text. */
export interface MlDsaPair {
  readonly certificatePem: string
  readonly privateKeyPem: string
}

/** Options of `createMlDsaAuthority`. */
export interface MlDsaAuthorityOptions {
  /** 1 to 64 characters. */
  readonly commonName: string
  /** How long it is valid, in days; 1 to 36,500. */
  readonly days: number
  /** When that begins, in milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

/** Certificates begin this long ago, in milliseconds, so that a site whose clock is a little behind takes them too. */
const BACKDATE_MS = 3_600_000
const DAY_MS = 86_400_000

const OID = {
  commonName: '550403',
  subjectKeyIdentifier: '551d0e',
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  authorityKeyIdentifier: '551d23',
} as const

/**
 * A self-signed certificate authority with an ML-DSA-65 key (RFC 9881), good for end certificates only.
 * @throws {InvalidArgumentError} a name or a number is out of range
 */
export function createMlDsaAuthority({ commonName, days, now }: MlDsaAuthorityOptions): MlDsaPair {
  const seed = SecretKey.random(32)
  try {
    const publicKey = createMlDsa65().publicKeyOf(seed)
    const subject = nameOf(commonName)
    const extensions = [
      extension(OID.basicConstraints, der(DER.sequence, TRUE, der(DER.integer, Buffer.of(0))), { critical: true }),
      extension(OID.keyUsage, der(DER.bits, Buffer.of(1, 0x06)), { critical: true }), // keyCertSign, cRLSign
      extension(OID.subjectKeyIdentifier, der(DER.octets, keyIdOf(publicKey))),
    ]
    const certificatePem = signed({ issuer: subject, subject, publicKey, extensions, days, now }, seed)
    return { certificatePem, privateKeyPem: mlDsaKeyPem(seed) }
  } finally {
    seed.wipe()
  }
}

/**
 * A certificate for a fresh ML-DSA-65 key, signed by `ca`. `uris` name its holder.
 * @throws {InvalidArgumentError} a name or a number is out of range, or `ca` is no such authority with its key
 */
export function issueMlDsaCertificate(
  ca: MlDsaPair,
  { commonName, uris, days, now }: MlDsaAuthorityOptions & { readonly uris: readonly string[] },
): MlDsaPair {
  const caSeed = mlDsaSeed(ca.privateKeyPem)
  const seed = SecretKey.random(32)
  try {
    const scheme = createMlDsa65()
    const authority = new X509Certificate(ca.certificatePem)
    const caKey = scheme.publicKeyOf(caSeed)
    if (!authority.ca || !authority.raw.includes(mlDsaSpki(caKey))) {
      throw new InvalidArgumentError('ca is not an ML-DSA-65 certificate authority with its private key')
    }
    const publicKey = scheme.publicKeyOf(seed)
    const extensions = [
      extension(OID.basicConstraints, der(DER.sequence), { critical: true }),
      extension(OID.keyUsage, der(DER.bits, Buffer.of(7, 0x80)), { critical: true }), // digitalSignature
      extension(OID.subjectAltName, der(DER.sequence, ...uris.map(uri => der(0x86, ascii(uri))))),
      extension(OID.subjectKeyIdentifier, der(DER.octets, keyIdOf(publicKey))),
      extension(OID.authorityKeyIdentifier, der(DER.sequence, der(0x80, keyIdOf(caKey)))),
    ]
    const parts = { issuer: subjectOf(authority), subject: nameOf(commonName), publicKey, extensions, days, now }
    return { certificatePem: signed(parts, caSeed), privateKeyPem: mlDsaKeyPem(seed) }
  } finally {
    caSeed.wipe()
    seed.wipe()
  }
}

interface Parts {
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly publicKey: Uint8Array
  readonly extensions: readonly Buffer[]
  readonly days: number
  readonly now: (() => number) | undefined
}

/** RFC 5280, section 4.1, with the identifiers of RFC 9881. */
function signed({ issuer, subject, publicKey, extensions, days, now = Date.now }: Parts, signer: SecretKey): string {
  requireInteger('days', days, { min: 1, max: 36_500 })
  const fromMs = now()
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x3f) | 0x40
  const body = der(
    DER.sequence,
    der(0xa0, der(DER.integer, Buffer.of(2))),
    der(DER.integer, serial),
    ML_DSA_65_ALGORITHM,
    issuer,
    der(DER.sequence, time(fromMs - BACKDATE_MS), time(fromMs + days * DAY_MS)),
    subject,
    mlDsaSpki(publicKey),
    der(0xa3, der(DER.sequence, ...extensions)),
  )
  const signature = createMlDsa65().sign(signer, body, '')
  const whole = der(DER.sequence, body, ML_DSA_65_ALGORITHM, der(DER.bits, Buffer.of(0), signature))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

const TRUE = der(DER.boolean, Buffer.of(0xff))

function extension(oid: string, value: Buffer, { critical = false } = {}): Buffer {
  return der(DER.sequence, der(DER.oid, Buffer.from(oid, 'hex')), ...(critical ? [TRUE] : []), der(DER.octets, value))
}

function nameOf(commonName: string): Buffer {
  if (commonName.length === 0 || commonName.length > 64) {
    throw new InvalidArgumentError(`commonName must have 1 to 64 characters: ${JSON.stringify(commonName)}`)
  }
  const value = der(DER.utf8, Buffer.from(commonName, 'utf8'))
  const attribute = der(DER.sequence, der(DER.oid, Buffer.from(OID.commonName, 'hex')), value)
  return der(DER.sequence, der(DER.set, attribute))
}

/** Version, serial number, algorithm, issuer and validity stand before it. */
function subjectOf({ raw }: X509Certificate): Buffer {
  const [whole] = derValues(raw)
  const [body] = derValues(whole!.content)
  return derValues(body!.content)[5]!.whole
}

function ascii(uri: string): Buffer {
  if (/^[\x21-\x7e]+$/.test(uri)) return Buffer.from(uri, 'ascii')
  throw new InvalidArgumentError(`uris must be printable ASCII without spaces: ${JSON.stringify(uri)}`)
}

/** RFC 5280, section 4.1.2.5: UTCTime through 2049, GeneralizedTime after. */
function time(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replace(/[-:T]|\.\d+/g, '')
  const early = new Date(atMs).getUTCFullYear() < 2050
  return der(early ? DER.utcTime : DER.generalizedTime, Buffer.from(early ? digits.slice(2) : digits, 'ascii'))
}

/** RFC 5280, section 4.2.1.2, method 1. A name, not a protection. */
function keyIdOf(publicKey: Uint8Array): Buffer {
  return createHash('sha1').update(publicKey).digest()
}

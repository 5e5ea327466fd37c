import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { InvalidArgumentError } from './errors.ts'
import { forge } from './forge.ts'
import { requireInteger } from './util/deadline.ts'
import { ipAddressBytes } from './util/ip-address.ts'

/** A certificate and its private key, both as PEM text (the key as PKCS #8, not encrypted). */
export interface CertificatePair {
  readonly certificatePem: string
  readonly privateKeyPem: string
}

/** Options of `createCertificateAuthority`. */
export interface CertificateAuthorityOptions {
  /** 1 to 64 characters. */
  readonly commonName: string
  /** How long it is valid, in days from now; 1 to 36,500. */
  readonly days: number
}

/** Options of `issueCertificate`. */
export interface IssueOptions {
  /** 1 to 64 characters: an SAE ID or a KME ID. */
  readonly commonName: string
  /** URI subject alternative names. Default none. */
  readonly uriSans?: readonly string[]
  /** DNS subject alternative names. Default none. */
  readonly dnsNames?: readonly string[]
  /** IP subject alternative names, IPv4 or IPv6. Default none. */
  readonly ipAddresses?: readonly string[]
  /** What it may be used for in TLS. */
  readonly usage: 'server' | 'client' | 'both'
  /** How long it is valid, in days from now; 1 to 36,500. */
  readonly days: number
}

const { asn1 } = forge
const { Class, Type } = asn1

const OID = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  ecPublicKey: '1.2.840.10045.2.1',
  prime256v1: '1.2.840.10045.3.1.7',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
} as const

/** Certificates begin this long ago, in milliseconds, so that a host whose clock is a little behind takes them too. */
const BACKDATE_MS = 3_600_000

const DAY_MS = 86_400_000

/**
 * A self-signed certificate authority for development: ECDSA on P-256, good for end certificates only (path length 0).
 * @throws {InvalidArgumentError} a name or a number is out of range
 */
export function createCertificateAuthority({ commonName, days }: CertificateAuthorityOptions): CertificatePair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = nameOf(commonName)
  const keyId = keyIdOf(publicKey)
  const extensions = [
    extension(OID.basicConstraints, sequence(boolean(true), integer('\x00')), { critical: true }),
    extension(OID.keyUsage, bits('\x01\x06'), { critical: true }), // keyCertSign, cRLSign
    extension(OID.subjectKeyIdentifier, octets(keyId)),
    extension(OID.authorityKeyIdentifier, sequence(tagged(0, keyId))),
  ]
  return certificate({ issuer: subject, subject, publicKey, privateKey, signingKey: privateKey, extensions, days })
}

/**
 * A certificate for one end of TLS, signed by `ca`, with a fresh P-256 key.
 * @throws {InvalidArgumentError} a name or a number is out of range, or `ca` is no certificate authority with its key
 */
export function issueCertificate(ca: CertificatePair, options: IssueOptions): CertificatePair {
  const authority = openAuthority(ca)
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const usages = { server: [OID.serverAuth], client: [OID.clientAuth], both: [OID.serverAuth, OID.clientAuth] }
  const names = alternativeNames(options)
  const extensions = [
    extension(OID.basicConstraints, sequence(), { critical: true }),
    extension(OID.keyUsage, bits('\x07\x80'), { critical: true }), // digitalSignature
    extension(OID.extKeyUsage, sequence(...usages[options.usage].map(oid))),
    ...(names.length === 0 ? [] : [extension(OID.subjectAltName, sequence(...names))]),
    extension(OID.subjectKeyIdentifier, octets(keyIdOf(publicKey))),
    extension(OID.authorityKeyIdentifier, sequence(tagged(0, keyIdOf(authority.publicKey)))),
  ]
  const subject = nameOf(options.commonName)
  const { issuer, signingKey } = authority
  return certificate({ issuer, subject, publicKey, privateKey, signingKey, extensions, days: options.days })
}

interface CertificateParts {
  readonly issuer: forge.asn1.Asn1
  readonly subject: forge.asn1.Asn1
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
  readonly signingKey: KeyObject
  readonly extensions: readonly forge.asn1.Asn1[]
  readonly days: number
}

/** RFC 5280, section 4.1. forge writes the structure; it can't sign with ECDSA, so node:crypto does. */
function certificate(parts: CertificateParts): CertificatePair {
  const days = requireInteger('days', parts.days, { min: 1, max: 36_500 })
  const now = Date.now()
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const body = sequence(
    explicit(0, integer('\x02')),
    integer(serialNumber()),
    algorithm,
    parts.issuer,
    sequence(time(now - BACKDATE_MS), time(now + days * DAY_MS)),
    parts.subject,
    publicKeyInfo(parts.publicKey),
    explicit(3, sequence(...parts.extensions)),
  )
  const signature = sign('sha256', der(body), parts.signingKey)
  const whole = der(sequence(body, algorithm, bits(`\x00${binary(signature)}`)))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return {
    certificatePem: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    privateKeyPem: parts.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function openAuthority(ca: CertificatePair): { issuer: forge.asn1.Asn1; publicKey: KeyObject; signingKey: KeyObject } {
  try {
    const x509 = new X509Certificate(ca.certificatePem)
    const signingKey = createPrivateKey(ca.privateKeyPem)
    if (!x509.ca) throw new InvalidArgumentError('ca.certificatePem is not a certificate authority')
    if (!x509.checkPrivateKey(signingKey))
      throw new InvalidArgumentError("ca.privateKeyPem is not the certificate's key")
    const whole = asn1.fromDer(binary(x509.raw))
    const [body] = whole.value as [forge.asn1.Asn1]
    // Version, serial number, signature algorithm, issuer and validity stand before it.
    const issuer = (body.value as forge.asn1.Asn1[])[5]!
    return { issuer, publicKey: createPublicKey(signingKey), signingKey }
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw error
    throw new InvalidArgumentError('ca is not a certificate authority with its private key, both as PEM', {
      cause: error,
    })
  }
}

function alternativeNames({ uriSans = [], dnsNames = [], ipAddresses = [] }: IssueOptions): forge.asn1.Asn1[] {
  const ascii = (option: string, value: string) => {
    if (/^[\x21-\x7e]+$/.test(value)) return value
    throw new InvalidArgumentError(`${option} must be printable ASCII without spaces: ${JSON.stringify(value)}`)
  }
  return [
    ...uriSans.map(uri => tagged(6, ascii('uriSans', uri))),
    ...dnsNames.map(name => tagged(2, ascii('dnsNames', name))),
    ...ipAddresses.map(address => tagged(7, addressBytes(address))),
  ]
}

function addressBytes(address: string): string {
  const bytes = ipAddressBytes(address)
  if (bytes !== undefined) return binary(bytes)
  throw new InvalidArgumentError(`ipAddresses must be IPv4 or IPv6: ${JSON.stringify(address)}`)
}

/** 16 random bytes, positive and never zero. */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return binary(bytes)
}

/** SHA-1 of the public key's bits: RFC 5280, section 4.2.1.2, method 1. A name, not a protection. */
function keyIdOf(publicKey: KeyObject): string {
  return binary(
    createHash('sha1')
      .update(Buffer.from(pointOf(publicKey), 'binary'))
      .digest(),
  )
}

function pointOf(publicKey: KeyObject): string {
  const { x, y, crv } = publicKey.export({ format: 'jwk' })
  if (crv !== 'P-256' || x === undefined || y === undefined) throw new InvalidArgumentError("The key isn't on P-256")
  return `\x04${binary(Buffer.from(x, 'base64url'))}${binary(Buffer.from(y, 'base64url'))}`
}

function publicKeyInfo(publicKey: KeyObject): forge.asn1.Asn1 {
  return sequence(sequence(oid(OID.ecPublicKey), oid(OID.prime256v1)), bits(`\x00${pointOf(publicKey)}`))
}

function nameOf(commonName: string): forge.asn1.Asn1 {
  // The bound is ub-common-name of RFC 5280; other names stand in URIs.
  if (commonName.length === 0 || commonName.length > 64) {
    throw new InvalidArgumentError(`commonName must have 1 to 64 characters: ${JSON.stringify(commonName)}`)
  }
  const value = primitive(Type.UTF8, Buffer.from(commonName, 'utf8').toString('binary'))
  return sequence(asn1.create(Class.UNIVERSAL, Type.SET, true, [sequence(oid(OID.commonName), value)]))
}

function time(atMs: number): forge.asn1.Asn1 {
  const date = new Date(atMs)
  // RFC 5280, section 4.1.2.5: UTCTime through 2049, GeneralizedTime after.
  return date.getUTCFullYear() < 2050
    ? primitive(Type.UTCTIME, asn1.dateToUtcTime(date) as unknown as string)
    : primitive(Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date) as unknown as string)
}

function extension(id: string, value: forge.asn1.Asn1, { critical = false } = {}): forge.asn1.Asn1 {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(binary(der(value))))
}

const binary = (bytes: Uint8Array): string => Buffer.from(bytes).toString('binary')
const der = (value: forge.asn1.Asn1): Buffer => Buffer.from(asn1.toDer(value).getBytes(), 'binary')
const primitive = (type: forge.asn1.Type, value: string) => asn1.create(Class.UNIVERSAL, type, false, value)
const sequence = (...values: forge.asn1.Asn1[]) => asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, values)
const oid = (id: string) => primitive(Type.OID, asn1.oidToDer(id).getBytes())
const integer = (value: string) => primitive(Type.INTEGER, value)
const boolean = (value: boolean) => primitive(Type.BOOLEAN, value ? '\xff' : '\x00')
const octets = (value: string) => primitive(Type.OCTETSTRING, value)
const bits = (value: string) => primitive(Type.BITSTRING, value)
const tagged = (tag: number, value: string) => asn1.create(Class.CONTEXT_SPECIFIC, tag, false, value)
const explicit = (tag: number, value: forge.asn1.Asn1) => asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [value])

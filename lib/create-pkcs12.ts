import { createPrivateKey, X509Certificate } from 'node:crypto'
import { InvalidArgumentError } from './errors.ts'
import { forge } from './forge.ts'
import type { CertificatePair } from './pki.ts'

/** Options of `createPkcs12`. */
export interface CreatePkcs12Options {
  /** 1 to 128 printable ASCII characters; protects the key, and the whole from change. */
  readonly passphrase: string
  /** Name under which programs list the key. */
  readonly name: string
  /** Authorities that go along, as PEM. Default none. */
  readonly authorities?: readonly string[]
}

const { asn1, pkcs12, util, md, hmac } = forge
const { Class, Type } = asn1

const OID = {
  data: '1.2.840.113549.1.7.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certBag: '1.2.840.113549.1.12.10.1.3',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const
const MAC_ITERATIONS = 10_000
const MAC_SALT_BYTES = 16
const MAC_BYTES = 32

/**
 * Certificate, key and authorities in one PKCS #12 file (RFC 7292): the key under AES-256 (PBES2), the whole under HMAC with
 * SHA-256. Certificates are public and stand there as they are. forge itself writes RSA keys alone, so its ASN.1 does here.
 * @throws {InvalidArgumentError} the passphrase is empty or not ASCII, or certificate and key don't belong together
 */
export function createPkcs12({ certificatePem, privateKeyPem }: CertificatePair, options: CreatePkcs12Options): Buffer {
  const { passphrase, name, authorities = [] } = options
  if (!/^[\x20-\x7e]{1,128}$/.test(passphrase)) {
    throw new InvalidArgumentError('passphrase must have 1 to 128 printable ASCII characters')
  }
  const certificate = new X509Certificate(certificatePem)
  const key = createPrivateKey(privateKeyPem)
  if (!certificate.checkPrivateKey(key)) throw new InvalidArgumentError("The private key is not the certificate's")
  const shrouded = key.export({ type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase })
  const keyId = Buffer.from(certificate.fingerprint.replaceAll(':', ''), 'hex')
  const attributes = set(
    attribute(OID.friendlyName, primitive(Type.BMPSTRING, name)),
    attribute(OID.localKeyId, octets(keyId)),
  )
  const bags = [
    sequence(oid(OID.shroudedKeyBag), explicit(asn1.fromDer(binary(shrouded))), attributes),
    certificateBag(certificate.raw, attributes),
    ...authorities.map(pem => certificateBag(new X509Certificate(pem).raw)),
  ]
  const safe = der(sequence(dataContent(der(sequence(...bags)))))
  return der(sequence(integer(3), dataContent(safe), mac(safe, passphrase)))
}

function certificateBag(raw: Buffer, ...attributes: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  const value = sequence(oid(OID.x509Certificate), explicit(octets(raw)))
  return sequence(oid(OID.certBag), explicit(value), ...attributes)
}

/** RFC 7292, appendix B: the key of the MAC comes from the passphrase in UTF-16. */
function mac(content: Buffer, passphrase: string): forge.asn1.Asn1 {
  const salt = forge.random.getBytesSync(MAC_SALT_BYTES)
  const buffer = util.createBuffer(salt)
  const generate = pkcs12.generateKey as (...args: unknown[]) => forge.util.ByteStringBuffer
  const key = generate(passphrase, buffer, 3, MAC_ITERATIONS, MAC_BYTES, md.sha256.create())
  const tag = hmac.create()
  tag.start('sha256', key)
  tag.update(binary(content))
  const digest = Buffer.from(tag.digest().getBytes(), 'binary')
  const algorithm = sequence(oid(OID.sha256), primitive(Type.NULL, ''))
  return sequence(sequence(algorithm, octets(digest)), primitive(Type.OCTETSTRING, salt), integer(MAC_ITERATIONS))
}

const binary = (bytes: Uint8Array): string => Buffer.from(bytes).toString('binary')
const der = (value: forge.asn1.Asn1): Buffer => Buffer.from(asn1.toDer(value).getBytes(), 'binary')
const primitive = (type: forge.asn1.Type, value: string) => asn1.create(Class.UNIVERSAL, type, false, value)
const sequence = (...values: forge.asn1.Asn1[]) => asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, values)
const set = (...values: forge.asn1.Asn1[]) => asn1.create(Class.UNIVERSAL, Type.SET, true, values)
const oid = (id: string) => primitive(Type.OID, asn1.oidToDer(id).getBytes())
const integer = (value: number) => primitive(Type.INTEGER, asn1.integerToDer(value).getBytes())
const octets = (bytes: Uint8Array) => primitive(Type.OCTETSTRING, binary(bytes))
const explicit = (value: forge.asn1.Asn1) => asn1.create(Class.CONTEXT_SPECIFIC, 0, true, [value])
const attribute = (id: string, value: forge.asn1.Asn1) => sequence(oid(id), set(value))
const dataContent = (content: Buffer) => sequence(oid(OID.data), explicit(octets(content)))

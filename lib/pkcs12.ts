import { createPrivateKey, X509Certificate } from 'node:crypto'
import { InvalidArgumentError } from './errors.ts'
import { forge } from './forge.ts'

/** What a PKCS #12 file holds, as PEM text. */
export interface Pkcs12Contents {
  /** The certificate that belongs to the key, and the others behind it. */
  readonly certificatePem: string
  /** Not encrypted. */
  readonly privateKeyPem: string
  /** The other certificates by themselves; empty where there are none. */
  readonly authoritiesPem: string
}

const { asn1, pkcs12, pki } = forge

/** Larger than any file with one key and its chain. */
const MAX_PKCS12_BYTES = 1024 * 1024

/**
 * Opens a PKCS #12 file (RFC 7292), old ones with RC2 and triple DES included, which OpenSSL 3 and so node:tls refuse to.
 * The key may be of any algorithm.
 * @throws {InvalidArgumentError} it is none, the passphrase is wrong, or key and certificate are not both there
 */
export function openPkcs12(file: Uint8Array, passphrase = ''): Pkcs12Contents {
  if (file.byteLength > MAX_PKCS12_BYTES) {
    throw new InvalidArgumentError(`The PKCS #12 file is larger than ${MAX_PKCS12_BYTES} bytes`)
  }
  const bags = open(file, passphrase).safeContents.flatMap(({ safeBags }) => safeBags)
  const keys = bags.filter(({ type }) => type === pki.oids.pkcs8ShroudedKeyBag || type === pki.oids.keyBag)
  const certificates = bags.filter(({ type }) => type === pki.oids.certBag).map(certificatePem)
  if (keys.length !== 1) {
    throw new InvalidArgumentError(`The PKCS #12 file has ${keys.length} private keys; it must have one`)
  }
  const privateKeyPem = keyPem(keys[0]!)
  const own = certificates.find(pem => belongs(pem, privateKeyPem))
  if (own === undefined) throw new InvalidArgumentError('The PKCS #12 file has no certificate that belongs to its key')
  const others = certificates.filter(pem => pem !== own)
  return { certificatePem: [own, ...others].join(''), privateKeyPem, authoritiesPem: others.join('') }
}

function open(file: Uint8Array, passphrase: string): forge.pkcs12.Pkcs12Pfx {
  const parsed = attempt(() => asn1.fromDer(Buffer.from(file).toString('binary')))
  if (parsed instanceof Error) throw new InvalidArgumentError('The file is no PKCS #12 file', { cause: parsed })
  const opened = attempt(() => pkcs12.pkcs12FromAsn1(parsed, passphrase))
  if (!(opened instanceof Error)) return opened
  // Some programs write no passphrase as none at all, others as an empty one.
  const bare = passphrase === '' ? attempt(() => pkcs12.pkcs12FromAsn1(parsed)) : opened
  if (!(bare instanceof Error)) return bare
  const wrong = /password|MAC could not/i.test(opened.message)
  if (!wrong && /\P{ASCII}/u.test(passphrase)) {
    // forge takes the characters of a passphrase for bytes there.
    const words = 'With AES, a passphrase beyond ASCII is not read here: write the PKCS #12 file anew with another one'
    throw new InvalidArgumentError(words, { cause: opened })
  }
  throw new InvalidArgumentError(
    wrong
      ? 'The passphrase does not open the PKCS #12 file'
      : `The PKCS #12 file can't be read: ${opened.message.slice(0, 120)}`,
    { cause: opened },
  )
}

function attempt<T>(run: () => T): T | Error {
  try {
    return run()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** forge reads RSA keys, and leaves all others as the structure they came in. */
function keyPem({ key, asn1: structure }: forge.pkcs12.Bag): string {
  if (key) return pki.privateKeyToPem(key).replaceAll('\r', '')
  if (structure !== undefined) return pem('PRIVATE KEY', structure)
  throw new InvalidArgumentError('The private key in the PKCS #12 file is in no known form')
}

function certificatePem({ cert, asn1: structure }: forge.pkcs12.Bag): string {
  if (cert) return pem('CERTIFICATE', pki.certificateToAsn1(cert))
  if (structure !== undefined) return pem('CERTIFICATE', structure)
  throw new InvalidArgumentError('A certificate in the PKCS #12 file is in no known form')
}

function pem(label: string, structure: forge.asn1.Asn1): string {
  const base64 = Buffer.from(asn1.toDer(structure).getBytes(), 'binary').toString('base64')
  return `-----BEGIN ${label}-----\n${(base64.match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${label}-----\n`
}

function belongs(certificate: string, privateKey: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey))
  } catch {
    return false
  }
}

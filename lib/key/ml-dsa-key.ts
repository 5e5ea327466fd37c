import { InvalidArgumentError } from '../errors.ts'
import { DER, der, derValues } from '../util/der.ts'
import { bytesOf, SecretKey } from './secret-key.ts'

/** The AlgorithmIdentifier of ML-DSA-65, without parameters (RFC 9881, section 2). */
export const ML_DSA_65_ALGORITHM = der(DER.sequence, der(DER.oid, Buffer.from('608648016503040312', 'hex')))

/** The tag of the seed alone among the choices of RFC 9881, section 6. */
const SEED = 0x80

/** A public key as X.509 has it. */
export function mlDsaSpki(publicKey: Uint8Array): Buffer {
  return der(DER.sequence, ML_DSA_65_ALGORITHM, der(DER.bits, Buffer.of(0), publicKey))
}

/** The private key file of a seed: PKCS #8 in PEM form, not encrypted, for a file that only its owner reads. */
export function mlDsaKeyPem(seed: SecretKey): string {
  const inner = der(DER.octets, der(SEED, bytesOf(seed)))
  const whole = der(DER.sequence, der(DER.integer, Buffer.of(0)), ML_DSA_65_ALGORITHM, inner)
  inner.fill(0)
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  whole.fill(0)
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`
}

/**
 * The seed in a private key file: alone, or the first of "both" as newer OpenSSL writes.
 * @throws {InvalidArgumentError} not a private key of ML-DSA-65, or one without its seed
 */
export function mlDsaSeed(pem: string): SecretKey {
  const text = /-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----/.exec(pem)?.[1]
  const bytes = Buffer.from(text ?? '', 'base64')
  try {
    const [, algorithm, octets] = derValues(derValues(bytes)[0]!.content)
    if (!algorithm!.whole.equals(ML_DSA_65_ALGORITHM)) throw new Error('another algorithm')
    const [choice] = derValues(octets!.content)
    const seed = choice!.tag === DER.sequence ? derValues(choice!.content)[0]! : choice!
    if (seed.content.byteLength !== 32) throw new Error('no seed')
    return SecretKey.copyOf(seed.content)
  } catch (cause) {
    throw new InvalidArgumentError('The private key is not one of ML-DSA-65 with its seed, as PKCS #8 in PEM form', {
      cause,
    })
  } finally {
    bytes.fill(0)
  }
}

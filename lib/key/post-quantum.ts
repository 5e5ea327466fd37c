import * as nodeCrypto from 'node:crypto'
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js'
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { InvalidArgumentError } from '../errors.ts'
import { bytesOf, SecretKey } from './secret-key.ts'

/**
 * ML-KEM (FIPS 203) and ML-DSA (FIPS 204): by node:crypto where Node has them (24.7 and later), by a package in JavaScript
 * otherwise. Both speak the same bytes. The package's JavaScript can't be made free of timing differences: prefer a Node
 * that has its own.
 */

/** A key pair for one exchange. Secret until `wipe()`. */
export interface KemKeyPair {
  readonly publicKey: Uint8Array
  /**
   * The 32-byte secret that the ciphertext carries; of a ciphertext that was altered, another secret (implicit rejection).
   * @throws {InvalidArgumentError} the ciphertext has another length
   */
  decapsulate(ciphertext: Uint8Array): SecretKey
  /** As far as the implementation allows: node:crypto frees its key with the object. */
  wipe(): void
}

export type KemName = 'ML-KEM-768' | 'ML-KEM-1024'

/** One parameter set of ML-KEM. Sizes in bytes. */
export interface Kem {
  readonly name: KemName
  readonly publicKeyBytes: number
  readonly ciphertextBytes: number
  generateKeyPair(): KemKeyPair
  /** The key pair of the 64-byte seed (d and z of FIPS 203), which stays the caller's. */
  keyPairOf(seed: SecretKey): KemKeyPair
  /** @throws {InvalidArgumentError} no public key of this parameter set */
  encapsulate(publicKey: Uint8Array): { ciphertext: Uint8Array; secret: SecretKey }
}

/** ML-DSA-65 with a context string; keys are the 32-byte seed and the 1,952-byte public key of FIPS 204. */
export interface SignatureScheme {
  readonly publicKeyBytes: number
  readonly signatureBytes: number
  /** The public key of a seed. */
  publicKeyOf(seed: SecretKey): Uint8Array
  sign(seed: SecretKey, message: Uint8Array, context: string): Uint8Array
  /** False for anything that is not this signature, lengths included. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array, context: string): boolean
}

/** What node:crypto has since 24.7, which its types for Node 20 don't know. */
interface NewCrypto {
  encapsulate?(key: nodeCrypto.KeyObject): { sharedKey: Buffer; ciphertext: Buffer }
  decapsulate?(key: nodeCrypto.KeyObject, ciphertext: Uint8Array): Buffer
}

const { encapsulate, decapsulate } = nodeCrypto as NewCrypto
const KEM_SEED_BYTES = 64
const PUBLIC_KEY_BYTES = { 'ML-KEM-768': 1184, 'ML-KEM-1024': 1568 } as const
const CIPHERTEXT_BYTES = { 'ML-KEM-768': 1088, 'ML-KEM-1024': 1568 } as const
/** What stands before the key itself in its SubjectPublicKeyInfo (RFC 9935, RFC 9881). */
const SPKI_PREFIX = {
  'ML-KEM-768': '308204b2300b0609608648016503040402038204a100',
  'ML-KEM-1024': '30820632300b06096086480165030404030382062100',
  'ML-DSA-65': '308207b2300b0609608648016503040312038207a100',
} as const
/** The same before the 64-byte seed of an ML-KEM key in PKCS #8 (RFC 9935). */
const KEM_SEED_PREFIX = {
  'ML-KEM-768': '3054020100300b060960864801650304040204428040',
  'ML-KEM-1024': '3054020100300b060960864801650304040304428040',
} as const
/** The same before the 32-byte seed of an ML-DSA-65 key in PKCS #8 (RFC 9881, section 6). */
const DSA_SEED_PREFIX = '3034020100300b060960864801650304031204228020'

/** ML-KEM by node:crypto, or undefined where this Node has none. */
export function nativeKem(name: KemName): Kem | undefined {
  if (encapsulate === undefined || decapsulate === undefined) return undefined
  const prefix = Buffer.from(SPKI_PREFIX[name], 'hex')
  const holding = (privateKey: nodeCrypto.KeyObject, publicKey: nodeCrypto.KeyObject): KemKeyPair => {
    let held: nodeCrypto.KeyObject | undefined = privateKey
    return {
      publicKey: publicKey.export({ type: 'spki', format: 'der' }).subarray(prefix.length),
      decapsulate(ciphertext) {
        requireLength('ciphertext', ciphertext, CIPHERTEXT_BYTES[name])
        if (held === undefined) throw new InvalidArgumentError('This key pair was wiped')
        return SecretKey.adopt(decapsulate(held, ciphertext))
      },
      wipe: () => {
        held = undefined
      },
    }
  }
  return {
    ...sizesOf(name),
    generateKeyPair() {
      // The types for Node 20 don't know this kind of key.
      const { publicKey, privateKey } = nodeCrypto.generateKeyPairSync(name.toLowerCase() as 'ed25519')
      return holding(privateKey, publicKey)
    },
    keyPairOf(seed) {
      requireLength('seed', bytesOf(seed), KEM_SEED_BYTES)
      const der = Buffer.concat([Buffer.from(KEM_SEED_PREFIX[name], 'hex'), bytesOf(seed)])
      try {
        const key = nodeCrypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
        return holding(key, nodeCrypto.createPublicKey(key))
      } finally {
        der.fill(0)
      }
    },
    encapsulate(publicKey) {
      requireLength('public key', publicKey, PUBLIC_KEY_BYTES[name])
      return refusing('public key', () => {
        const key = nodeCrypto.createPublicKey({ key: Buffer.concat([prefix, publicKey]), format: 'der', type: 'spki' })
        const { sharedKey, ciphertext } = encapsulate(key)
        return { ciphertext, secret: SecretKey.adopt(sharedKey) }
      })
    },
  }
}

/** ML-KEM in JavaScript. */
export function portableKem(name: KemName): Kem {
  const scheme = name === 'ML-KEM-768' ? ml_kem768 : ml_kem1024
  const holding = ({ publicKey, secretKey }: { publicKey: Uint8Array; secretKey: Uint8Array }): KemKeyPair => ({
    publicKey,
    decapsulate(ciphertext) {
      requireLength('ciphertext', ciphertext, CIPHERTEXT_BYTES[name])
      return SecretKey.adopt(scheme.decapsulate(ciphertext, secretKey))
    },
    wipe: () => {
      secretKey.fill(0)
    },
  })
  return {
    ...sizesOf(name),
    generateKeyPair: () => holding(scheme.keygen()),
    keyPairOf(seed) {
      requireLength('seed', bytesOf(seed), KEM_SEED_BYTES)
      return holding(scheme.keygen(bytesOf(seed)))
    },
    encapsulate(publicKey) {
      requireLength('public key', publicKey, PUBLIC_KEY_BYTES[name])
      return refusing('public key', () => {
        const { cipherText, sharedSecret } = scheme.encapsulate(publicKey)
        return { ciphertext: cipherText, secret: SecretKey.adopt(sharedSecret) }
      })
    },
  }
}

/** ML-KEM as this Node does it best. */
export function createKem(name: KemName = 'ML-KEM-768'): Kem {
  return nativeKem(name) ?? portableKem(name)
}

const DSA_SIZES = { publicKeyBytes: 1952, signatureBytes: 3309 }

/** ML-DSA-65 by node:crypto, or undefined where this Node has none. */
export function nativeMlDsa65(): SignatureScheme | undefined {
  if (encapsulate === undefined) return undefined
  const prefix = Buffer.from(SPKI_PREFIX['ML-DSA-65'], 'hex')
  const withPrivateKey = <T>(seed: SecretKey, use: (key: nodeCrypto.KeyObject) => T): T => {
    requireLength('seed', bytesOf(seed), 32)
    const der = Buffer.concat([Buffer.from(DSA_SEED_PREFIX, 'hex'), bytesOf(seed)])
    try {
      return use(nodeCrypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))
    } finally {
      der.fill(0)
    }
  }
  return {
    ...DSA_SIZES,
    publicKeyOf: seed =>
      withPrivateKey(seed, key =>
        nodeCrypto.createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(prefix.length),
      ),
    sign: (seed, message, context) =>
      withPrivateKey(seed, key => nodeCrypto.sign(null, message, withContext(key, context))),
    verify(publicKey, message, signature, context) {
      if (publicKey.byteLength !== DSA_SIZES.publicKeyBytes || signature.byteLength !== DSA_SIZES.signatureBytes)
        return false
      const der = Buffer.concat([prefix, publicKey])
      const key = nodeCrypto.createPublicKey({ key: der, format: 'der', type: 'spki' })
      return nodeCrypto.verify(null, message, withContext(key, context), signature)
    },
  }
}

/** ML-DSA-65 in JavaScript. */
export function portableMlDsa65(): SignatureScheme {
  return {
    ...DSA_SIZES,
    publicKeyOf(seed) {
      requireLength('seed', bytesOf(seed), 32)
      const { publicKey, secretKey } = ml_dsa65.keygen(bytesOf(seed))
      secretKey.fill(0)
      return publicKey
    },
    sign(seed, message, context) {
      requireLength('seed', bytesOf(seed), 32)
      const { secretKey } = ml_dsa65.keygen(bytesOf(seed))
      try {
        return ml_dsa65.sign(message, secretKey, { context: Buffer.from(context) })
      } finally {
        secretKey.fill(0)
      }
    },
    verify(publicKey, message, signature, context) {
      if (publicKey.byteLength !== DSA_SIZES.publicKeyBytes || signature.byteLength !== DSA_SIZES.signatureBytes)
        return false
      return ml_dsa65.verify(signature, message, publicKey, { context: Buffer.from(context) })
    },
  }
}

/** ML-DSA-65 as this Node does it best. */
export function createMlDsa65(): SignatureScheme {
  return nativeMlDsa65() ?? portableMlDsa65()
}

function sizesOf(name: KemName): Pick<Kem, 'name' | 'publicKeyBytes' | 'ciphertextBytes'> {
  return { name, publicKeyBytes: PUBLIC_KEY_BYTES[name], ciphertextBytes: CIPHERTEXT_BYTES[name] }
}

/** The context is an option that the types for Node 20 don't know. */
function withContext(key: nodeCrypto.KeyObject, context: string): nodeCrypto.SignKeyObjectInput {
  return { key, context: Buffer.from(context) } as nodeCrypto.SignKeyObjectInput
}

function requireLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.byteLength === length) return
  throw new InvalidArgumentError(`The ${what} has ${bytes.byteLength} bytes; ${length} were expected`)
}

function refusing<T>(what: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    throw new InvalidArgumentError(`The ${what} is not one of ML-KEM`, { cause })
  }
}

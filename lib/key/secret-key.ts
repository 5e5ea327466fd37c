import { randomFillSync, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'
import { ClosedError, InvalidArgumentError } from '../errors.ts'

/**
 * The doors: the only places at which key bytes leave a `SecretKey`. Each name has one call site in the toolkit, in the
 * file named here; a test counts them. Everything else works on `SecretKey` through `lib/key`.
 */
export const DOORS = {
  /** Body of a key container (ETSI GS QKD 014, clause 6.3), encoded without strings. */
  'etsi014-body': 'lib/etsi014/key-container.ts',
  /** Body of a key of Cisco's SKIP, encoded without strings. */
  'skip-body': 'lib/skip/key-body.ts',
  /** Key that crosses to the KME of another domain (ETSI GS QKD 020), encoded without strings. */
  'etsi020-body': 'lib/etsi020/key-body.ts',
  /** Pre-shared key of one TLS handshake, as node:tls takes it. */
  'tls-psk': 'integrations/tls/psk.ts',
  /** PPK or pre-shared key of an IKE connection, handed to charon over its local socket. */
  vici: 'integrations/strongswan/vici/load-shared.ts',
  /** Keys of a Kerberos principal, given to the KDC of the same machine over a unix socket. */
  'kdc-socket': 'integrations/kerberos/key-wire.ts',
  /** The same, given by the agent of a realm's primary KDC to those of its replicas, over mutual TLS. */
  'replica-channel': 'integrations/kerberos/replica/replica-wire.ts',
  /** Block of a QNL node handed to a KMS in another process, over mutual TLS. */
  'qnl-channel': 'lib/qnl/qnl-wire.ts',
  /** Block of a link end in a process of its own, handed to its site's network layer over mutual TLS. */
  'link-channel': 'lib/qll/remote/link-wire.ts',
  /** Keys for a host, from the owner of the pools to the worker or replica that serves it: same machine, or mutual TLS. */
  'owner-channel': 'lib/kms/owner/answers.ts',
  /** One site's half of the pair secret, sent to the other KMS at first contact over mutual TLS 1.3. */
  'kms-channel': 'lib/kms/pool/peer-wire.ts',
  /** Key of a Kerberos principal at node:crypto, which takes bytes. */
  'kerberos-cipher': 'integrations/kerberos/crypto/encryption.ts',
  /** Keytab of a Kerberos service, a file of mode 0600. */
  'keytab-file': 'integrations/kerberos/keytab.ts',
  /** Key in an MIT KDC's database, encrypted under the realm's master key. */
  'kdb-record': 'integrations/kerberos/kdb/master-key.ts',
  /** Bytes on the simulated quantum channel between the two ends of a simulated link. */
  'quantum-channel': 'lib/qll/quantum-wire.ts',
  /** Recorded key of a device, in one end's copy of the recording: files of mode 0600. */
  'replay-file': 'lib/qll/replay/feed-recording.ts',
  /** The key that wraps the slot file, written once to a file of its own, mode 0600. */
  'key-encryption-key-file': 'lib/kms/store/key-encryption-key.ts',
  /** Key of a block at a device that wraps it under a key encryption key of its own, by PKCS#11. */
  'pkcs11-wrap': 'lib/kms/store/pkcs11-key.ts',
  /** What a person asked for by `qkd key get`: standard output. */
  terminal: 'bin/commands/key.ts',
  /** A program that uses the library and wants the bytes: `exportKey()`. */
  application: 'lib/key/export-key.ts',
} as const satisfies Record<string, string>

export type Door = keyof typeof DOORS

/** Typed arrays up to this size may lie on the engine's heap, where the garbage collector moves them and leaves copies behind. */
const ON_HEAP_BYTES = 64

/** Bytes that stay where they are, so that wiping them wipes the only copy. */
function bytesOffHeap(sizeBytes: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(sizeBytes))
}

/** The bytes themselves, for the pure functions of `lib/key` alone (a test holds that). Never stored, never returned. */
export let bytesOf: (secret: SecretKey) => Uint8Array

/**
 * Key bytes with an owner. They live in a buffer of their own, never in a string, and print as `[SecretKey 256 bits]`.
 * Whoever holds a `SecretKey` last wipes it; what wiping can't do in JavaScript stands in SECURITY.md.
 */
export class SecretKey {
  #bytes: Uint8Array | undefined

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** A key with a copy of `bytes`; the caller still owns and wipes what it passed. */
  static copyOf(bytes: Uint8Array): SecretKey {
    if (bytes.byteLength === 0) throw new InvalidArgumentError('A secret key has at least one byte')
    const own = bytesOffHeap(bytes.byteLength)
    own.set(bytes)
    return new SecretKey(own)
  }

  /** A key that takes `bytes` over: the caller must not touch them again. */
  static adopt(bytes: Uint8Array): SecretKey {
    if (bytes.byteLength > ON_HEAP_BYTES) return new SecretKey(bytes)
    const own = SecretKey.copyOf(bytes)
    bytes.fill(0)
    return own
  }

  /** `sizeBytes` fresh bytes from the system's generator. */
  static random(sizeBytes: number): SecretKey {
    return new SecretKey(randomFillSync(bytesOffHeap(sizeBytes)))
  }

  /** Length in bytes; stays readable after `wipe()` only as 0. */
  get sizeBytes(): number {
    return this.#bytes?.byteLength ?? 0
  }

  get sizeBits(): number {
    return this.sizeBytes * 8
  }

  get wiped(): boolean {
    return this.#bytes === undefined
  }

  /** Compares in constant time; keys of different length are unequal. */
  equals(other: SecretKey): boolean {
    const [a, b] = [this.#open(), other.#open()]
    return a.byteLength === b.byteLength && timingSafeEqual(a, b)
  }

  /**
   * Lends the bytes to `use` at a listed door. They are only lent: a `use` that keeps them copies them, and wipes its
   * copy.
   */
  expose<T>(_door: Door, use: (bytes: Uint8Array) => T): T {
    return use(this.#open())
  }

  /** Overwrites the bytes with zeros; every later use throws. Idempotent. */
  wipe(): void {
    this.#bytes?.fill(0)
    this.#bytes = undefined
  }

  [Symbol.dispose](): void {
    this.wipe()
  }

  toString(): string {
    return this.#bytes === undefined ? '[SecretKey wiped]' : `[SecretKey ${this.sizeBits} bits]`
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }

  #open(): Uint8Array {
    if (this.#bytes === undefined) throw new ClosedError('This key was wiped')
    return this.#bytes
  }

  static {
    bytesOf = secret => secret.#open()
  }
}

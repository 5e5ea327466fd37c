import { createCipheriv, createDecipheriv } from 'node:crypto'
import { ProtocolError } from '../errors.ts'
import { hkdf } from './hkdf.ts'
import { joinSecrets } from './join.ts'
import { bytesOf, type SecretKey } from './secret-key.ts'

const NONCE_BYTES = 12
/** Bytes by which a sealed record is longer than what it holds. */
export const RECORD_TAG_BYTES = 16
/** Records under one key; then the next is derived and the last overwritten, so that it cannot open what was. */
const RECORDS_PER_KEY = 1024

/**
 * One direction of a stream of sealed records: AES-256-GCM, numbered, so that a record opens once, in its place. Both ends
 * make one from the same secret and use it for the same direction.
 */
export class RecordCipher {
  #key: SecretKey
  #records = 0

  /** @param secret 32 bytes, taken over */
  constructor(secret: SecretKey) {
    this.#key = secret
  }

  /** The next record. The caller wipes `plain`. */
  seal(plain: Uint8Array): Buffer {
    const cipher = createCipheriv('aes-256-gcm', bytesOf(this.#key), this.#nonce())
    const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    this.#advance()
    return sealed
  }

  /**
   * What the next record holds; the caller wipes it.
   * @throws {ProtocolError} it is not the next record that the other end sealed
   */
  open(sealed: Uint8Array): Buffer {
    const tagAt = sealed.byteLength - RECORD_TAG_BYTES
    if (tagAt < 0) throw new ProtocolError('A sealed record is cut short')
    const decipher = createDecipheriv('aes-256-gcm', bytesOf(this.#key), this.#nonce())
    decipher.setAuthTag(sealed.subarray(tagAt))
    const plain = decipher.update(sealed.subarray(0, tagAt))
    try {
      decipher.final()
    } catch (cause) {
      plain.fill(0)
      throw new ProtocolError('A sealed record does not open: it was altered, lost or repeated', { cause })
    }
    this.#advance()
    return plain
  }

  /** Mixes a fresh secret in; both ends do at the same place of their stream. Wipes it. */
  renew(secret: SecretKey): void {
    const both = joinSecrets([this.#key, secret])
    this.#replace(hkdf(both, { hash: 'sha512', info: 'qkdkit/1 renewed record key', sizeBytes: 32 }))
    both.wipe()
    secret.wipe()
  }

  wipe(): void {
    this.#key.wipe()
  }

  #nonce(): Buffer {
    const nonce = Buffer.alloc(NONCE_BYTES)
    nonce.writeUInt32BE(this.#records, NONCE_BYTES - 4)
    return nonce
  }

  #advance(): void {
    this.#records += 1
    if (this.#records < RECORDS_PER_KEY) return
    this.#replace(hkdf(this.#key, { hash: 'sha512', info: 'qkdkit/1 next record key', sizeBytes: 32 }))
  }

  #replace(key: SecretKey): void {
    this.#key.wipe()
    this.#key = key
    this.#records = 0
  }
}

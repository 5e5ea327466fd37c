import { createCipheriv, createDecipheriv } from 'node:crypto'

const BLOCK_BYTES = 16
const ZERO_IV = Buffer.alloc(BLOCK_BYTES)

/**
 * AES in CBC mode with ciphertext stealing as Kerberos has it (RFC 3962, section 5): the last two blocks always change
 * places, and a text of one block is that block alone. At least one block.
 */
export function encryptCts(key: Uint8Array, plaintext: Uint8Array, iv: Uint8Array = ZERO_IV): Buffer {
  const sizeBytes = plaintext.byteLength
  const padded = Buffer.alloc(Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES)
  padded.set(plaintext)
  const encrypted = cbc(createCipheriv(`aes-${key.byteLength * 8 === 128 ? 128 : 256}-cbc`, key, iv), padded)
  padded.fill(0)
  return sizeBytes === BLOCK_BYTES ? encrypted : swapEnd(encrypted).subarray(0, sizeBytes)
}

/** The reverse of `encryptCts`. */
export function decryptCts(key: Uint8Array, ciphertext: Uint8Array, iv: Uint8Array = ZERO_IV): Buffer {
  const sizeBytes = ciphertext.byteLength
  const cipher = `aes-${key.byteLength * 8 === 128 ? 128 : 256}-cbc` as const
  if (sizeBytes === BLOCK_BYTES) return cbc(createDecipheriv(cipher, key, iv), ciphertext)
  const tailBytes = sizeBytes % BLOCK_BYTES === 0 ? BLOCK_BYTES : sizeBytes % BLOCK_BYTES
  const lastFull = sizeBytes - tailBytes - BLOCK_BYTES
  const padded = Buffer.alloc(lastFull + 2 * BLOCK_BYTES)
  padded.set(ciphertext)
  if (tailBytes < BLOCK_BYTES) {
    // What was stolen to fill the last block stands at the end of the block before, decrypted on its own.
    const stolen = cbc(createDecipheriv(cipher, key, ZERO_IV), ciphertext.subarray(lastFull, lastFull + BLOCK_BYTES))
    padded.set(stolen.subarray(tailBytes), lastFull + BLOCK_BYTES + tailBytes)
    stolen.fill(0)
  }
  const decrypted = cbc(createDecipheriv(cipher, key, iv), swapEnd(padded))
  return decrypted.subarray(0, sizeBytes)
}

/** Puts the last two blocks in each other's place. */
function swapEnd(bytes: Buffer): Buffer {
  const at = bytes.byteLength - 2 * BLOCK_BYTES
  const last = Buffer.from(bytes.subarray(at + BLOCK_BYTES))
  bytes.copyWithin(at + BLOCK_BYTES, at, at + BLOCK_BYTES)
  bytes.set(last, at)
  return bytes
}

function cbc(cipher: ReturnType<typeof createCipheriv | typeof createDecipheriv>, input: Uint8Array): Buffer {
  cipher.setAutoPadding(false)
  // A buffer of its own: small ones lie in a pool that others see.
  const output = Buffer.allocUnsafeSlow(input.byteLength)
  const part = cipher.update(input)
  output.set(part)
  part.fill(0)
  cipher.final()
  return output
}

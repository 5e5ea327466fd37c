import { randomFillSync } from 'node:crypto'
import { InvalidArgumentError } from '../errors.ts'
import { bytesOf, SecretKey } from './secret-key.ts'

/** A stretch of key that serves as pad. */
export interface PadPiece {
  readonly source: SecretKey
  readonly from: number
  readonly sizeBytes: number
}

/** Bytes that the pieces have together. */
export function padBytes(pieces: readonly PadPiece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.sizeBytes, 0)
}

/** The pieces cut in two: the first so many bytes, and the rest. */
export function cutPad(pieces: readonly PadPiece[], sizeBytes: number): [PadPiece[], PadPiece[]] {
  const head: PadPiece[] = []
  const rest: PadPiece[] = []
  let left = sizeBytes
  for (const piece of pieces) {
    const taken = Math.min(left, piece.sizeBytes)
    left -= taken
    if (taken > 0) head.push({ ...piece, sizeBytes: taken })
    if (taken < piece.sizeBytes) rest.push({ ...piece, from: piece.from + taken, sizeBytes: piece.sizeBytes - taken })
  }
  return [head, rest]
}

/** A copy of the pieces' bytes, one after the other; the caller owns it. */
export function copyPad(pieces: readonly PadPiece[]): SecretKey {
  const copy = Buffer.allocUnsafeSlow(padBytes(pieces))
  let at = 0
  for (const { source, from, sizeBytes } of pieces) {
    copy.set(bytesOf(source).subarray(from, from + sizeBytes), at)
    at += sizeBytes
  }
  return SecretKey.adopt(copy)
}

/** Overwrites the pieces where they lie: no second message gets them. */
export function wipePad(pieces: readonly PadPiece[]): void {
  for (const { source, from, sizeBytes } of pieces) {
    if (!source.wiped) bytesOf(source).fill(0, from, from + sizeBytes)
  }
}

/**
 * The secrets, one after the other, XOR the pad: what may travel. The pad is wiped; the secrets stay the caller's.
 * @throws {InvalidArgumentError} pad and secrets differ in length; nothing was wiped
 */
export function hideUnderPad(secrets: readonly SecretKey[], pad: readonly PadPiece[]): Buffer {
  const sizeBytes = secrets.reduce((sum, secret) => sum + secret.sizeBytes, 0)
  requireFit(pad, sizeBytes)
  const hidden = Buffer.allocUnsafeSlow(sizeBytes)
  let at = 0
  for (const secret of secrets) {
    hidden.set(bytesOf(secret), at)
    at += secret.sizeBytes
  }
  xorPad(hidden, pad)
  wipePad(pad)
  return hidden
}

/**
 * What `hideUnderPad` hid with the same pad, cut into secrets of these sizes, which the caller owns. The pad is wiped.
 * @throws {InvalidArgumentError} pad, sizes and bytes differ in length; nothing was wiped
 */
export function showUnderPad(hidden: Uint8Array, pad: readonly PadPiece[], sizesBytes: readonly number[]): SecretKey[] {
  requireFit(pad, hidden.byteLength)
  if (sizesBytes.reduce((sum, size) => sum + size, 0) !== hidden.byteLength) {
    throw new InvalidArgumentError('The sizes of the parts do not add up to the whole')
  }
  const shown = Buffer.allocUnsafeSlow(hidden.byteLength)
  shown.set(hidden)
  xorPad(shown, pad)
  wipePad(pad)
  let at = 0
  const parts = sizesBytes.map(size => {
    const part = SecretKey.copyOf(shown.subarray(at, at + size))
    at += size
    return part
  })
  shown.fill(0)
  return parts
}

/** A copy of a stretch of a secret; the caller owns it. */
export function partOf(secret: SecretKey, from: number, sizeBytes: number): SecretKey {
  return SecretKey.copyOf(bytesOf(secret).subarray(from, from + sizeBytes))
}

/** Shares that XOR to the secret, any but all of which say nothing of it. The secret stays the caller's. */
export function splitSecret(secret: SecretKey, shares: number): SecretKey[] {
  const last = Buffer.allocUnsafeSlow(secret.sizeBytes)
  last.set(bytesOf(secret))
  const drawn = Array.from({ length: shares - 1 }, () => {
    const share = randomFillSync(Buffer.allocUnsafeSlow(last.byteLength))
    for (let i = 0; i < last.byteLength; i += 1) last[i]! ^= share[i]!
    return SecretKey.adopt(share)
  })
  return [...drawn, SecretKey.adopt(last)]
}

/** The XOR of secrets of one length; the caller owns it, and still the parts. */
export function xorSecrets(parts: readonly SecretKey[]): SecretKey {
  const [first, ...others] = parts
  const sum = Buffer.allocUnsafeSlow(first!.sizeBytes)
  sum.set(bytesOf(first!))
  for (const other of others) {
    const bytes = bytesOf(other)
    if (bytes.byteLength !== sum.byteLength) throw new InvalidArgumentError('Shares of one key have one length')
    for (let i = 0; i < sum.byteLength; i += 1) sum[i]! ^= bytes[i]!
  }
  return SecretKey.adopt(sum)
}

function xorPad(bytes: Uint8Array, pad: readonly PadPiece[]): void {
  let at = 0
  for (const { source, from, sizeBytes } of pad) {
    const key = bytesOf(source)
    for (let i = 0; i < sizeBytes; i += 1) bytes[at + i]! ^= key[from + i]!
    at += sizeBytes
  }
}

function requireFit(pad: readonly PadPiece[], sizeBytes: number): void {
  const has = padBytes(pad)
  if (has !== sizeBytes) throw new InvalidArgumentError(`A pad of ${has} bytes does not fit ${sizeBytes} bytes`)
}

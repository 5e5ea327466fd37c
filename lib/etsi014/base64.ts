/*
 * Base64 (RFC 4648, section 4) from bytes to bytes. Node's own goes through strings, which can't be wiped, and its decoder
 * takes garbage and the URL alphabet without a word.
 */
const PAD = 0x3d
const alphabet = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1')
const values = new Int8Array(256).fill(-1)
for (const [value, char] of alphabet.entries()) values[char] = value

/** How many characters `sizeBytes` bytes take, padding included. */
export function base64Length(sizeBytes: number): number {
  return Math.ceil(sizeBytes / 3) * 4
}

/** Writes `bytes` as base64 into `out` from `at` on; gives the place after it. */
export function encodeBase64(bytes: Uint8Array, out: Uint8Array, at: number): number {
  let to = at
  for (let from = 0; from < bytes.byteLength; from += 3) {
    const left = bytes.byteLength - from
    const group = ((bytes[from] ?? 0) << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0)
    out[to] = alphabet[group >> 18] ?? 0
    out[to + 1] = alphabet[(group >> 12) & 63] ?? 0
    out[to + 2] = left > 1 ? (alphabet[(group >> 6) & 63] ?? 0) : PAD
    out[to + 3] = left > 2 ? (alphabet[group & 63] ?? 0) : PAD
    to += 4
  }
  return to
}

/** The bytes that `text` stands for in a buffer of their own; undefined unless it is canonical, padded base64. */
export function decodeBase64(text: Uint8Array): Buffer | undefined {
  const { byteLength } = text
  if (byteLength % 4 !== 0 || byteLength === 0) return undefined
  const padding = text[byteLength - 1] !== PAD ? 0 : text[byteLength - 2] !== PAD ? 1 : 2
  const out = Buffer.allocUnsafeSlow((byteLength / 4) * 3 - padding)
  const last = byteLength - padding
  let bits = 0
  let to = 0
  // Negative once a character is not of the alphabet.
  let fault = 0
  for (let at = 0; at < byteLength; at += 1) {
    const value = at < last ? (values[text[at] ?? 0] ?? -1) : 0
    fault |= value
    bits = ((bits << 6) | (value & 63)) & 0xffffff
    if (at % 4 !== 3) continue
    for (let shift = 16; shift >= 0; shift -= 8) {
      const byte = (bits >> shift) & 0xff
      if (to < out.byteLength) out[to] = byte
      // What is left over in the last group must be zero, or one key would have several spellings.
      else if (byte !== 0) fault = -1
      to += 1
    }
  }
  if (fault >= 0) return out
  out.fill(0)
  return undefined
}

/** Key bytes as text, written into buffers: they never become JavaScript strings, which nobody can wipe. */

const HEX = Buffer.from('0123456789abcdef', 'latin1')
const BASE64 = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1')
const PAD = 0x3d

/** How `bytes` are spelt. */
export type KeySpelling = 'hex' | 'base64'

/** `bytes` as lower-case hex or padded base64, in ASCII. The caller wipes the result. */
export function spellKey(bytes: Uint8Array, spelling: KeySpelling): Buffer {
  return spelling === 'hex' ? hex(bytes) : base64(bytes)
}

function hex(bytes: Uint8Array): Buffer {
  const out = Buffer.allocUnsafeSlow(bytes.byteLength * 2)
  for (const [at, byte] of bytes.entries()) {
    out[at * 2] = HEX[byte >> 4]!
    out[at * 2 + 1] = HEX[byte & 0x0f]!
  }
  return out
}

function base64(bytes: Uint8Array): Buffer {
  const out = Buffer.allocUnsafeSlow(Math.ceil(bytes.byteLength / 3) * 4)
  for (let from = 0, to = 0; from < bytes.byteLength; from += 3, to += 4) {
    const [a, b, c] = [bytes[from]!, bytes[from + 1], bytes[from + 2]]
    const group = (a << 16) | ((b ?? 0) << 8) | (c ?? 0)
    out[to] = BASE64[group >> 18]!
    out[to + 1] = BASE64[(group >> 12) & 0x3f]!
    out[to + 2] = b === undefined ? PAD : BASE64[(group >> 6) & 0x3f]!
    out[to + 3] = c === undefined ? PAD : BASE64[group & 0x3f]!
  }
  return out
}

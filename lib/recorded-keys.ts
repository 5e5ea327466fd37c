import { open } from 'node:fs/promises'
import { ConfigError } from './errors.ts'
import { decodeBase64 } from './etsi014/base64.ts'
import { decodeKeyContainer } from './etsi014/key-container.ts'
import { SecretKey } from './key/secret-key.ts'

/** How a file of recorded key is written. */
export const RECORDED_FORMATS = ['raw', 'hex', 'base64', 'etsi-014'] as const
export type RecordedFormat = (typeof RECORDED_FORMATS)[number]

/** Larger files are to be split: they are read into memory whole. */
const MAX_FILE_BYTES = 256 * 1024 * 1024

/** The format that a file's name tells: `.hex`, `.b64` or `.base64`, `.json` (ETSI 014), anything else raw. */
export function recordedFormatOf(path: string): RecordedFormat {
  const ending = /\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase()
  if (ending === 'hex') return 'hex'
  if (ending === 'b64' || ending === 'base64') return 'base64'
  return ending === 'json' ? 'etsi-014' : 'raw'
}

/**
 * The keys of a recorded file: raw bytes; hex digits or base64, white space between them; or key containers of ETSI GS QKD 014,
 * one JSON object a line. The caller wipes them.
 * @throws {ConfigError} the file can't be read, or is not of that format
 */
export async function readRecordedKeys(path: string, format = recordedFormatOf(path)): Promise<SecretKey[]> {
  const bytes = await readWhole(path)
  try {
    const keys = parse(bytes, format)
    if (keys.length === 0) throw new Error('there is no key in it')
    return keys
  } catch (cause) {
    throw new ConfigError(`${path} is not a file of recorded key of format ${format}: ${(cause as Error).message}`, {
      cause,
    })
  } finally {
    bytes.fill(0)
  }
}

function parse(bytes: Buffer, format: RecordedFormat): SecretKey[] {
  if (format === 'raw') return bytes.byteLength === 0 ? [] : [SecretKey.copyOf(bytes)]
  if (format === 'hex') return ofText(bytes, decodeHex)
  if (format === 'base64') return ofText(bytes, decodeBase64)
  return lines(bytes).flatMap(line => decodeKeyContainer(line, { keysMayBeObject: true }).map(({ secret }) => secret))
}

/** One key of all the text that is not white space. */
function ofText(bytes: Buffer, decode: (text: Uint8Array) => Buffer | undefined): SecretKey[] {
  let to = 0
  for (const byte of bytes) {
    if (byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)) continue
    bytes[to] = byte
    to += 1
  }
  if (to === 0) return []
  const key = decode(bytes.subarray(0, to))
  if (key === undefined) throw new Error('a character is not of that alphabet, or the end is missing')
  return [SecretKey.adopt(key)]
}

function decodeHex(text: Uint8Array): Buffer | undefined {
  if (text.byteLength % 2 !== 0) return undefined
  const out = Buffer.allocUnsafeSlow(text.byteLength / 2)
  for (let at = 0; at < out.byteLength; at += 1) {
    const [high, low] = [digit(text[2 * at]!), digit(text[2 * at + 1]!)]
    if (high === -1 || low === -1) {
      out.fill(0)
      return undefined
    }
    out[at] = high * 16 + low
  }
  return out
}

function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** The lines of a text that are not empty; views into it. */
function lines(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  let from = 0
  while (from < bytes.byteLength) {
    const end = bytes.indexOf(0x0a, from)
    const line = bytes.subarray(from, end === -1 ? bytes.byteLength : end)
    if (line.some(byte => byte > 0x20)) found.push(line)
    from = end === -1 ? bytes.byteLength : end + 1
  }
  return found
}

async function readWhole(path: string): Promise<Buffer> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw new ConfigError(`Can't read ${path}: ${cause.code}`, { cause })
  })
  try {
    const { size } = await file.stat()
    if (size > MAX_FILE_BYTES) throw new ConfigError(`${path} is larger than ${MAX_FILE_BYTES} bytes; split it`)
    const bytes = Buffer.allocUnsafeSlow(Math.max(1, size))
    const { bytesRead } = await file.read(bytes, 0, size, 0)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

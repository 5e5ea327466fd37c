import { SecretKey } from '../key/secret-key.ts'
import { decodeBase64 } from './base64.ts'

const [QUOTE, BACKSLASH, COLON, SPACE] = [0x22, 0x5c, 0x3a, 0x20]
/** Brackets and braces: what leads deeper into a text, and out again. */
const [OPENING, CLOSING] = [new Set(Buffer.from('{[')), new Set(Buffer.from('}]'))]
/** What may stand after a backslash in JSON, and what it means; `u` is dealt with by itself. */
const escapes = new Map(
  ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t'].map(pair => [pair.charCodeAt(0), pair.charCodeAt(1)]),
)

/**
 * Cuts the string value of each member named `key` out of a JSON text, so that what is left can be parsed without a key
 * ever becoming a JavaScript string. In each gap stands the place of its key in the result, as digits; undefined there means
 * that it was not base64. Whitespace in the value is passed over, however it is escaped. `twice` is for base64 of base64;
 * `name` for members of another name, `depth` where only those in so many braces and brackets are meant.
 */
export function cutKeys(
  json: Uint8Array,
  { twice = false, name = 'key', depth }: { twice?: boolean; name?: string; depth?: number } = {},
): (SecretKey | undefined)[] {
  const keys: (SecretKey | undefined)[] = []
  const wanted = Buffer.from(name)
  let at = 0
  let nesting = 0
  while (at < json.byteLength) {
    if (json[at] !== QUOTE) {
      nesting += OPENING.has(json[at]!) ? 1 : CLOSING.has(json[at]!) ? -1 : 0
      at += 1
      continue
    }
    const end = endOfString(json, at)
    const isMeant = (depth ?? nesting) === nesting && isName(wanted, json, at, end)
    const value = isMeant ? startOfValue(json, end + 1) : undefined
    if (value === undefined) {
      at = end + 1
      continue
    }
    const valueEnd = endOfString(json, value)
    keys.push(cut(json.subarray(value + 1, valueEnd), { place: keys.length, twice }))
    at = valueEnd + 1
  }
  return keys
}

/** Reads the key out of the inside of a string and leaves `place` there. */
function cut(inside: Uint8Array, { place, twice }: { place: number; twice: boolean }): SecretKey | undefined {
  const once = decodeText(inside)
  const bytes = twice && once !== undefined ? decodeText(once) : once
  if (bytes !== once) once?.fill(0)
  inside.fill(SPACE)
  const digits = String(place)
  if (digits.length <= inside.byteLength) Buffer.from(digits, 'latin1').copy(inside)
  return bytes === undefined ? undefined : SecretKey.adopt(bytes)
}

/** Base64 between which white space and JSON's escapes may stand. Overwrites `text`, and what is left of it is not wiped. */
function decodeText(text: Uint8Array): Buffer | undefined {
  const sizeBytes = unescapeInPlace(text)
  return sizeBytes === undefined ? undefined : decodeBase64(text.subarray(0, sizeBytes))
}

/** Undoes JSON's escapes and drops whitespace; gives the new length, or undefined where that is not possible. */
function unescapeInPlace(text: Uint8Array): number | undefined {
  let to = 0
  for (let from = 0; from < text.byteLength; from += 1) {
    let char = text[from]
    if (char === BACKSLASH) {
      from += 1
      const kind = text[from]
      if (kind === 0x75) {
        const code = hexCode(text.subarray(from + 1, from + 5))
        if (code === undefined || code > 0x7f) return undefined
        char = code
        from += 4
      } else char = escapes.get(kind ?? 0)
      if (char === undefined) return undefined
    }
    if (char === SPACE || char === 0x09 || char === 0x0a || char === 0x0d) continue
    text[to] = char ?? 0
    to += 1
  }
  return to
}

function hexCode(digits: Uint8Array): number | undefined {
  let code = 0
  for (const digit of digits) {
    const value = '0123456789abcdef'.indexOf(String.fromCharCode(digit).toLowerCase())
    if (value === -1) return undefined
    code = code * 16 + value
  }
  return digits.byteLength === 4 ? code : undefined
}

/** Place of the quote that closes the string at `start`, or the end of the text. */
function endOfString(json: Uint8Array, start: number): number {
  let at = start + 1
  while (at < json.byteLength && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1
  return Math.min(at, json.byteLength)
}

function isName(name: Uint8Array, json: Uint8Array, start: number, end: number): boolean {
  return end - start === name.byteLength + 1 && Buffer.compare(name, json.subarray(start + 1, end)) === 0
}

/** Place of the opening quote where a colon and a string follow; otherwise undefined. */
function startOfValue(json: Uint8Array, from: number): number | undefined {
  const colon = skipSpace(json, from)
  if (json[colon] !== COLON) return undefined
  const value = skipSpace(json, colon + 1)
  return json[value] === QUOTE ? value : undefined
}

function skipSpace(json: Uint8Array, from: number): number {
  let at = from
  while (json[at] === SPACE || json[at] === 0x09 || json[at] === 0x0a || json[at] === 0x0d) at += 1
  return at
}

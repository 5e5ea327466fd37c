import { randomFillSync } from 'node:crypto'
import type { Key } from '../interface/kms.ts'
import { keyIdToHex } from './key-id.ts'

/*
 * Bodies that hold key or random bytes, written from buffer to buffer: no JavaScript string ever has the bytes, because a
 * string can't be wiped.
 */
const digits = Buffer.from('0123456789abcdef', 'latin1')

/** The body that hands out a key. It holds key bytes: the caller wipes it; the key itself is left as it was. */
export function encodeKeyBody({ keyId, secret }: Pick<Key, 'keyId' | 'secret'>): Buffer {
  const head = `{"keyId":"${keyIdToHex(keyId)}","key":"`
  return secret.expose('skip-body', bytes => bodyOf(head, bytes, '"}'))
}

/** The body that hands out `bits` random bits of the system's generator, which the caller wipes. */
export function encodeEntropyBody(bits: number): Buffer {
  const random = randomFillSync(Buffer.allocUnsafeSlow(Math.ceil(bits / 8)))
  try {
    return bodyOf('{"randomStr":"', random, `","minentropy":${bits}}`)
  } finally {
    random.fill(0)
  }
}

function bodyOf(head: string, bytes: Uint8Array, tail: string): Buffer {
  const body = Buffer.allocUnsafeSlow(head.length + 2 * bytes.byteLength + tail.length)
  let at = body.write(head, 'latin1')
  for (const byte of bytes) {
    body[at] = digits[byte >> 4]!
    body[at + 1] = digits[byte & 15]!
    at += 2
  }
  body.write(tail, at, 'latin1')
  return body
}

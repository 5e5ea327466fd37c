import { createDecipheriv, createHash, createHmac } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Somebody who has the key encryption key and a copy of every file of a store, and knows how it is made: nothing here comes from
 * the code that is attacked. Looks for wrapped keys and sealed blocks wherever they may linger, not where they are filed.
 */

const NONCE_BYTES = 12
const TAG_BYTES = 16
const NAME_BYTES = 4
const DIGEST_BYTES = 16
const SLOT_HEADER_BYTES = 2 + NAME_BYTES + DIGEST_BYTES
/** The cells of a block, and its share of the pair secret. */
const MATERIAL_BYTES = 32_000 + 64
const PAGE_BYTES = 4096
const NEARBY = 16n
/** Where in a page of LMDB a long value may begin: behind the headers of its versions. */
const VALUE_OFFSETS = [16, 24]
/** Trust classes of the blocks: their rows say so. */
const CLASSES = ['direct']

/** What was read of one block, each version of its material that lay about. */
export interface ReadBlock {
  readonly number: bigint
  readonly material: Buffer
}

/** Everything that opens of the blocks of a pool. */
export async function attackStore(
  paths: readonly string[],
  { kek, poolId }: { kek: Uint8Array; poolId: string },
): Promise<ReadBlock[]> {
  const files = await readAll(paths)
  const numbers = new Map<string, bigint>()
  // Blocks are numbered one after the other: one that nothing names any more is beside one that is named.
  for (const seen of new Set(files.flatMap(bytes => numbersIn(bytes, poolId))))
    for (let number = seen - NEARBY; number <= seen + NEARBY; number++)
      numbers.set(digest(lengthed('qkdkit/1 slot', 'block', poolId, u64(number))), number)
  const keys = new Map<string, { number: bigint; key: Buffer }>()
  for (const bytes of files)
    for (const { context, secret } of unwrapAll(bytes, kek)) {
      const number = numbers.get(context)
      if (number !== undefined) keys.set(secret.toString('base64'), { number, key: secret })
    }
  const read: ReadBlock[] = []
  for (const { number, key } of keys.values()) {
    const contexts = CLASSES.map(name => lengthed('qkdkit/1 block', poolId, u64(number), name))
    for (const bytes of files) for (const material of openAll(bytes, key, contexts)) read.push({ number, material })
  }
  return read
}

/** Numbers of blocks that are named anywhere, also by rows that were removed. */
function numbersIn(bytes: Buffer, poolId: string): bigint[] {
  const numbers: bigint[] = []
  for (const kind of ['block', 'sealed']) {
    const prefix = Buffer.concat([lengthed(kind, poolId), Buffer.from([0, 8])])
    for (let at = bytes.indexOf(prefix); at >= 0; at = bytes.indexOf(prefix, at + 1))
      numbers.push(bytes.subarray(at + prefix.length, at + prefix.length + 8).readBigUInt64BE())
  }
  return numbers
}

/** Every wrapped key in some bytes, wherever it lies. */
export function* unwrapAll(bytes: Buffer, kek: Uint8Array): Iterable<{ context: string; secret: Buffer }> {
  const name = createHmac('sha256', kek).update('qkdkit/1 key name').digest().subarray(0, NAME_BYTES)
  for (let at = bytes.indexOf(name); at >= 0; at = bytes.indexOf(name, at + 1)) {
    const slot = bytes.subarray(Math.max(0, at - 2))
    const secret = open(kek, slot.subarray(SLOT_HEADER_BYTES, SLOT_HEADER_BYTES + slot[1]!), [
      slot.subarray(0, SLOT_HEADER_BYTES),
    ])
    if (secret !== undefined)
      yield { context: slot.subarray(2 + NAME_BYTES, SLOT_HEADER_BYTES).toString('hex'), secret }
  }
}

function* openAll(bytes: Buffer, key: Buffer, contexts: readonly Buffer[]): Iterable<Buffer> {
  const length = NONCE_BYTES + MATERIAL_BYTES + TAG_BYTES
  for (let page = 0; page + length <= bytes.byteLength; page += PAGE_BYTES)
    for (const offset of VALUE_OFFSETS) {
      const material = open(key, bytes.subarray(page + offset, page + offset + length), contexts)
      if (material !== undefined) yield material
    }
}

function open(key: Uint8Array, sealed: Buffer, contexts: readonly Buffer[]): Buffer | undefined {
  if (sealed.byteLength <= NONCE_BYTES + TAG_BYTES) return undefined
  for (const context of contexts) {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES))
    decipher.setAAD(context).setAuthTag(sealed.subarray(-TAG_BYTES))
    const opened = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES))
    try {
      decipher.final()
      return opened
    } catch {
      // Not this one.
    }
  }
  return undefined
}

async function readAll(paths: readonly string[]): Promise<Buffer[]> {
  const files: Buffer[] = []
  for (const path of paths) {
    if (!(await stat(path)).isDirectory()) files.push(await readFile(path))
    else for (const name of await readdir(path)) files.push(await readFile(join(path, name)))
  }
  return files
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest().subarray(0, DIGEST_BYTES).toString('hex')
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}

/** Each field behind its length in two bytes. */
function lengthed(...fields: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    fields.flatMap(field => {
      const bytes = Buffer.from(field as string)
      const length = Buffer.alloc(2)
      length.writeUInt16BE(bytes.byteLength)
      return [length, bytes]
    }),
  )
}

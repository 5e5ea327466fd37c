import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StoreError } from '../../errors.ts'

const DIGEST_BYTES = 32
/** Feedings that are remembered; the oldest goes first. */
const MAX_FED = 10_000

/** What one feeding of a recording leaves for the next. */
export interface FeedingState {
  /** Digests of what was fed, the oldest first: the same keys are never taken twice. */
  readonly fed: readonly Buffer[]
  /** Key that did not make up a block. */
  readonly rest: Buffer
}

/**
 * Name of the state that goes before file `number`. It is bound to the file, so that a crash between the two leaves either all
 * of a feeding or nothing: neither is key lost nor does it come a second time.
 */
export function stateName(number: number): string {
  return `rest-${String(number).padStart(8, '0')}.part`
}

/** @throws {StoreError} it is there and can't be read */
export async function readState(directory: string, number: number): Promise<FeedingState> {
  const path = join(directory, stateName(number))
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { fed: [], rest: Buffer.alloc(0) }
    throw new StoreError(`${path} can't be read: ${(cause as Error).message}`, { cause })
  }
  const count = bytes.byteLength < 4 ? Number.NaN : bytes.readUInt32BE()
  const restAt = 4 + count * DIGEST_BYTES
  if (!(restAt <= bytes.byteLength)) {
    bytes.fill(0)
    throw new StoreError(`${path} is broken: nobody knows which keys were fed`)
  }
  const fed = Array.from({ length: count }, (_, n) =>
    Buffer.from(bytes.subarray(4 + n * DIGEST_BYTES, 4 + (n + 1) * DIGEST_BYTES)),
  )
  const rest = Buffer.allocUnsafeSlow(bytes.byteLength - restAt)
  bytes.copy(rest, 0, restAt)
  bytes.fill(0)
  return { fed, rest }
}

/** The state as it is written. It holds key bytes: the caller wipes it. */
export function encodeState({ fed, rest }: { fed: readonly Buffer[]; rest: Uint8Array }): Buffer {
  const kept = fed.slice(-MAX_FED)
  const bytes = Buffer.allocUnsafeSlow(4 + kept.length * DIGEST_BYTES + rest.byteLength)
  bytes.writeUInt32BE(kept.length)
  for (const [n, digest] of kept.entries()) digest.copy(bytes, 4 + n * DIGEST_BYTES)
  bytes.set(rest, 4 + kept.length * DIGEST_BYTES)
  return bytes
}

/** By what a feeding is known again. */
export function feedingDigest(keys: Uint8Array): Buffer {
  return createHash('sha256').update('qkdkit/1 recorded keys').update(keys).digest()
}

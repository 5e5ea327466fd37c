import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** How many of the keys were found, by the form in which they lay there. */
export interface KeyTraces {
  readonly raw: number
  readonly hex: number
  readonly base64: number
}

const FORMS = ['raw', 'hex', 'base64'] as const
const STEP_BYTES = 16 * 1024 * 1024
const HEAD_BYTES = 6

/** Looks for keys in bytes: each as it is, in hex and in base64. */
export class KeySearch {
  readonly #found = { raw: new Set<number>(), hex: new Set<number>(), base64: new Set<number>() }
  /** Needles by their first bytes, so that one pass finds them all. */
  readonly #byHead = new Map<number, { form: (typeof FORMS)[number]; key: number; bytes: Buffer }[]>()
  readonly #heads = new Uint8Array(1 << 21)
  readonly #longest: number

  constructor(keys: readonly Uint8Array[]) {
    let longest = 0
    for (const [key, value] of keys.entries()) {
      const raw = Buffer.from(value)
      const forms = { raw, hex: Buffer.from(raw.toString('hex')), base64: Buffer.from(raw.toString('base64')) }
      for (const form of FORMS) {
        const bytes = forms[form]
        const head = bytes.readUIntBE(0, HEAD_BYTES)
        this.#byHead.set(head, [...(this.#byHead.get(head) ?? []), { form, key, bytes }])
        this.#heads[bytes.readUIntBE(0, 3) >> 3]! |= 1 << (bytes.readUIntBE(0, 3) & 7)
        longest = Math.max(longest, bytes.byteLength)
      }
    }
    this.#longest = longest
  }

  /** How much of the end of a piece must be read again with the next one. */
  get overlapBytes(): number {
    return this.#longest - 1
  }

  look(bytes: Buffer): void {
    const end = bytes.byteLength - HEAD_BYTES
    let three = bytes.byteLength < HEAD_BYTES ? 0 : bytes.readUInt16BE(0)
    for (let at = 0; at <= end; at++) {
      three = ((three << 8) | bytes[at + 2]!) & 0xffffff
      if ((this.#heads[three >> 3]! & (1 << (three & 7))) === 0) continue
      for (const { form, key, bytes: needle } of this.#byHead.get(bytes.readUIntBE(at, HEAD_BYTES)) ?? [])
        if (bytes.subarray(at, at + needle.byteLength).equals(needle)) this.#found[form].add(key)
    }
  }

  get traces(): KeyTraces {
    const { raw, hex, base64 } = this.#found
    return { raw: raw.size, hex: hex.size, base64: base64.size }
  }
}

/** Looks through everything that a process may write to, from outside. Wants ptrace rights over it, as a parent has. */
export async function scanMemory(pid: number, search: KeySearch): Promise<number> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8')
  const memory = await open(`/proc/${pid}/mem`, 'r')
  let scannedBytes = 0
  try {
    for (const [, from, to] of maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm)) {
      const end = Number.parseInt(to!, 16)
      for (let at = Number.parseInt(from!, 16); at < end; ) {
        const chunk = Buffer.alloc(Math.min(STEP_BYTES, end - at))
        // Reserved pages that were never touched can't be read.
        const { bytesRead } = await memory.read(chunk, 0, chunk.byteLength, at).catch(() => ({ bytesRead: 0 }))
        search.look(chunk.subarray(0, bytesRead))
        scannedBytes += bytesRead
        at += chunk.byteLength === end - at || bytesRead === 0 ? chunk.byteLength : bytesRead - search.overlapBytes
      }
    }
  } finally {
    await memory.close()
  }
  return scannedBytes
}

/** Looks through every file under a directory. */
export async function scanFiles(directory: string, search: KeySearch): Promise<number> {
  let scannedBytes = 0
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const bytes = await readFile(join(entry.parentPath, entry.name))
    search.look(bytes)
    scannedBytes += bytes.byteLength
  }
  return scannedBytes
}

import { KmeResponseError, KmeUnreachableError } from '../../errors.ts'
import type { Key, Kms } from '../../interface/kms.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { SeenKeys } from '../../key/seen-keys.ts'
import { BackOff } from '../../util/back-off.ts'
import { delay } from '../../util/deadline.ts'
import { MAX_BATCH_KEYS } from './device-message.ts'

/** One end's KME: a KMS as the link's own SAE at this site sees it. */
export interface KmePortOptions {
  /** Stays the caller's, who closes it after the link. */
  readonly kms: Kms
  /** The SAE of the link's other end, at that site's KME. */
  readonly peerSaeId: string
  /** Keys to ask for at once, at most; 1 to 1,024. Default what the KME's status allows, up to 128. */
  readonly keysPerRequest?: number
  /** Size to ask for, in bits, a multiple of 8. Default the KME's own. */
  readonly keySizeBits?: number
  /** How long a call may take, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number
}

/** Keys that were drawn, and what to tell the other end. */
export interface DrawnKeys {
  readonly keyIds: readonly string[]
  readonly secrets: readonly SecretKey[]
}

const DEFAULT_KEYS = 128
const DEFAULT_KEY_BYTES = 32
const TIMEOUT_MS = 10_000
/** Tries of a call that a KME has surely not served, and the pauses between them. */
const TRIES = 5
const PAUSES = { minMs: 100, maxMs: 2_000 }
/** Longest key_ID that the other end takes, in bytes. */
const MAX_ID_BYTES = 1_024

/** Draws and fetches keys. A call that a KME may have served is never made twice: what it spent is lost, and both ends drop it. */
export class KmePort {
  readonly #options: KmePortOptions
  readonly #drawn = new SeenKeys()
  #limits: { readonly keys: number; readonly keyBytes: number } | undefined

  constructor(options: KmePortOptions) {
    this.#options = options
  }

  /**
   * Fresh keys of `needBytes` together, or fewer where one request gives no more.
   * @throws {QkdError} as `Kms.getKey`; keys may be lost with it
   */
  async draw(needBytes: number, signal: AbortSignal): Promise<DrawnKeys> {
    const { kms, peerSaeId, keySizeBits, timeoutMs = TIMEOUT_MS } = this.#options
    const { keys: most, keyBytes } = await this.#limitsNow(signal)
    const number = Math.max(1, Math.min(most, Math.ceil(needBytes / keyBytes)))
    const size = keySizeBits === undefined ? {} : { sizeBits: keySizeBits }
    const keys = await kms.getKey(peerSaeId, { number, ...size, timeoutMs, signal })
    const long = keys.find(({ keyId }) => Buffer.byteLength(keyId) > MAX_ID_BYTES)
    if (long !== undefined || keys.length > MAX_BATCH_KEYS) {
      wipe(keys)
      throw new KmeResponseError(`The KME gave a key_ID of more than ${MAX_ID_BYTES} bytes, or too many keys`)
    }
    const secrets = keys.map(({ secret }) => secret)
    // A KME that was set back gives its keys again, and both ends would take them for fresh.
    if (this.#drawn.add(secrets)) {
      wipe(keys)
      throw new KmeResponseError('The KME gave a key that it had given before')
    }
    return { keyIds: keys.map(({ keyId }) => keyId), secrets }
  }

  /**
   * The keys that the other end drew.
   * @throws {QkdError} as `Kms.getKeyWithIds`; then none of them is here
   */
  async fetch(keyIds: readonly string[], signal: AbortSignal): Promise<readonly SecretKey[]> {
    const { kms, peerSaeId, timeoutMs = TIMEOUT_MS } = this.#options
    const { keys: most } = await this.#limitsNow(signal)
    const fetched: Key[] = []
    try {
      for (let at = 0; at < keyIds.length; at += most) {
        const ids = keyIds.slice(at, at + most)
        const keys = await whileUnserved(signal, () => kms.getKeyWithIds(peerSaeId, ids, { timeoutMs, signal }))
        fetched.push(...keys)
      }
      return fetched.map(({ secret }) => secret)
    } catch (error) {
      wipe(fetched)
      throw error
    }
  }

  async #limitsNow(signal: AbortSignal): Promise<{ readonly keys: number; readonly keyBytes: number }> {
    if (this.#limits !== undefined) return this.#limits
    const { kms, peerSaeId, keysPerRequest, keySizeBits, timeoutMs = TIMEOUT_MS } = this.#options
    const status = await whileUnserved(signal, () => kms.getStatus(peerSaeId, { timeoutMs, signal }))
    const keyBits = keySizeBits ?? status.keySizeBits
    this.#limits = {
      // There are KMEs whose counters are all 0.
      keys:
        keysPerRequest ?? Math.min(DEFAULT_KEYS, status.maxKeyPerRequest > 0 ? status.maxKeyPerRequest : DEFAULT_KEYS),
      keyBytes: keyBits >= 8 ? Math.floor(keyBits / 8) : DEFAULT_KEY_BYTES,
    }
    return this.#limits
  }
}

/** Calls again, a few times, while the KME has surely not served the call: it was not reached, or said so itself. */
async function whileUnserved<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
  const backOff = new BackOff(PAUSES)
  for (let tries = 1; ; tries += 1) {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof KmeUnreachableError) || tries === TRIES) throw error
      if (error.details.some(({ sent }) => sent === true)) throw error
      await delay(Math.max(backOff.nextMs(), Math.min(error.retryAfterMs ?? 0, PAUSES.maxMs)), { signal })
    }
  }
}

function wipe(keys: readonly Key[]): void {
  for (const { secret } of keys) secret.wipe()
}

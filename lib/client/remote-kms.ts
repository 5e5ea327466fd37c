import { ClosedError, PolicyError } from '../errors.ts'
import { Etsi014Client, type Etsi014ClientOptions } from '../etsi014/client.ts'
import { requireKmeProfile } from '../etsi014/kme-profile.ts'
import { createHttpsTransport, type HttpsTransportOptions } from '../http/https-transport.ts'
import type { HttpTransport } from '../interface/http.ts'
import type {
  GetKeyOptions,
  GetKeyWithIdsOptions,
  Key,
  KeyReceipt,
  Kms,
  KmsCallOptions,
  KmsStatus,
  SecurityLevel,
} from '../interface/kms.ts'
import { openPkcs12 } from '../pkcs12.ts'
import { startDeadline } from '../util/call-deadline.ts'
import { requireInteger } from '../util/deadline.ts'
import {
  checkGetKey,
  checkGetKeyWithIds,
  checkReceipts,
  requireOtherSae,
  requireSaeId,
  requireTimeout,
} from '../util/kms-arguments.ts'
import { meetsLevel } from '../util/security-level.ts'

/** What every remote KMS needs to know, whatever the way to it. */
interface RemoteKmsBase extends Etsi014ClientOptions {
  /** The SAE that the KME takes this client for, by its certificate. */
  readonly saeId: string
  /** How long a call waits for its answer where it does not say, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number
}

/** Options of `createRemoteKms`: the address of a KME and the credentials for it, or a transport, which is left open. */
export type RemoteKmsOptions =
  | (RemoteKmsBase & HttpsTransportOptions)
  | (RemoteKmsBase & { readonly transport: HttpTransport })

/**
 * The KMS of a site, reached through its KME by ETSI GS QKD 014. Behaves as the embedded one: the same checks before any I/O,
 * the same classes of error, and no retries, since each try of `getKey` consumes.
 */
export function createRemoteKms(options: RemoteKmsOptions): Kms {
  return new RemoteKms(options)
}

class RemoteKms implements Kms {
  readonly saeId: string
  readonly #client: Etsi014Client
  readonly #timeoutMs: number
  /** Undefined where the transport belongs to the caller. */
  readonly #ownTransport: HttpTransport | undefined
  readonly #running = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(options: RemoteKmsOptions) {
    this.saeId = requireSaeId('saeId', options.saeId)
    this.#timeoutMs = requireInteger('timeoutMs', options.timeoutMs ?? 5_000, { min: 1, max: 2 ** 31 - 1 })
    this.#ownTransport = 'transport' in options ? undefined : openTransport(options)
    this.#client = new Etsi014Client('transport' in options ? options.transport : this.#ownTransport!, options)
  }

  getStatus(slaveSaeId: string, options: KmsCallOptions = {}): Promise<KmsStatus> {
    return this.#call(options, signal => {
      requireOtherSae('slaveSaeId', this.saeId, slaveSaeId)
      return this.#client.getStatus(slaveSaeId, { signal })
    })
  }

  getKey(slaveSaeId: string, options: GetKeyOptions = {}): Promise<Key[]> {
    return this.#call(options, async signal => {
      checkGetKey(this.saeId, slaveSaeId, options)
      return requireLevels(await this.#client.getKey(slaveSaeId, { ...options, signal }), options.minLevel)
    })
  }

  getKeyWithIds(masterSaeId: string, keyIds: readonly string[], options: GetKeyWithIdsOptions = {}): Promise<Key[]> {
    return this.#call(options, async signal => {
      checkGetKeyWithIds(masterSaeId, keyIds, options)
      const { minLevel } = options
      return requireLevels(await this.#client.getKeyWithIds(masterSaeId, keyIds, { signal, minLevel }), minLevel)
    })
  }

  reportKeys(peerSaeId: string, receipts: readonly KeyReceipt[], options: KmsCallOptions = {}): Promise<void> {
    return this.#call(options, signal => {
      checkReceipts(this.saeId, peerSaeId, receipts)
      return this.#client.reportKeys(peerSaeId, receipts, { signal })
    })
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#running).then(() => this.#ownTransport?.close())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #call<T>(options: KmsCallOptions, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new ClosedError('The KMS is closed')
    const timeoutMs = requireTimeout({ timeoutMs: options.timeoutMs ?? this.#timeoutMs })
    options.signal?.throwIfAborted()
    using deadline = startDeadline(options.signal, timeoutMs)
    const result = run(deadline.signal)
    this.#running.add(result)
    try {
      return await result
    } finally {
      this.#running.delete(result)
    }
  }
}

function openTransport(options: RemoteKmsBase & HttpsTransportOptions): HttpTransport {
  const { pfx, passphrase, ...rest } = options
  return createHttpsTransport({
    ...rest,
    ...(pfx === undefined ? { passphrase } : fromPkcs12(pfx, options)),
    // The deadline of a call is kept here; the transport's own is only there for those who use it alone.
    timeoutMs: 2 ** 31 - 1,
    plainLoopback: requireKmeProfile(options.profile).plainHttp,
  })
}

/** Old files too, which node:tls does not read. */
function fromPkcs12(pfx: Buffer, { passphrase, ca }: HttpsTransportOptions) {
  const { certificatePem: cert, privateKeyPem: key, authoritiesPem } = openPkcs12(pfx, passphrase)
  return { cert, key, ca: ca ?? authoritiesPem }
}

/** A KME of another make may pass our extension over: what it gives is held to the minimum here. */
function requireLevels(keys: Key[], minLevel: SecurityLevel | undefined): Key[] {
  const low = minLevel === undefined ? undefined : keys.find(({ level }) => !meetsLevel(level, minLevel))
  if (low === undefined) return keys
  for (const { secret } of keys) secret.wipe()
  const level = low.level === undefined ? 'of a level that it does not tell' : `of level ${low.level}`
  throw new PolicyError(`The KME gave a key ${level}, which does not meet minLevel ${minLevel}`)
}

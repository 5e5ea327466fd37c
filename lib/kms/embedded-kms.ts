import {
  ClosedError,
  InvalidArgumentError,
  KeyNotFoundError,
  PolicyError,
  PoolExhaustedError,
  QkdError,
} from '../errors.ts'
import type { GetKeyOptions, Key, Kms, KmsCallOptions, KmsStatus, SecurityLevel } from '../interface/kms.ts'
import type { Telemetry, TelemetryEvent } from '../interface/telemetry.ts'
import { cellsFor } from '../key/cells.ts'
import { maxKeyBytes } from '../key/construct.ts'
import { type Suite, suiteOf } from '../key/selection.ts'
import { requireInteger } from '../util/deadline.ts'
import { checkGetKey, checkGetKeyWithIds, requireOtherSae, requireTimeout } from '../util/kms-arguments.ts'
import type { KeyPool } from './pool/key-pool.ts'
import type { RegisteredSite, SaeRegistry } from './sae-registry.ts'

const DEFAULT_LEVEL: SecurityLevel = 'quantum'

/** Sizes and numbers of keys that a KMS serves. */
export interface KeyLimits {
  readonly keySizeBits: number
  readonly minKeySizeBits: number
  readonly maxKeySizeBits: number
  readonly maxKeyPerRequest: number
}

/** What one host's face of a site's KMS is made from. */
export interface EmbeddedKmsOptions {
  readonly saeId: string
  readonly local: RegisteredSite
  readonly registry: SaeRegistry
  readonly poolFor: (siteId: string) => KeyPool | undefined
  readonly limits: KeyLimits
  readonly capacityCells: number
  readonly maxWaitMs: number
  readonly telemetry: Telemetry
}

/** The KMS of this process as one of its registered hosts sees it. */
export class EmbeddedKms implements Kms {
  readonly saeId: string
  readonly #options: EmbeddedKmsOptions
  #closed = false

  constructor(options: EmbeddedKmsOptions) {
    this.saeId = options.saeId
    this.#options = options
  }

  async getStatus(slaveSaeId: string, options: KmsCallOptions = {}): Promise<KmsStatus> {
    this.#requireOpen(options)
    requireTimeout(options)
    requireOtherSae('slave_SAE_ID', this.saeId, slaveSaeId)
    const { registry, local, limits, capacityCells } = this.#options
    const remote = registry.requireSite('slave_SAE_ID', slaveSaeId)
    const cellsPerKey = cellsFor(limits.keySizeBits / 8)
    const maxKeyCount = Math.floor(capacityCells / cellsPerKey)
    const stored = Math.floor((this.#options.poolFor(remote.siteId)?.status().issuableCells ?? 0) / cellsPerKey)
    return {
      sourceKmeId: local.kmeId,
      targetKmeId: remote.kmeId,
      masterSaeId: this.saeId,
      slaveSaeId,
      ...limits,
      // Blocks that the peer granted us may bring the stock above what the pool aims at.
      storedKeyCount: Math.min(stored, maxKeyCount),
      maxKeyCount,
      maxSaeIdCount: 0,
    }
  }

  async getKey(slaveSaeId: string, options: GetKeyOptions = {}): Promise<Key[]> {
    return this.#refusing('getKey', slaveSaeId, async () => {
      this.#requireOpen(options)
      checkGetKey(this.saeId, slaveSaeId, options)
      const { number, sizeBytes, suite } = this.#checkRequest(options)
      const { pool, waitMs, signal } = this.#route('slave_SAE_ID', slaveSaeId, options)
      this.#requireCapacity(number, sizeBytes)
      const pair = { masterSaeId: this.saeId, slaveSaeId }
      const keys = await pool.issue({ pair, number, sizeBytes, suite, waitMs, signal })
      this.#tell('key-issued', pair, pool.remoteSiteId, keys)
      return keys
    })
  }

  async getKeyWithIds(masterSaeId: string, keyIds: readonly string[], options: KmsCallOptions = {}): Promise<Key[]> {
    return this.#refusing('getKeyWithIds', masterSaeId, async () => {
      this.#requireOpen(options)
      checkGetKeyWithIds(masterSaeId, keyIds, options)
      requireInteger('number of key_IDs', keyIds.length, { min: 1, max: this.#options.limits.maxKeyPerRequest })
      const { pool, waitMs, signal } = this.#route('master_SAE_ID', masterSaeId, options)
      const pair = { masterSaeId, slaveSaeId: this.saeId }
      const keys = await pool.retrieve(pair, keyIds, { waitMs, signal })
      this.#tell('key-retrieved', pair, pool.remoteSiteId, keys)
      return keys
    })
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #checkRequest(options: GetKeyOptions): { number: number; sizeBytes: number; suite: Suite } {
    const { limits } = this.#options
    const { number = 1, sizeBits = limits.keySizeBits, level = DEFAULT_LEVEL } = options
    requireInteger('number', number, { min: 1, max: limits.maxKeyPerRequest })
    requireInteger('size', sizeBits, { min: limits.minKeySizeBits, max: limits.maxKeySizeBits })
    if ((options.additionalSlaveSaeIds ?? []).length > 0) {
      throw new InvalidArgumentError('additional_slave_SAE_IDs are not served: max_SAE_ID_count is 0')
    }
    const unknown = (options.extensionMandatory ?? []).flatMap(entry => Object.keys(entry))
    if (unknown.length > 0) {
      throw new InvalidArgumentError('not all extension_mandatory parameters are supported', {
        details: unknown.map(name => ({ extension_mandatory_unsupported: `${name} is not supported` })),
      })
    }
    const suite = suiteOf(level)
    if (suite === undefined) {
      throw new PolicyError(`Level ${level} is not offered by this KMS; it offers one-time-pad, quantum, hybrid`)
    }
    if (sizeBits / 8 > maxKeyBytes(suite)) {
      throw new InvalidArgumentError(`A key of level ${level} has at most ${maxKeyBytes(suite) * 8} bits`, {
        details: [{ parameter_name: 'size', parameter_value: sizeBits }],
      })
    }
    return { number, sizeBytes: sizeBits / 8, suite }
  }

  /** What the pool is not made to hold would drain every block that comes, and starve everybody else meanwhile. */
  #requireCapacity(number: number, sizeBytes: number): void {
    const { capacityCells } = this.#options
    const available = Math.floor(capacityCells / cellsFor(sizeBytes))
    if (number <= available) return
    throw new PoolExhaustedError(
      `The pool holds ${available} keys of that size when it is full; ask for fewer at a time`,
      {
        details: [{ key_count_requested: number, key_count_available: available }],
      },
    )
  }

  /** The pool towards another SAE's site, and how long this call may wait there. */
  #route(
    parameter: string,
    saeId: string,
    options: KmsCallOptions,
  ): { pool: KeyPool; waitMs: number; signal: AbortSignal | undefined } {
    const timeoutMs = requireTimeout(options)
    const site = this.#options.registry.requireSite(parameter, saeId)
    const pool = this.#options.poolFor(site.siteId)
    if (pool === undefined) {
      // A key between two hosts of one site never came from a link: there is none to give or to find.
      if (parameter === 'master_SAE_ID') throw new KeyNotFoundError()
      throw new InvalidArgumentError(
        `${parameter} ${saeId} is a host of this same site: no QKD link is between the two`,
      )
    }
    return { pool, waitMs: Math.min(timeoutMs, this.#options.maxWaitMs), signal: options.signal }
  }

  async #refusing<T>(operation: 'getKey' | 'getKeyWithIds', peerSaeId: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      const code = error instanceof QkdError ? error.code : 'ABORTED'
      const reason = (error as Error).message
      this.#options.telemetry.emit({ type: 'key-refused', operation, saeId: this.saeId, peerSaeId, code, reason })
      throw error
    }
  }

  #tell(
    type: 'key-issued' | 'key-retrieved',
    pair: { masterSaeId: string; slaveSaeId: string },
    peerSiteId: string,
    keys: readonly Key[],
  ): void {
    for (const { keyId, sizeBits, level, trustClass } of keys) {
      const event = {
        type,
        ...pair,
        peerSiteId,
        keyId,
        sizeBits,
        level: level!,
        trustClass: trustClass!,
      } as TelemetryEvent
      this.#options.telemetry.emit(event)
    }
  }

  #requireOpen({ signal }: KmsCallOptions): void {
    if (this.#closed) throw new ClosedError('This Kms is closed')
    signal?.throwIfAborted()
  }
}

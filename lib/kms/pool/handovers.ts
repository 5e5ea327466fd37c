import { randomBytes } from 'node:crypto'
import { createQkdError, isQkdErrorCode, PoolDesyncError } from '../../errors.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import type { BlockLedger } from './block-ledger.ts'
import { encodeWays, type StoredWay } from './block-way.ts'
import type { MessageHandlers } from './peer-session.ts'
import { MAX_LIST, type MessageFields, NONCE_BYTES, type PeerMessage } from './peer-wire.ts'
import type { ShareQuestion } from './shared-key-acceptor.ts'
import { LEVELS, TRUST_CLASSES } from './shared-key-record.ts'

/** Sealed keys in one message at most, in bytes: well below what a channel carries. */
const MAX_SEALED_BYTES = 512 * 1024

/** Keys for the peer's hosts: in cells of the pool (no pads), or hidden under those that `padIds` name, in the same order. */
export interface Handover extends ShareQuestion {
  readonly padIds: readonly string[]
  /** Each key in transfer. */
  readonly sealed: readonly Uint8Array[]
  /** How the keys, and what hides them, came to their sites. */
  readonly ways: readonly StoredWay[]
}

/** What the handovers are made with. */
export interface HandoversOptions {
  readonly ledger: BlockLedger
  readonly send: (message: PeerMessage) => void
  readonly isConnected: () => boolean
}

interface Pending {
  resolve(): void
  reject(reason: unknown): void
}

/** The master's side of multicast towards one site: what it must hold, and its word that it does. */
export class Handovers {
  readonly #options: HandoversOptions
  readonly #pending = new Map<string, Pending>()

  constructor(options: HandoversOptions) {
    this.#options = options
  }

  readonly handlers: MessageHandlers = {
    shareOk: ({ nonce }) => this.#take(nonce)?.resolve(),
    shareNo: ({ nonce, code, reason }) => this.#take(nonce)?.reject(this.#refusal(code, reason)),
  }

  /** @throws {PoolDesyncError} the peer's KMS can't be reached now */
  requirePeer(): void {
    if (!this.#options.isConnected()) throw this.#away('cannot be reached')
  }

  /**
   * Hands keys over; resolves when the peer has them all, durably.
   * @throws {PoolDesyncError} it did not confirm before `signal` or the end of the session: whether it holds them isn't known
   * @throws {QkdError} it refused, by the code that it gave
   */
  async give(handover: Handover, { signal }: Required<AbortOptions>): Promise<void> {
    this.requirePeer()
    signal?.throwIfAborted()
    const { keyIds, padIds, sealed, masterSaeId, slaveSaeId, saeIds, sizeBytes } = handover
    const each = Math.max(1, Math.min(MAX_LIST, Math.floor(MAX_SEALED_BYTES / (sealed[0]?.byteLength ?? 1))))
    const level = LEVELS.indexOf(handover.level)
    const trustClass = TRUST_CLASSES.indexOf(handover.trustClass)
    const answers: Promise<void>[] = []
    for (let from = 0; from < keyIds.length; from += each) {
      const part = <T>(list: readonly T[]) => list.slice(from, from + each)
      const nonce = randomBytes(NONCE_BYTES)
      answers.push(this.#answer(nonce, signal))
      this.#options.send({
        name: 'share',
        nonce,
        masterSaeId,
        slaveSaeId,
        saeIds,
        level,
        trustClass,
        sizeBytes,
        keyIds: part(keyIds),
        pads: part(padIds),
        sealed: Buffer.concat(part(sealed)),
        ways: encodeWays(handover.ways),
      })
    }
    const outcomes = await Promise.allSettled(answers)
    const failed = outcomes.find(outcome => outcome.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  /** Takes keys back that the master will not be given. Where the word is lost, they expire. */
  withdraw({ keyIds, masterSaeId, slaveSaeId }: Pick<Handover, 'keyIds' | 'masterSaeId' | 'slaveSaeId'>): void {
    for (let from = 0; from < keyIds.length; from += MAX_LIST) {
      this.#options.send({ name: 'unshare', masterSaeId, slaveSaeId, keyIds: keyIds.slice(from, from + MAX_LIST) })
    }
  }

  /** The session is lost: no answer will come any more. */
  abandon(): void {
    for (const [nonce, pending] of [...this.#pending]) {
      this.#pending.delete(nonce)
      pending.reject(this.#away('went away before it confirmed'))
    }
  }

  #answer(nonce: Buffer, signal: AbortSignal | undefined): Promise<void> {
    const key = nonce.toString('hex')
    return new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        this.#pending.delete(key)
        const isTime = (signal?.reason as Error | undefined)?.name === 'TimeoutError'
        reject(isTime ? this.#away('did not confirm in time') : signal?.reason)
      }
      const settled = () => signal?.removeEventListener('abort', giveUp)
      this.#pending.set(key, {
        resolve: () => {
          settled()
          resolve()
        },
        reject: reason => {
          settled()
          reject(reason)
        },
      })
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  #take(nonce: MessageFields<'shareOk'>['nonce']): Pending | undefined {
    const key = Buffer.from(nonce).toString('hex')
    const pending = this.#pending.get(key)
    this.#pending.delete(key)
    return pending
  }

  #refusal(code: string, reason: string): Error {
    const message = `The KMS of ${this.#options.ledger.remoteSiteId} does not take the keys: ${reason}`
    return createQkdError(isQkdErrorCode(code) && code !== 'ERR_QKD_PROTOCOL' ? code : 'ERR_QKD_POOL_DESYNC', message)
  }

  #away(what: string): PoolDesyncError {
    return new PoolDesyncError(
      `The KMS of ${this.#options.ledger.remoteSiteId} ${what}: a key of several hosts must be held at each of their sites`,
      { retryAfterMs: 1000 },
    )
  }
}

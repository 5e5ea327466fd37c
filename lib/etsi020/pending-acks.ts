import { NoRouteError } from '../errors.ts'
import type { AbroadKeyIds } from '../interface/abroad.ts'
import type { Ack, AckStatus } from './models.ts'

/** What is waited for: that keys have arrived, or that they are gone. */
export type AckKind = 'relay' | 'void'

const kinds: Readonly<Record<AckStatus, { readonly kind: AckKind; readonly good: boolean }>> = {
  relayed: { kind: 'relay', good: true },
  failed: { kind: 'relay', good: false },
  voided: { kind: 'void', good: true },
  // What is not there cannot be fetched.
  'key not present': { kind: 'void', good: true },
  'failed to void': { kind: 'void', good: false },
}

interface Wait {
  readonly initiatorSaeId: string
  /** Each key with each SAE that is to have it: a KME may speak of them one by one. */
  readonly missing: Set<string>
  resolve(): void
  reject(reason: unknown): void
}

/** Acknowledgements that another domain's KME still owes. One KME, one book. */
export class PendingAcks {
  readonly #kmeId: string
  readonly #waits: Readonly<Record<AckKind, Map<string, Wait>>> = { relay: new Map(), void: new Map() }

  constructor(kmeId: string) {
    this.#kmeId = kmeId
  }

  /**
   * Resolves when every key was acknowledged well for every target.
   * @throws {NoRouteError} one was not, or the time is over: what became of them isn't known
   */
  expect(kind: AckKind, { initiatorSaeId, targetSaeIds, keyIds }: AbroadKeyIds, signal: AbortSignal): Promise<void> {
    const book = this.#waits[kind]
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        for (const keyId of keyIds) if (book.get(keyId) === wait) book.delete(keyId)
        signal.removeEventListener('abort', giveUp)
        end()
      }
      const wait: Wait = {
        initiatorSaeId,
        missing: new Set(keyIds.flatMap(keyId => targetSaeIds.map(saeId => nameOf(keyId, saeId)))),
        resolve: () => settle(resolve),
        reject: reason => settle(() => reject(reason)),
      }
      const giveUp = () => {
        const isTime = (signal.reason as Error | undefined)?.name === 'TimeoutError'
        const cause = signal.reason as Error
        wait.reject(isTime ? new NoRouteError(`KME ${this.#kmeId} did not acknowledge in time`, { cause }) : cause)
      }
      if (signal.aborted) return giveUp()
      signal.addEventListener('abort', giveUp, { once: true })
      for (const keyId of keyIds) book.set(keyId, wait)
    })
  }

  /** Takes what the KME says of its own accord, or in an answer. What nobody waits for is passed over. */
  take(acks: readonly Ack[]): void {
    for (const { ack_status: status, key_id_container: container, message, ...ack } of acks) {
      const { kind, good } = kinds[status]
      for (const { key_id: keyId } of container) {
        const wait = this.#waits[kind].get(keyId)
        if (wait === undefined || wait.initiatorSaeId !== ack.initiator_sae_id) continue
        const heard = ack.target_sae_ids.filter(saeId => wait.missing.delete(nameOf(keyId, saeId)))
        if (heard.length === 0) continue
        const said = message == null ? '' : `: ${message.slice(0, 120)}`
        if (!good) wait.reject(new NoRouteError(`KME ${this.#kmeId} says "${status}"${said}`))
        else if (wait.missing.size === 0) wait.resolve()
      }
    }
  }
}

function nameOf(keyId: string, saeId: string): string {
  return JSON.stringify([keyId, saeId])
}

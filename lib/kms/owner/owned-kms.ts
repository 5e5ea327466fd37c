import { ClosedError, ProtocolError } from '../../errors.ts'
import type {
  GetKeyOptions,
  GetKeyWithIdsOptions,
  Key,
  KeyReceipt,
  Kms,
  KmsCallOptions,
  KmsStatus,
} from '../../interface/kms.ts'
import {
  checkGetKey,
  checkGetKeyWithIds,
  checkReceipts,
  requireOtherSae,
  requireTimeout,
} from '../../util/kms-arguments.ts'
import type { Call, OwnerResult } from './owner-calls.ts'

/** Brings a call to the owner, within its time. */
export type AskOwner = (call: Call, options: KmsCallOptions) => Promise<OwnerResult>

/**
 * One host's face of a KMS whose pools another process owns. Misuse is refused here; everything else is the owner's to
 * decide, in whose audit log it stands then.
 */
export class OwnedKms implements Kms {
  readonly saeId: string
  readonly #ask: AskOwner
  #closed = false

  constructor(saeId: string, ask: AskOwner) {
    this.saeId = saeId
    this.#ask = ask
  }

  async getStatus(slaveSaeId: string, options: KmsCallOptions = {}): Promise<KmsStatus> {
    this.#requireOpen(options)
    requireTimeout(options)
    requireOtherSae('slave_SAE_ID', this.saeId, slaveSaeId)
    const call = { op: 'getStatus', saeId: this.saeId, peerSaeId: slaveSaeId, options } as const
    const result = await this.#ask(call, options)
    if (result.kind !== 'status') throw unfit()
    return result.status
  }

  async getKey(slaveSaeId: string, options: GetKeyOptions = {}): Promise<Key[]> {
    this.#requireOpen(options)
    checkGetKey(this.saeId, slaveSaeId, options)
    const call = { op: 'getKey', saeId: this.saeId, peerSaeId: slaveSaeId, options } as const
    return keysOf(await this.#ask(call, options))
  }

  async getKeyWithIds(
    masterSaeId: string,
    keyIds: readonly string[],
    options: GetKeyWithIdsOptions = {},
  ): Promise<Key[]> {
    this.#requireOpen(options)
    checkGetKeyWithIds(masterSaeId, keyIds, options)
    const call = { op: 'getKeyWithIds', saeId: this.saeId, peerSaeId: masterSaeId, keyIds, options } as const
    return keysOf(await this.#ask(call, options))
  }

  async reportKeys(peerSaeId: string, receipts: readonly KeyReceipt[], options: KmsCallOptions = {}): Promise<void> {
    this.#requireOpen(options)
    requireTimeout(options)
    checkReceipts(this.saeId, peerSaeId, receipts)
    const call = { op: 'reportKeys', saeId: this.saeId, peerSaeId, receipts, options } as const
    const result = await this.#ask(call, options)
    if (result.kind !== 'taken') throw unfit()
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #requireOpen({ signal }: KmsCallOptions): void {
    if (this.#closed) throw new ClosedError('This Kms is closed')
    signal?.throwIfAborted()
  }
}

function keysOf(result: OwnerResult): Key[] {
  if (result.kind === 'keys') return [...result.keys]
  throw unfit()
}

function unfit(): ProtocolError {
  return new ProtocolError('The owner answered something else than was asked')
}

import { ClosedError, InvalidArgumentError, KmeResponseError } from '../errors.ts'
import type { GetKeyOptions, Key, KeyReceipt, Kms, KmsCallOptions, KmsStatus } from '../interface/kms.ts'
import { checkGetKey, checkGetKeyWithIds, checkReceipts, requireOtherSae, requireSaeId } from '../util/kms-arguments.ts'

/** A KMS, and the hosts that keys are shared with through it. */
export interface PeerKms {
  readonly kms: Kms
  /** SAEs at the other end. */
  readonly saes: readonly string[]
}

/** Options of `createFrontDoorKms`. Every KMS in it is of the same SAE. */
export interface FrontDoorOptions {
  /** For all hosts that no peer names. Default none: they are unknown. */
  readonly main?: Kms
  readonly peers: readonly PeerKms[]
}

/**
 * One KMS in front of several, as where a vendor has a KME for each far site: a call goes to the one that serves the host at
 * the other end. It owns them: `close()` closes all.
 * @throws {InvalidArgumentError} they are of different SAEs, or two name the same host
 */
export function createFrontDoorKms(options: FrontDoorOptions): Kms {
  return new FrontDoorKms(options)
}

class FrontDoorKms implements Kms {
  readonly saeId: string
  readonly #main: Kms | undefined
  readonly #peers = new Map<string, Kms>()
  readonly #all: ReadonlySet<Kms>
  #closing: Promise<void> | undefined

  constructor({ main, peers }: FrontDoorOptions) {
    const all = [...(main === undefined ? [] : [main]), ...peers.map(({ kms }) => kms)]
    const [first] = all
    if (first === undefined) throw new InvalidArgumentError('A front door needs at least one KMS behind it')
    const other = all.find(({ saeId }) => saeId !== first.saeId)
    if (other !== undefined) {
      throw new InvalidArgumentError(`One KMS is of SAE ${first.saeId} and another of ${other.saeId}`)
    }
    this.saeId = first.saeId
    this.#main = main
    this.#all = new Set(all)
    for (const { kms, saes } of peers) {
      for (const saeId of saes) {
        requireOtherSae('saes', this.saeId, saeId)
        if (this.#peers.has(saeId)) throw new InvalidArgumentError(`${saeId} has two KMSs; name one`)
        this.#peers.set(saeId, kms)
      }
    }
  }

  async getStatus(slaveSaeId: string, options: KmsCallOptions = {}): Promise<KmsStatus> {
    this.#requireOpen()
    requireOtherSae('slaveSaeId', this.saeId, slaveSaeId)
    return await this.#kmsFor('slave_SAE_ID', slaveSaeId).getStatus(slaveSaeId, options)
  }

  async getKey(slaveSaeId: string, options: GetKeyOptions = {}): Promise<Key[]> {
    this.#requireOpen()
    checkGetKey(this.saeId, slaveSaeId, options)
    const kms = this.#kmsFor('slave_SAE_ID', slaveSaeId)
    for (const saeId of options.additionalSlaveSaeIds ?? []) {
      if (this.#kmsFor('additional_slave_SAE_IDs', saeId) === kms) continue
      throw new InvalidArgumentError(`${slaveSaeId} and ${saeId} are behind two KMSs: no key serves both`, {
        details: [{ parameter_name: 'additional_slave_SAE_IDs', parameter_value: saeId }],
      })
    }
    return await kms.getKey(slaveSaeId, options)
  }

  async getKeyWithIds(masterSaeId: string, keyIds: readonly string[], options: KmsCallOptions = {}): Promise<Key[]> {
    this.#requireOpen()
    checkGetKeyWithIds(masterSaeId, keyIds, options)
    return await this.#kmsFor('master_SAE_ID', masterSaeId).getKeyWithIds(masterSaeId, keyIds, options)
  }

  async reportKeys(peerSaeId: string, receipts: readonly KeyReceipt[], options: KmsCallOptions = {}): Promise<void> {
    this.#requireOpen()
    checkReceipts(this.saeId, peerSaeId, receipts)
    const kms = this.#kmsFor('peerSaeId', peerSaeId)
    if (kms.reportKeys === undefined) throw new KmeResponseError('The KME takes no receipts')
    await kms.reportKeys(peerSaeId, receipts, options)
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all([...this.#all].map(kms => kms.close())).then(() => {})
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #kmsFor(parameter: string, saeId: string): Kms {
    const kms = this.#peers.get(requireSaeId(parameter, saeId)) ?? this.#main
    if (kms !== undefined) return kms
    throw new InvalidArgumentError(`${parameter} ${saeId} is not known to this KME`, {
      details: [{ parameter_name: parameter, parameter_value: saeId }],
    })
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('The KMS is closed')
  }
}

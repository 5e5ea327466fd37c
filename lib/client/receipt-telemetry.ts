import type { KeyReceipt, Kms } from '../interface/kms.ts'
import type { Logger } from '../interface/logger.ts'
import type { GaugeLabels, GaugeName, Telemetry, TelemetryEvent } from '../interface/telemetry.ts'
import { debugLogger } from '../util/debug-logger.ts'

/** Receipts that may wait for the KMS; of more, the oldest are let go. */
const MAX_WAITING = 1_024
/** Receipts in one call. */
const MAX_AT_ONCE = 64
/** Keys in use of which the other host is remembered. */
const MAX_REMEMBERED = 10_000

/** Where receipts go. */
export interface ReceiptTelemetryOptions {
  /** The host's face of its KMS; stays the caller's. */
  readonly kms: Kms
  /** Gets all that is told, too. Default nobody. */
  readonly telemetry?: Telemetry
  readonly logger?: Logger
}

/**
 * Telemetry of an agent or a server that tells the host's KMS, by receipts, which keys are in use and which no more. Nothing waits
 * for it; a KMS that takes no receipts is asked once.
 */
export function createReceiptTelemetry(options: ReceiptTelemetryOptions): Telemetry {
  return new ReceiptTelemetry(options)
}

class ReceiptTelemetry implements Telemetry {
  readonly #options: ReceiptTelemetryOptions
  readonly #peers = new Map<string, string>()
  #waiting: { readonly peerSaeId: string; readonly receipt: KeyReceipt }[] = []
  #isSending = false
  #isTaken = true

  constructor(options: ReceiptTelemetryOptions) {
    this.#options = options
    this.#isTaken = options.kms.reportKeys !== undefined
  }

  emit(event: TelemetryEvent): void {
    this.#options.telemetry?.emit(event)
    const { saeId } = this.#options.kms
    if (event.type === 'rotation' && event.outcome !== 'failed')
      this.#say(event.peer, event.keyId, event.outcome, event.integration)
    else if (event.type === 'tls-session')
      this.#say(event.masterSaeId === saeId ? event.slaveSaeId : event.masterSaeId, event.keyId, 'in-use', 'tls')
    else if (event.type === 'key-in-use') this.#say(event.peerSaeId, event.keyId, 'in-use', event.use)
    else if (event.type === 'key-retired') this.#say(event.peerSaeId, event.keyId, 'retired', event.use)
  }

  gauge<N extends GaugeName>(name: N, labels: GaugeLabels[N], value: number): void {
    this.#options.telemetry?.gauge(name, labels, value)
  }

  #say(peer: string | undefined, keyId: string, state: KeyReceipt['state'], use: string): void {
    const peerSaeId = peer || this.#peers.get(keyId)
    if (state === 'in-use' && peerSaeId !== undefined) this.#remember(keyId, peerSaeId)
    else this.#peers.delete(keyId)
    if (!this.#isTaken || peerSaeId === undefined || keyId === '') return
    this.#waiting.push({ peerSaeId, receipt: { keyId, state, use, atMs: Date.now() } })
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift()
    void this.#send()
  }

  #remember(keyId: string, peerSaeId: string): void {
    this.#peers.set(keyId, peerSaeId)
    const [oldest] = this.#peers.keys()
    if (this.#peers.size > MAX_REMEMBERED && oldest !== undefined) this.#peers.delete(oldest)
  }

  /** One call at a time: what comes meanwhile goes together. */
  async #send(): Promise<void> {
    if (this.#isSending) return
    this.#isSending = true
    const { kms, logger = debugLogger('receipts') } = this.#options
    while (this.#waiting.length > 0 && this.#isTaken) {
      const { peerSaeId } = this.#waiting[0]!
      const batch = this.#waiting.filter(each => each.peerSaeId === peerSaeId).slice(0, MAX_AT_ONCE)
      this.#waiting = this.#waiting.filter(each => !batch.includes(each))
      const receipts = batch.map(({ receipt }) => receipt)
      await kms.reportKeys!(peerSaeId, receipts).catch((error: Error & { code?: string }) => {
        // A KME of another make answers as if there were no such path: it is not asked again.
        if (error.code === 'ERR_QKD_KME_RESPONSE') this.#isTaken = false
        logger.info({ peerSaeId, reason: error.message }, 'receipts were not taken')
      })
    }
    this.#isSending = false
  }
}

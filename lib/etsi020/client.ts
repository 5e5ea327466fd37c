import { NoRouteError } from '../errors.ts'
import type { AbroadHandover, AbroadKeyIds, AbroadKme } from '../interface/abroad.ts'
import type { HttpResponse, HttpTransport } from '../interface/http.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import { eitherSignal } from '../util/deadline.ts'
import { encodeExtKeys } from './key-body.ts'
import { type Ack, checkAcks, checkVersions, PATHS } from './models.ts'
import { type AckKind, PendingAcks } from './pending-acks.ts'

/** Options of `Etsi020Client`. */
export interface Etsi020ClientOptions {
  readonly kmeId: string
  /** The way to that KME, over mutual TLS 1.3; stays the caller's. */
  readonly transport: HttpTransport
  /** Where it may send acknowledgements; undefined asks it to answer with them (its `synchronous_mode`). */
  readonly ackUrl: () => string | undefined
}

const JSON_HEADERS = { 'content-type': 'application/json' }

/** The KME of another domain at the same site, by ETSI GS QKD 020. Sends each request once. */
export class Etsi020Client implements AbroadKme {
  readonly kmeId: string
  readonly #options: Etsi020ClientOptions
  readonly #acks: PendingAcks

  constructor(options: Etsi020ClientOptions) {
    this.kmeId = options.kmeId
    this.#options = options
    this.#acks = new PendingAcks(options.kmeId)
  }

  /** The versions of the interface that the KME has. */
  async versions({ signal }: Required<AbortOptions>): Promise<readonly string[]> {
    const { status, body } = await this.#options.transport.request({ method: 'GET', target: PATHS.versions, signal })
    const checked = checkVersions(parse(body))
    if (status === 200 && checked.ok) return checked.value.versions
    throw new NoRouteError(`KME ${this.kmeId} does not say which versions of ETSI GS QKD 020 it has (${status})`)
  }

  async handOver(handover: AbroadHandover, { signal }: Required<AbortOptions>): Promise<void> {
    const ackUrl = this.#options.ackUrl()
    const { keys, ...saes } = handover
    const body = encodeExtKeys(handover, { ackUrl })
    try {
      const about = { ...saes, keyIds: keys.map(({ keyId }) => keyId) }
      await this.#send('relay', { target: PATHS.keys, body, about, signal })
    } finally {
      body.fill(0)
    }
  }

  async withdraw(about: AbroadKeyIds, { signal }: Required<AbortOptions>): Promise<void> {
    const { initiatorSaeId, targetSaeIds, keyIds } = about
    const pair = { initiator_sae_id: initiatorSaeId, target_sae_ids: targetSaeIds }
    const request = { key_ids: keyIds, ...pair, ack_callback_url: this.#options.ackUrl() }
    await this.#send('void', { target: PATHS.void, body: Buffer.from(JSON.stringify(request)), about, signal })
  }

  /** Takes acknowledgements that the KME sent to our callback. */
  acknowledge(acks: readonly Ack[]): void {
    this.#acks.take(acks)
  }

  /** Sends acknowledgements to the KME's callback; `target` is its path and query. */
  async sendAcks(target: string, acks: readonly Ack[], { signal }: Required<AbortOptions>): Promise<void> {
    const body = Buffer.from(JSON.stringify(acks))
    const request = { method: 'POST', target, headers: JSON_HEADERS, body, signal }
    const { status } = await this.#options.transport.request(request)
    if (status !== 200) throw new NoRouteError(`KME ${this.kmeId} takes no acknowledgement: it answers ${status}`)
  }

  async #send(
    kind: AckKind,
    { target, body, about, signal }: { target: string; body: Uint8Array; about: AbroadKeyIds; signal: AbortSignal },
  ): Promise<void> {
    signal.throwIfAborted()
    const left = new AbortController()
    // Expected before the request leaves: the acknowledgement may overtake the answer.
    const acknowledged = this.#acks.expect(kind, about, eitherSignal(signal, left.signal))
    acknowledged.catch(() => {})
    try {
      const request = { method: 'POST', target, headers: JSON_HEADERS, body, signal }
      const response = await this.#options.transport.request(request)
      if (response.status === 200) this.#acks.take(this.#acksIn(response))
      else if (response.status !== 202) throw this.#refusal(response)
      await acknowledged
    } finally {
      left.abort()
    }
  }

  #acksIn({ body }: HttpResponse): readonly Ack[] {
    const checked = checkAcks(parse(body))
    if (checked.ok) return checked.value
    throw new NoRouteError(`KME ${this.kmeId} answers 200 without acknowledgements`)
  }

  #refusal({ status, body }: HttpResponse): NoRouteError {
    const { detail } = Object(parse(body)) as { detail?: unknown }
    const said = typeof detail === 'string' ? `: ${detail.slice(0, 120)}` : ''
    return new NoRouteError(`KME ${this.kmeId} answers ${status}${said}`)
  }
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    return undefined
  }
}

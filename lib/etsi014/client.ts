import { InvalidArgumentError, KmeResponseError } from '../errors.ts'
import type { HttpClientRequest, HttpResponse, HttpTransport } from '../interface/http.ts'
import type {
  GetKeyOptions,
  GetKeyWithIdsOptions,
  Key,
  KeyReceipt,
  KmsStatus,
  SecurityLevel,
} from '../interface/kms.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import type { Logger } from '../interface/logger.ts'
import { debugLogger } from '../util/debug-logger.ts'
import { decodeKeyContainer } from './key-container.ts'
import { type KmeProfile, type KmeProfileName, requireKmeProfile, requireServed } from './kme-profile.ts'
import {
  type EtsiKeyIds,
  type EtsiKeyRequest,
  INTEGRATION_EXTENSION,
  LEVEL_EXTENSION,
  MIN_LEVEL_EXTENSION,
} from './models.ts'
import { encodeReceipts, receiptsTarget } from './receipts.ts'
import { responseError } from './response-error.ts'
import { decodeStatus, EXTENDED_STATUS } from './status.ts'
import { type EtsiMethod, formatPathTarget, formatTarget } from './target.ts'

/** What is peculiar to a KME. */
export interface Etsi014ClientOptions {
  /**
   * `auto` sends one key's request as GET and any other as POST; a KME may know only one of them. Default the profile's,
   * which mostly is `auto`.
   */
  readonly method?: 'auto' | 'GET' | 'POST'
  /** What the KME does otherwise than the standard says. Default `etsi`: nothing that matters. */
  readonly profile?: KmeProfileName
  readonly logger?: Logger
}

/** The three methods of ETSI GS QKD 014 V1.1.1 over a transport: pure mapping, no checks of arguments, no retries. */
export class Etsi014Client {
  readonly #transport: HttpTransport
  readonly #method: 'auto' | 'GET' | 'POST'
  readonly #profile: KmeProfile
  readonly #logger: Logger

  /** @throws {InvalidArgumentError} there is no such profile */
  constructor(transport: HttpTransport, { method, profile, logger }: Etsi014ClientOptions = {}) {
    this.#transport = transport
    this.#profile = requireKmeProfile(profile)
    this.#method = method ?? this.#profile.method
    this.#logger = logger ?? debugLogger('etsi014')
  }

  /** Get status (clause 5.3). */
  async getStatus(slaveSaeId: string, { signal }: AbortOptions): Promise<KmsStatus> {
    const headers = { prefer: EXTENDED_STATUS }
    const request = { method: 'GET', target: formatTarget('status', slaveSaeId), headers, signal }
    const { body } = await this.#call('status', request)
    return decodeStatus(parseJson(body), this.#profile)
  }

  /** Get key (clause 5.4). */
  async getKey(slaveSaeId: string, options: GetKeyOptions): Promise<Key[]> {
    const { number = 1, sizeBits, signal } = options
    requireServed(this.#profile, { number, sizeBits })
    const keys = await this.#getKeys('enc_keys', { ...this.#keyRequest(slaveSaeId, options), signal })
    try {
      if (keys.length > number)
        throw new KmeResponseError(`The KME gave ${keys.length} keys where ${number} were asked`)
      const wrong = keys.find(key => sizeBits !== undefined && key.sizeBits !== sizeBits)
      if (wrong !== undefined) {
        throw new KmeResponseError(`The KME gave a key of ${wrong.sizeBits} bits where ${sizeBits} were asked`)
      }
      if (new Set(keys.map(key => key.keyId.toLowerCase())).size < keys.length) {
        throw new KmeResponseError('The KME gave two keys under one key_ID')
      }
    } catch (error) {
      for (const { secret } of keys) secret.wipe()
      throw error
    }
    if (keys.length < number) this.#logger.warn({ asked: number, given: keys.length }, 'KME gave fewer keys than asked')
    return keys
  }

  /** Get key with key IDs (clause 5.5); in the order of `keyIds`, whatever the KME's is. */
  async getKeyWithIds(
    masterSaeId: string,
    keyIds: readonly string[],
    { signal, minLevel }: Pick<GetKeyWithIdsOptions, 'signal' | 'minLevel'>,
  ): Promise<Key[]> {
    requireServed(this.#profile, { number: keyIds.length })
    const keys = await this.#getKeys('dec_keys', { ...this.#keyIdsRequest(masterSaeId, keyIds, minLevel), signal })
    const byId = new Map(keys.map(key => [key.keyId.toLowerCase(), key]))
    const ordered = keyIds.map(id => byId.get(id.toLowerCase()))
    if (keys.length === keyIds.length && ordered.every(key => key !== undefined)) return ordered
    for (const { secret } of keys) secret.wipe()
    throw new KmeResponseError(`The KME gave ${keys.length} keys, which are not the ${keyIds.length} that were asked`)
  }

  /** Receipts, which only KMEs of this make take. */
  async reportKeys(peerSaeId: string, receipts: readonly KeyReceipt[], { signal }: AbortOptions): Promise<void> {
    const headers = { 'content-type': 'application/json' }
    const request = { method: 'POST', target: receiptsTarget(peerSaeId), headers, body: encodeReceipts(receipts) }
    const response = await this.#transport.request({ ...request, ...(signal && { signal }) })
    if (response.status === 204) return
    if (response.status === 404) throw new KmeResponseError('The KME takes no receipts')
    throw responseError(response, 'status', this.#profile.refusals)
  }

  #keyRequest(slaveSaeId: string, options: GetKeyOptions): HttpClientRequest {
    const { number, sizeBits, level, minLevel, integration, additionalSlaveSaeIds = [] } = options
    const optional = [
      ...(integration === undefined ? [] : [{ [INTEGRATION_EXTENSION]: integration }]),
      ...(options.extensionOptional ?? []),
    ]
    const mandatory = [
      ...(level === undefined ? [] : [{ [LEVEL_EXTENSION]: level }]),
      ...(minLevel === undefined ? [] : [{ [MIN_LEVEL_EXTENSION]: minLevel }]),
      ...(options.extensionMandatory ?? []),
    ]
    const model: EtsiKeyRequest = {}
    // In a path each part has its place.
    if (this.#profile.request === 'path' && sizeBits !== undefined) model.number = number ?? 1
    else if (number !== undefined) model.number = number
    if (sizeBits !== undefined) model.size = sizeBits
    const query = Object.fromEntries(Object.entries(model).map(([name, value]) => [name, String(value)]))
    if (additionalSlaveSaeIds.length > 0) model.additional_slave_SAE_IDs = [...additionalSlaveSaeIds]
    if (mandatory.length > 0) model.extension_mandatory = mandatory
    if (optional.length > 0) model.extension_optional = optional
    const fitsQuery = Object.keys(model).length === Object.keys(query).length
    if (this.#isGet({ fitsQuery, single: (number ?? 1) === 1 })) {
      const target = this.#profile.request === 'path' ? formatPathTarget : formatTarget
      return { method: 'GET', target: target('enc_keys', slaveSaeId, query) }
    }
    return post(formatTarget('enc_keys', slaveSaeId), model)
  }

  #keyIdsRequest(
    masterSaeId: string,
    keyIds: readonly string[],
    minLevel: SecurityLevel | undefined,
  ): HttpClientRequest {
    const single = keyIds.length === 1
    if (this.#isGet({ fitsQuery: single && minLevel === undefined, single })) {
      return { method: 'GET', target: formatTarget('dec_keys', masterSaeId, { key_ID: keyIds[0] ?? '' }) }
    }
    const model: EtsiKeyIds = { key_IDs: keyIds.map(id => ({ key_ID: id })) }
    if (minLevel !== undefined) model.key_IDs_extension = { [MIN_LEVEL_EXTENSION]: minLevel }
    return post(formatTarget('dec_keys', masterSaeId), model)
  }

  #isGet({ fitsQuery, single }: { fitsQuery: boolean; single: boolean }): boolean {
    if (this.#method === 'auto') return fitsQuery && single
    if (this.#method === 'GET' && !fitsQuery) {
      throw new InvalidArgumentError('This request needs POST, and the client is set to GET')
    }
    return this.#method === 'GET'
  }

  async #getKeys(method: EtsiMethod, request: HttpClientRequest): Promise<Key[]> {
    const { body } = await this.#call(method, request)
    return decodeKeyContainer(body, this.#profile)
  }

  async #call(method: EtsiMethod, request: HttpClientRequest): Promise<HttpResponse> {
    const response = await this.#transport.request(request)
    if (response.status !== 200) throw responseError(response, method, this.#profile.refusals)
    return response
  }
}

function post(target: string, model: EtsiKeyRequest | EtsiKeyIds): HttpClientRequest {
  return {
    method: 'POST',
    target,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(model)),
  }
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'))
  } catch (error) {
    throw new KmeResponseError("The KME's answer is not JSON", { cause: error })
  }
}

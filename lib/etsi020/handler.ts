import { createHmac, randomBytes } from 'node:crypto'
import { InvalidArgumentError, PoolExhaustedError } from '../errors.ts'
import type { AbroadReceiver } from '../interface/abroad.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../interface/http.ts'
import type { Logger } from '../interface/logger.ts'
import { debugLogger } from '../util/debug-logger.ts'
import { describeFaults, type SchemaCheck } from '../util/json-schema.ts'
import type { Etsi020Client } from './client.ts'
import { decodeExtKeys, type ReceivedKeys } from './key-body.ts'
import { type Ack, type AckStatus, checkAcks, checkVoid, PATHS, type VoidRequest } from './models.ts'
import { answer, problem, problemOf } from './problem.ts'
import { RecentKeys } from './recent-keys.ts'

/** A KME of another domain that may call. */
export interface Etsi020Partner {
  readonly client: Etsi020Client
  /** SAEs of its domain: it may hand over keys of these alone. */
  readonly saeIds: readonly string[]
  /** Origin of its own server; acknowledgements go nowhere else. */
  readonly origin: string
}

/** Options of `createEtsi020Handler`. */
export interface Etsi020HandlerOptions {
  /** The partner that a caller is, by its certificate; throws for a stranger. */
  readonly identify: (request: HttpRequest) => Etsi020Partner
  readonly receiver: AbroadReceiver
  /** How long the sites of this domain may take to confirm keys, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number
  readonly logger?: Logger
}

const ALLOWED: Readonly<Record<string, string>> = {
  [PATHS.versions]: 'GET',
  [PATHS.keys]: 'POST',
  [PATHS.ack]: 'POST',
  [PATHS.void]: 'POST',
}
/** Handovers that are under way at a time. */
const MAX_RUNNING = 256

/** The server side of ETSI GS QKD 020 as a function from request to response. Keys are relayed before `relayed` is said. */
export function createEtsi020Handler(options: Etsi020HandlerOptions): HttpHandler {
  const server = new Etsi020Server(options)
  return request => server.answer(request)
}

class Etsi020Server {
  readonly #options: Etsi020HandlerOptions
  readonly #timeoutMs: number
  readonly #logger: Logger
  readonly #recent = new RecentKeys()
  /** Handovers are remembered by a digest that tells nobody anything of the keys in them. */
  readonly #digestKey = randomBytes(32)
  #running = 0

  constructor(options: Etsi020HandlerOptions) {
    this.#options = options
    this.#timeoutMs = options.timeoutMs ?? 5_000
    this.#logger = options.logger ?? debugLogger('etsi020')
  }

  async answer(request: HttpRequest): Promise<HttpResponse> {
    const path = request.target.split('?', 1)[0]!
    const allow = ALLOWED[path]
    if (allow === undefined) return problem(404, 'No such path')
    if (request.method !== allow) return problem(405, `Only ${allow} is served`, {}, { allow })
    try {
      const partner = this.#options.identify(request)
      if (path === PATHS.versions) return answer(200, { versions: ['v1'], capabilities: ['synchronous_mode'] })
      if (path === PATHS.keys) return await this.#takeKeys(partner, request)
      if (path === PATHS.void) return await this.#takeVoid(partner, request)
      partner.client.acknowledge(read(request, checkAcks))
      return answer(200, undefined)
    } catch (error) {
      const response = problemOf(error)
      this.#logger.debug({ path, status: response.status, reason: String(error) }, 'request refused')
      return response
    }
  }

  async #takeKeys(partner: Etsi020Partner, { body }: HttpRequest): Promise<HttpResponse> {
    // Of the body as it came, values included: other keys under the same key_IDs are another handover.
    const digest = createHmac('sha256', this.#digestKey).update(body).digest('base64')
    const received = decodeExtKeys(body)
    const { model, keys } = received
    const wipe = () => {
      for (const { secret } of keys) secret.wipe()
    }
    const unknown = Object.keys(model.extension_mandatory ?? {})
    try {
      if (unknown.length > 0) {
        const details = Object.fromEntries(unknown.slice(0, 16).map(name => [name.slice(0, 64), 'is not supported']))
        wipe()
        return problem(503, 'A mandatory extension is not supported', details)
      }
      requireInitiator(partner, model.initiator_sae_id)
      if (new Set(keys.map(({ keyId }) => keyId)).size < keys.length) {
        throw new InvalidArgumentError('keys must name each key_id once')
      }
      const callback = callbackTarget(partner, model.ack_callback_url)
      this.#requireRoom()
      return await this.#settle(partner, callback, () => this.#relay(partner, received, digest).finally(wipe))
    } catch (error) {
      wipe()
      throw error
    }
  }

  async #relay({ client }: Etsi020Partner, { model, keys }: ReceivedKeys, digest: string): Promise<Ack[]> {
    const { initiator_sae_id: initiatorSaeId, target_sae_ids: targetSaeIds } = model
    const keyIds = keys.map(({ keyId }) => keyId)
    const ack = { ids: keyIds, initiatorSaeId, targetSaeIds }
    const signal = AbortSignal.timeout(this.#timeoutMs)
    // A repeated handover is the same handover: its keys are there once, and it hears the same.
    const take = () => this.#options.receiver.take({ initiatorSaeId, targetSaeIds, keys }, { signal })
    try {
      await this.#recent.once(`${client.kmeId} ${digest}`, keyIds, take)
      return [acknowledgement('relayed', ack)]
    } catch (error) {
      this.#logger.warn({ kmeId: client.kmeId, keys: keys.length, reason: String(error) }, 'keys were not relayed')
      const reason = error instanceof InvalidArgumentError ? error.message : 'the keys could not be relayed'
      return [acknowledgement('failed', ack, reason)]
    }
  }

  async #takeVoid(partner: Etsi020Partner, request: HttpRequest): Promise<HttpResponse> {
    const model = read(request, checkVoid)
    requireInitiator(partner, model.initiator_sae_id)
    if (model.key_ids.length === 0) {
      if (model.all_confirmation !== true) {
        throw new InvalidArgumentError('key_ids is empty: that means all keys, and all_confirmation must say so')
      }
      return problem(503, 'All keys of a pair at once cannot be voided here: name them')
    }
    const callback = callbackTarget(partner, model.ack_callback_url)
    this.#requireRoom()
    return await this.#settle(partner, callback, () => this.#erase(model))
  }

  async #erase(model: VoidRequest): Promise<Ack[]> {
    const { initiator_sae_id: initiatorSaeId, target_sae_ids: targetSaeIds, key_ids: keyIds } = model
    this.#recent.forget(keyIds)
    const erased = await this.#options.receiver.erase({ initiatorSaeId, targetSaeIds, keyIds }).catch(() => false)
    return [acknowledgement(erased ? 'voided' : 'failed to void', { ids: keyIds, initiatorSaeId, targetSaeIds })]
  }

  /** Answers with the acknowledgement, or sends it to the callback when it's there. */
  async #settle(
    { client }: Etsi020Partner,
    callback: string | undefined,
    work: () => Promise<Ack[]>,
  ): Promise<HttpResponse> {
    this.#running += 1
    const acks = work().finally(() => {
      this.#running -= 1
    })
    if (callback === undefined) return answer(200, await acks)
    acks
      .then(list => client.sendAcks(callback, list, { signal: AbortSignal.timeout(this.#timeoutMs) }))
      .catch(error => this.#logger.warn({ kmeId: client.kmeId, reason: String(error) }, 'acknowledgement not sent'))
    return answer(202, undefined)
  }

  #requireRoom(): void {
    if (this.#running < MAX_RUNNING) return
    throw new PoolExhaustedError(`${MAX_RUNNING} handovers are under way`)
  }
}

function read<T>({ body }: HttpRequest, check: SchemaCheck<T>): T {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body).toString('utf8'))
  } catch (cause) {
    throw new InvalidArgumentError('The body is not JSON in UTF-8', { cause })
  }
  const checked = check(value)
  if (checked.ok) return checked.value
  throw new InvalidArgumentError(`The body is not right: ${describeFaults(checked.faults)}`)
}

function requireInitiator({ client, saeIds }: Etsi020Partner, saeId: string): void {
  if (saeIds.includes(saeId)) return
  throw new InvalidArgumentError(`initiator_sae_id ${saeId} is not known as an SAE behind KME ${client.kmeId}`)
}

/** Path and query of a callback, which must be at the partner's own server: we post nowhere else for anybody. */
function callbackTarget({ origin, client }: Etsi020Partner, url: string | null | undefined): string | undefined {
  if (url === undefined || url === null) return undefined
  if (URL.canParse(url) && new URL(url).origin === origin && origin.startsWith('https:')) {
    return new URL(url).pathname + new URL(url).search
  }
  throw new InvalidArgumentError(`ack_callback_url must be at the server of KME ${client.kmeId}, ${origin}`)
}

function acknowledgement(
  status: AckStatus,
  {
    ids,
    initiatorSaeId,
    targetSaeIds,
  }: { ids: readonly string[]; initiatorSaeId: string; targetSaeIds: readonly string[] },
  message?: string,
): Ack {
  return {
    key_id_container: ids.map(id => ({ key_id: id })),
    ack_status: status,
    initiator_sae_id: initiatorSaeId,
    target_sae_ids: targetSaeIds,
    ...(message !== undefined && { message }),
  }
}

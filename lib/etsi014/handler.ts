import { PolicyError, UnauthorizedError } from '../errors.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../interface/http.ts'
import type { Key, Kms, KmsDirectory } from '../interface/kms.ts'
import type { Logger } from '../interface/logger.ts'
import type { Etsi014Compatibility } from '../interface/sae-identity.ts'
import { debugLogger } from '../util/debug-logger.ts'
import { requireOtherSae, requireSaeId } from '../util/kms-arguments.ts'
import { errorBody, errorResponse } from './error-response.ts'
import { encodeKeyContainer } from './key-container.ts'
import { readKeyIds, readKeyRequest } from './key-request.ts'
import { MESSAGES } from './models.ts'
import { decodeReceipts, receiptsSegment } from './receipts.ts'
import { acceptsAsJson } from './request-body.ts'
import type { SaeIdentifier } from './sae-identity.ts'
import { EXTENDED_STATUS, encodeStatus } from './status.ts'
import { decodeSaeSegment, type EtsiMethod, type EtsiTarget, parseTarget } from './target.ts'

/** Options of `createEtsi014Handler`. */
export interface Etsi014HandlerOptions extends Etsi014Compatibility {
  /** The site's KMS. */
  readonly directory: KmsDirectory
  /** Tells which registered SAE is calling, or throws. */
  readonly saeIdentity: SaeIdentifier
  /** Largest request body, in bytes. Default 65,536. */
  readonly bodyLimitBytes?: number
  readonly logger?: Logger
}

const ALLOWED: Record<EtsiMethod | 'receipts', readonly string[]> = {
  receipts: ['POST'],
  status: ['GET'],
  enc_keys: ['GET', 'POST'],
  dec_keys: ['GET', 'POST'],
}

const OK_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' }

/** A KME's server side (ETSI GS QKD 014 V1.1.1) as a function from request to response. */
export function createEtsi014Handler(options: Etsi014HandlerOptions): HttpHandler {
  const { directory, saeIdentity, bodyLimitBytes = 65_536, exhaustionStatus = 503 } = options
  const { ignoreSize = false, keyExtensions = true } = options
  const logger = options.logger ?? debugLogger('etsi014')

  return async request => {
    const target = parseTarget(request.target)
    const receipts = target === undefined ? receiptsSegment(request.target) : undefined
    if (target === undefined && receipts === undefined) return errorBody(404, { message: 'No such path' })
    const method = target?.method ?? 'receipts'
    if (!ALLOWED[method].includes(request.method)) {
      const allow = ALLOWED[method].join(', ')
      return errorBody(405, { message: `${method} takes ${allow}` }, { allow })
    }
    try {
      const kms = directory.kmsFor(saeIdentity(request))
      if (request.body.byteLength > bodyLimitBytes) {
        return errorBody(413, { message: `The body is larger than ${bodyLimitBytes} bytes` })
      }
      if (!acceptsAsJson(request)) return errorBody(415, { message: 'The body must be application/json' })
      if (target === undefined) return await takeReceipts(kms, receipts!, request)
      return await serve({ kms, target, request, ignoreSize, keyExtensions })
    } catch (error) {
      const response = errorResponse(error, { exhaustionStatus })
      const fields = { method, status: response.status, reason: String(error) }
      if (response.status === 503) logger.warn(fields, 'request failed')
      else logger.debug(fields, 'request refused')
      return response
    }
  }
}

/** A request whose caller is known. */
interface Call extends Required<Pick<Etsi014Compatibility, 'ignoreSize' | 'keyExtensions'>> {
  readonly kms: Kms
  readonly target: EtsiTarget
  readonly request: HttpRequest
}

async function serve({ kms, target, request, ignoreSize, keyExtensions }: Call): Promise<HttpResponse> {
  const otherSaeId = requireSaeId('The SAE ID in the path', decodeSaeSegment(target.saeSegment))
  const { signal } = request
  if (target.method === 'status') {
    requireOtherSae('slave_SAE_ID', kms.saeId, otherSaeId)
    const isExtended = (request.headers.prefer ?? '').includes(EXTENDED_STATUS)
    return ok(encodeStatus(await kms.getStatus(otherSaeId, { signal }), { isExtended }))
  }
  if (target.method === 'dec_keys') {
    const { keyIds, ...floor } = readKeyIds(request, target.query)
    // Clause 5.5: only those whom Get key named as slaves. The master never is one of its own.
    if (otherSaeId === kms.saeId) throw new UnauthorizedError('The master of a key is not one of its slaves')
    return handOver(await kms.getKeyWithIds(otherSaeId, keyIds, { ...floor, signal }), { keyExtensions })
  }
  requireOtherSae('slave_SAE_ID', kms.saeId, otherSaeId)
  const options = readKeyRequest(request, target.query, { ignoreSize })
  try {
    return handOver(await kms.getKey(otherSaeId, { ...options, signal }), { keyExtensions })
  } catch (error) {
    if (!(error instanceof PolicyError) || (options.level ?? options.minLevel) === undefined) throw error
    const details = [...error.details, { reason: error.message }]
    throw new PolicyError(MESSAGES.mandatoryUnmet, { cause: error, details })
  }
}

/** What a host says of its keys; where the KMS takes no receipts, it is as if there were no such path. */
async function takeReceipts(kms: Kms, segment: string, { body, signal }: HttpRequest): Promise<HttpResponse> {
  const peerSaeId = requireSaeId('The SAE ID in the path', decodeSaeSegment(segment))
  requireOtherSae('SAE_ID', kms.saeId, peerSaeId)
  if (kms.reportKeys === undefined) return errorBody(404, { message: 'This KME takes no receipts' })
  await kms.reportKeys(peerSaeId, decodeReceipts(body), { signal })
  return { status: 204, headers: { 'cache-control': 'no-store' }, body: new Uint8Array(0) }
}

/** The keys as a response; the KMS gave them to us, so their own copies are wiped here. */
function handOver(keys: readonly Key[], { keyExtensions }: { keyExtensions: boolean }): HttpResponse {
  try {
    return { status: 200, headers: OK_HEADERS, body: encodeKeyContainer(keys, { keyExtensions }), secret: true }
  } finally {
    for (const { secret } of keys) secret.wipe()
  }
}

function ok(body: Uint8Array): HttpResponse {
  return { status: 200, headers: OK_HEADERS, body }
}

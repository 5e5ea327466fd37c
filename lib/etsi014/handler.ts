import { PolicyError, UnauthorizedError } from '../errors.ts'
import type { CertificateIdentity, HttpHandler, HttpRequest, HttpResponse } from '../interface/http.ts'
import type { Key, Kms, KmsDirectory } from '../interface/kms.ts'
import type { Logger } from '../interface/logger.ts'
import { debugLogger } from '../util/debug-logger.ts'
import { requireOtherSae, requireSaeId } from '../util/kms-arguments.ts'
import { errorBody, errorResponse } from './error-response.ts'
import { encodeKeyContainer } from './key-container.ts'
import { readKeyIds, readKeyRequest } from './key-request.ts'
import { MESSAGES } from './models.ts'
import { acceptsAsJson } from './request-body.ts'
import { encodeStatus } from './status.ts'
import { decodeSaeSegment, type EtsiMethod, type EtsiTarget, parseTarget } from './target.ts'

/** Options of `createEtsi014Handler`. */
export interface Etsi014HandlerOptions {
  /** The site's KMS. */
  readonly directory: KmsDirectory
  /** The registered SAE that a verified certificate stands for; undefined refuses the caller. */
  readonly saeIdentity: (identity: CertificateIdentity) => string | undefined
  /** Largest request body, in bytes. Default 65,536. */
  readonly bodyLimitBytes?: number
  /** Status that tells an exhausted pool: the standard's 503, or 400 for clients that know no other. Default 503. */
  readonly exhaustionStatus?: 400 | 503
  readonly logger?: Logger
}

const ALLOWED: Record<EtsiMethod, string> = { status: 'GET', enc_keys: 'GET, POST', dec_keys: 'GET, POST' }

/** A KME's server side (ETSI GS QKD 014 V1.1.1) as a function from request to response. */
export function createEtsi014Handler(options: Etsi014HandlerOptions): HttpHandler {
  const { directory, saeIdentity, bodyLimitBytes = 65_536, exhaustionStatus = 503 } = options
  const logger = options.logger ?? debugLogger('etsi014')

  return async request => {
    const target = parseTarget(request.target)
    if (target === undefined) return errorBody(404, { message: 'No such path' })
    const allow = ALLOWED[target.method]
    if (!allow.split(', ').includes(request.method)) {
      return errorBody(405, { message: `${target.method} takes ${allow}` }, { allow })
    }
    try {
      const saeId = request.identity === undefined ? undefined : saeIdentity(request.identity)
      if (saeId === undefined) throw new UnauthorizedError('The certificate is not that of a registered SAE')
      const kms = directory.kmsFor(saeId)
      if (request.body.byteLength > bodyLimitBytes) {
        return errorBody(413, { message: `The body is larger than ${bodyLimitBytes} bytes` })
      }
      if (!acceptsAsJson(request)) return errorBody(415, { message: 'The body must be application/json' })
      return await serve(kms, target, request)
    } catch (error) {
      const response = errorResponse(error, { exhaustionStatus })
      const fields = { method: target.method, status: response.status, reason: String(error) }
      if (response.status === 503) logger.warn(fields, 'request failed')
      else logger.debug(fields, 'request refused')
      return response
    }
  }
}

async function serve(kms: Kms, target: EtsiTarget, request: HttpRequest): Promise<HttpResponse> {
  const otherSaeId = requireSaeId('The SAE ID in the path', decodeSaeSegment(target.saeSegment))
  const { signal } = request
  if (target.method === 'status') {
    requireOtherSae('slave_SAE_ID', kms.saeId, otherSaeId)
    return ok(encodeStatus(await kms.getStatus(otherSaeId, { signal })))
  }
  if (target.method === 'dec_keys') {
    const keyIds = readKeyIds(request, target.query)
    return handOver(await kms.getKeyWithIds(otherSaeId, keyIds, { signal }))
  }
  requireOtherSae('slave_SAE_ID', kms.saeId, otherSaeId)
  const options = readKeyRequest(request, target.query)
  try {
    return handOver(await kms.getKey(otherSaeId, { ...options, signal }))
  } catch (error) {
    if (!(error instanceof PolicyError) || options.level === undefined) throw error
    const details = [...error.details, { reason: error.message }]
    throw new PolicyError(MESSAGES.mandatoryUnmet, { cause: error, details })
  }
}

/** The keys as a response; the KMS gave them to us, so their own copies are wiped here. */
function handOver(keys: readonly Key[]): HttpResponse {
  try {
    return { ...ok(encodeKeyContainer(keys)), secret: true }
  } finally {
    for (const { secret } of keys) secret.wipe()
  }
}

function ok(body: Uint8Array): HttpResponse {
  return { status: 200, headers: { 'content-type': 'application/json', 'cache-control': 'no-store' }, body }
}

import { InvalidArgumentError } from '../errors.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../interface/http.ts'
import type { Key, Kms, KmsDirectory } from '../interface/kms.ts'
import type { Logger } from '../interface/logger.ts'
import { debugLogger } from '../util/debug-logger.ts'
import { encodeEntropyBody, encodeKeyBody } from './key-body.ts'
import { keyIdFromHex } from './key-id.ts'
import { answer, refusal, refusalOf } from './refusal.ts'
import type { SkipSystems } from './systems.ts'
import { parseSkipTarget, type SkipRequestLine } from './target.ts'

/** Options of `createSkipHandler`. */
export interface SkipHandlerOptions {
  /** The site's KMS, the one that also answers ETSI GS QKD 014. */
  readonly directory: KmsDirectory
  /** The registered SAE that a caller is, by its certificate or pre-shared key; throws for a stranger. */
  readonly identify: (request: HttpRequest) => string
  readonly systems: SkipSystems
  readonly logger?: Logger
}

/** Bits of a key, and of entropy, where the request names none. */
const DEFAULT_BITS = 256
/** Entropy that one request may ask for, in bits. */
const MAX_ENTROPY_BITS = 8_192

/**
 * The server side of Cisco's Secure Key Integration Protocol (draft-cisco-skip-02) as a function from request to response.
 * Its keys are those of ETSI GS QKD 014: the same pool, policy and audit, the same IDs in another spelling.
 */
export function createSkipHandler(options: SkipHandlerOptions): HttpHandler {
  const { directory, identify, systems, logger = debugLogger('skip') } = options
  return async request => {
    const line = parseSkipTarget(request.target)
    if (line === undefined) return refusal(404, 'No such path')
    if (request.method !== 'GET') return refusal(405, 'Only GET is served', { allow: 'GET' })
    try {
      const kms = directory.kmsFor(identify(request))
      return await serve(kms, systems, line, request.signal)
    } catch (error) {
      const response = refusalOf(error)
      const fields = { resource: line.target.resource, status: response.status, reason: String(error) }
      if (response.status >= 500) logger.warn(fields, 'request failed')
      else logger.debug(fields, 'request refused')
      return response
    }
  }
}

async function serve(
  kms: Kms,
  systems: SkipSystems,
  { target, query }: SkipRequestLine,
  signal: AbortSignal,
): Promise<HttpResponse> {
  switch (target.resource) {
    case 'capabilities':
      return answer(Buffer.from(JSON.stringify(capabilities(kms.saeId, systems))))
    case 'entropy':
      return answer(encodeEntropyBody(entropyBits(query)), { secret: true })
    case 'new-key': {
      const sizeBits = bits(query, 'size') ?? DEFAULT_BITS
      if (sizeBits % 8 !== 0) throw new InvalidArgumentError('size must be a multiple of 8')
      return handOver(await kms.getKey(peerOf(query, systems), { sizeBits, integration: 'skip', signal }))
    }
    case 'key': {
      const keyId = keyIdFromHex(target.keyId)
      if (keyId === undefined) throw new InvalidArgumentError('keyId must be 32 hex digits')
      return handOver(await kms.getKeyWithIds(peerOf(query, systems), [keyId], { signal }))
    }
  }
}

function capabilities(saeId: string, systems: SkipSystems) {
  return {
    entropy: true,
    key: true,
    algorithm: 'QKD pool, ETSI GS QKD 014 key IDs',
    localSystemID: systems.localIdOf(saeId),
    remoteSystemID: systems.remoteIds,
  }
}

/** The one key as a response; the KMS gave it to us, so its own copy is wiped here. */
function handOver(keys: readonly Key[]): HttpResponse {
  try {
    return answer(encodeKeyBody(keys[0]!), { secret: true })
  } finally {
    for (const { secret } of keys) secret.wipe()
  }
}

function peerOf(query: URLSearchParams, systems: SkipSystems): string {
  // Clients in the field also write remoteSystemId.
  const systemId = single(query, 'remoteSystemID') ?? single(query, 'remoteSystemId')
  if (systemId === undefined || systemId === '') {
    throw new InvalidArgumentError('remoteSystemID is missing: name the system that shares the key')
  }
  const saeId = systems.saeOf(systemId)
  if (saeId !== undefined) return saeId
  throw new InvalidArgumentError(
    `remoteSystemID ${systemId.slice(0, 64)} is not one that this key provider shares keys with`,
  )
}

function entropyBits(query: URLSearchParams): number {
  const asked = bits(query, 'minentropy') ?? DEFAULT_BITS
  if (asked <= MAX_ENTROPY_BITS) return asked
  throw new InvalidArgumentError(`minentropy must be at most ${MAX_ENTROPY_BITS} bits`)
}

function bits(query: URLSearchParams, name: string): number | undefined {
  const text = single(query, name)
  if (text === undefined) return undefined
  if (/^[0-9]{1,7}$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError(`${name} must be a positive integer: bits in decimal digits`)
}

function single(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1) throw new InvalidArgumentError(`${name} is given more than once`)
  return values[0]
}

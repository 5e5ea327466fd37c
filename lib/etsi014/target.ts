import { InvalidArgumentError } from '../errors.ts'

/** The three methods of the standard, by the last part of their paths. */
export type EtsiMethod = 'status' | 'enc_keys' | 'dec_keys'

const PREFIX = '/api/v1/keys/'
const methods: Record<EtsiMethod, true> = { status: true, enc_keys: true, dec_keys: true }

/** Where a request is addressed (ETSI GS QKD 014 V1.1.1, table 2). */
export interface EtsiTarget {
  readonly method: EtsiMethod
  /** The other SAE as it stands in the path, still percent-encoded. */
  readonly saeSegment: string
  /** What follows the question mark, still percent-encoded; empty without one. */
  readonly query: string
}

/** The parts of a request target, or undefined for a path that is none of the standard's. */
export function parseTarget(target: string): EtsiTarget | undefined {
  if (!target.startsWith(PREFIX)) return undefined
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  const slash = path.indexOf('/', PREFIX.length)
  const method = path.slice(slash + 1)
  if (slash === -1 || !Object.hasOwn(methods, method)) return undefined
  return {
    method: method as EtsiMethod,
    saeSegment: path.slice(PREFIX.length, slash),
    query: mark === -1 ? '' : target.slice(mark + 1),
  }
}

/** The target that calls `method` about the SAE `saeId`. */
export function formatTarget(method: EtsiMethod, saeId: string, query: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(query).toString()
  return `${PREFIX}${encodeURIComponent(saeId)}/${method}${search === '' ? '' : `?${search}`}`
}

/** The same for KMEs that want parameters in the path: `/enc_keys/number/1/size/128`. */
export function formatPathTarget(
  method: EtsiMethod,
  saeId: string,
  parameters: Readonly<Record<string, string>> = {},
): string {
  const parts = Object.entries(parameters).flat().map(encodeURIComponent)
  return [formatTarget(method, saeId), ...parts].join('/')
}

/** The SAE ID that a path segment stands for: decoded once. */
export function decodeSaeSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch (error) {
    throw new InvalidArgumentError('The SAE ID in the path is not valid percent-encoding of UTF-8', { cause: error })
  }
}

import type { X509Certificate } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { isLoopback } from '../util/ip-address.ts'

/** Why a request is refused, and how. */
export interface Refusal {
  readonly status: number
  readonly text: string
}

/** What every answer says to the browser: nothing from elsewhere, nothing inline, in no frame, kept nowhere. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types',
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
}

/**
 * A name in `Host` that is not this server's own comes from a page elsewhere whose name was pointed here (DNS rebinding). The port
 * may be another one: people come through tunnels. With TLS the server's names are those of its certificate.
 */
export function hostRefusal(
  headers: IncomingHttpHeaders,
  certificate: Pick<X509Certificate, 'checkHost' | 'checkIP'> | undefined,
): Refusal | undefined {
  const name = hostName(headers.host ?? '')
  if (name !== undefined && (isLoopback(name) || isNamed(certificate, name))) return undefined
  const own = certificate === undefined ? 'localhost or a loopback address' : "a name of the server's certificate"
  return { status: 421, text: `The Host header must be ${own}` }
}

/** A page of another origin may point people here, and may not hold streams open or read along. */
export function originRefusal(headers: IncomingHttpHeaders, path: string): Refusal | undefined {
  const site = headers['sec-fetch-site']
  if (path === '/' || site === undefined || site === 'same-origin' || site === 'none') return undefined
  return { status: 403, text: 'Not for pages of another origin' }
}

function hostName(header: string): string | undefined {
  return /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$/.exec(header)?.[1]
}

function isNamed(certificate: Pick<X509Certificate, 'checkHost' | 'checkIP'> | undefined, name: string): boolean {
  if (certificate === undefined) return false
  const bare = name.replace(/^\[|\]$/g, '')
  return (isIP(bare) === 0 ? certificate.checkHost(bare) : certificate.checkIP(bare)) !== undefined
}

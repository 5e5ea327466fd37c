import { UnauthorizedError } from '../errors.ts'
import type { HeaderSource } from '../interface/sae-identity.ts'
import type { SaeCaller } from './sae-identity.ts'

/**
 * True where the caller is a proxy that may say whom it speaks for: one whose certificate is listed, or, where that is
 * switched on, a program of this machine that shows no certificate.
 */
export function isTrustedProxy({ proxies = [], loopback = false }: HeaderSource, caller: SaeCaller): boolean {
  const { identity, remoteAddress } = caller
  if (identity !== undefined) return proxies.includes(identity.fingerprint256)
  return loopback && isLoopback(remoteAddress)
}

/**
 * The SAE that a trusted proxy names.
 * @throws {UnauthorizedError} it names none, or the header came more than once
 */
export function saeBehindProxy({ name }: HeaderSource, { headers }: SaeCaller): string {
  const value = headers[name]?.trim()
  if (value === undefined || value === '')
    throw new UnauthorizedError(`The proxy did not say in ${name} who is calling`)
  // Node joins a header that comes twice with a comma and a space, and no SAE ID in a header has a space in it.
  if (/\s/.test(value)) throw new UnauthorizedError(`Header ${name} must come once and name one SAE`)
  return value
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (address === '::1' || /^(::ffff:)?127\./.test(address))
}

import { createSecureContext } from 'node:tls'
import { InvalidArgumentError } from '../../lib/index.ts'

/** What OpenSSL calls a group that has two names, and its number in a ClientHello (RFC 8446, section 4.2.7). */
const GROUPS: Readonly<Record<string, { readonly number: number; readonly alias?: string }>> = {
  'P-256': { number: 23, alias: 'prime256v1' },
  'P-384': { number: 24, alias: 'secp384r1' },
  'P-521': { number: 25, alias: 'secp521r1' },
  X25519: { number: 29 },
  X448: { number: 30 },
  SecP256r1MLKEM768: { number: 4587 },
  X25519MLKEM768: { number: 4588 },
  SecP384r1MLKEM1024: { number: 4589 },
}

/**
 * `group` if this Node knows it.
 * @throws {InvalidArgumentError} it does not
 */
export function requireKnownGroup(group: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(group)) throw new InvalidArgumentError('requireGroup must be the name of one group')
  try {
    createSecureContext({ ecdhCurve: group })
    return group
  } catch (cause) {
    throw new InvalidArgumentError(
      `requireGroup ${group} is not known to OpenSSL ${process.versions.openssl}; X25519MLKEM768 needs 3.5 (Node 24)`,
      { cause },
    )
  }
}

/** Whether a client that names these groups can take part in `group`; true where its number is not known here. */
export function offersGroup(numbers: readonly number[], group: string): boolean {
  const { number } = GROUPS[group] ?? {}
  return number === undefined || numbers.includes(number)
}

/** Whether `name`, as OpenSSL gives it, means `group`. */
export function isNameOf(name: string, group: string): boolean {
  return name === group || name === GROUPS[group]?.alias
}

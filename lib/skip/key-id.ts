/**
 * The same 128 bits in two spellings: ETSI GS QKD 014 writes a key_ID as a UUID, SKIP its keyId as 32 hex digits.
 */

/** The UUID, in lower case, that 32 hex digits stand for; undefined for anything else. */
export function keyIdFromHex(hex: string): string | undefined {
  if (!/^[0-9A-Fa-f]{32}$/.test(hex)) return undefined
  const digits = hex.toLowerCase()
  const parts = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)]
  return parts.join('-')
}

/** A UUID as 32 hex digits. */
export function keyIdToHex(keyId: string): string {
  return keyId.replaceAll('-', '').toLowerCase()
}

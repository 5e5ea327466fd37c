import { isIPv4 } from 'node:net'
import { ipAddressBytes } from '../../lib/index.ts'
import { HandshakeRefusal } from './refusal.ts'

/** How an IPv6 socket shows a peer that came by IPv4: `::ffff:192.0.2.1` (RFC 4291, section 2.5.5.2). */
const MAPPED_IPV4 = Buffer.from('00000000000000000000ffff', 'hex')

/** How long a look-up that found no key still counts for its address, in milliseconds. */
const MISS_MS = 1000

/** Options of `LookupLimits`. */
export interface LookupLimitsOptions {
  /** Look-ups under way at once. */
  readonly max: number
  /** Of these, for one address group. */
  readonly maxPerAddress: number
  /** Told the number under way at each change. */
  readonly onChange: (pending: number) => void
}

/**
 * Bounds the KMS look-ups under way: each may cost a key, and a guessed identity costs its sender nothing. One that found no
 * key counts for its address for a second more, so that a KMS that is quick to say no is not asked the faster for it.
 */
export class LookupLimits {
  readonly #options: LookupLimitsOptions
  readonly #byGroup = new Map<string, number>()
  #pending = 0

  constructor(options: LookupLimitsOptions) {
    this.#options = options
  }

  /**
   * Takes a place for a look-up on behalf of `address`; the caller gives it back by calling the result once, and says whether
   * there was no such key.
   * @throws {HandshakeRefusal} none is free
   */
  acquire(address: string | undefined): (missed?: boolean) => void {
    const group = addressGroup(address)
    const ofGroup = this.#byGroup.get(group) ?? 0
    if (this.#pending >= this.#options.max || ofGroup >= this.#options.maxPerAddress) {
      throw new HandshakeRefusal('overload', `Too many key look-ups are under way (${ofGroup} for ${group})`)
    }
    this.#byGroup.set(group, ofGroup + 1)
    this.#change(1)
    return (missed = false) => {
      this.#change(-1)
      if (missed) setTimeout(() => this.#leave(group), MISS_MS).unref()
      else this.#leave(group)
    }
  }

  #leave(group: string): void {
    const left = (this.#byGroup.get(group) ?? 0) - 1
    if (left > 0) this.#byGroup.set(group, left)
    else this.#byGroup.delete(group)
  }

  #change(by: 1 | -1): void {
    this.#pending += by
    this.#options.onChange(this.#pending)
  }
}

/**
 * The address as one counts it: an IPv4 address itself, of IPv6 the first 64 bits, because whoever has one address of
 * such a network has them all.
 */
export function addressGroup(address: string | undefined): string {
  // An address of IPv4 as the system prints it, on the path of every connection.
  if (address !== undefined && isIPv4(address)) return address
  const bytes = ipAddressBytes(address?.split('%')[0] ?? '')
  if (bytes === undefined) return 'unknown'
  const mapped = bytes.subarray(0, 12).equals(MAPPED_IPV4)
  return mapped ? bytes.subarray(12).join('.') : `${bytes.toString('hex', 0, 8)}/64`
}

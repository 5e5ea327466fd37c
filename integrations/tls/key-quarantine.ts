import { setMaxListeners } from 'node:events'
import type { SecretKey, SecurityLevel } from '../../lib/index.ts'
import type { PskIdentity } from './identity.ts'
import type { DerivedPsks, PskContext } from './psk.ts'
import { HandshakeRefusal } from './refusal.ts'

/** How long a fetched key waits for the client that can prove it, in milliseconds. */
export const QUARANTINE_MS = 30_000
/** Spent identities that are remembered; of older ones the KMS itself knows that they were delivered. */
const MAX_SPENT = 16_384

/** A key as the KMS gave it, made into a pre-shared key. */
export interface FetchedPsk extends DerivedPsks {
  readonly level: SecurityLevel | undefined
}

/** Options of `KeyQuarantine`. */
export interface KeyQuarantineOptions {
  /** Asks the KMS, for `fetchTimeoutMs` at most; called once for each identity. The signal tells of `clear()`. */
  readonly fetch: (identity: PskIdentity, options: { signal: AbortSignal }) => Promise<FetchedPsk>
  /** A place for a fetch on behalf of an address, given back by calling the result with whether there was no key; throws where none is free. */
  readonly acquire: (address: string | undefined) => (missed?: boolean) => void
  /** Keys held or under way at once; further ones are refused, none is pushed out. */
  readonly capacity: number
  /** How long a key waits for its client. */
  readonly ttlMs: number
  /** How long a fetch may take. */
  readonly fetchTimeoutMs: number
}

/**
 * Keys that were fetched from the KMS and that no client has proven yet. The KMS gives each key once and the identity is
 * readable in the ClientHello, so whoever sends it first makes us fetch: the key then waits here for the rightful client.
 * All attempts for one identity share one fetch, no failed one evicts it, and one success spends it for ever.
 */
export class KeyQuarantine {
  readonly #options: KeyQuarantineOptions
  readonly #held = new Map<string, Promise<QuarantinedKey>>()
  readonly #spent = new Set<string>()
  /** What gives up each fetch that is under way. */
  readonly #fetches = new Set<(refusal: HandshakeRefusal) => void>()
  /** One signal for all: the time of each bounds the KMS as well, and a controller for each costs more than its look-up. */
  #closing = sharedController()

  constructor(options: KeyQuarantineOptions) {
    this.#options = options
  }

  /**
   * The key that `identity` names. The fetch belongs to all who wait for it: it goes on when one of them leaves, because
   * a key that the KMS has delivered must end up here.
   * @throws {HandshakeRefusal} the identity is spent, or there is no room
   */
  get(identity: PskIdentity, address: string | undefined): Promise<QuarantinedKey> {
    const id = `${identity.masterSaeId}~${identity.keyId}`
    if (this.#spent.has(id)) return Promise.reject(new HandshakeRefusal('in-use', 'The key was used before'))
    const held = this.#held.get(id)
    if (held !== undefined) return held
    if (this.#held.size >= this.#options.capacity) {
      return Promise.reject(new HandshakeRefusal('overload', `${this.#held.size} keys wait for their clients already`))
    }
    const fetched = this.#fetch(id, identity, address)
    this.#held.set(id, fetched)
    fetched.catch(() => this.#held.delete(id))
    return fetched
  }

  /** Wipes what is held and gives up what is under way; used when the server closes. */
  clear(): void {
    const closed = new HandshakeRefusal('closed', 'The server was closed')
    for (const giveUp of this.#fetches) giveUp(closed)
    this.#closing.abort(closed)
    this.#closing = sharedController()
    for (const held of this.#held.values()) {
      held.then(
        key => key.spend(),
        () => {},
      )
    }
  }

  #fetch(id: string, identity: PskIdentity, address: string | undefined): Promise<QuarantinedKey> {
    const { acquire, fetch, fetchTimeoutMs, ttlMs } = this.#options
    return new Promise<QuarantinedKey>((resolve, reject) => {
      const release = acquire(address)
      let isOver = false
      /** True for the first who ends the fetch. */
      const end = (missed = false): boolean => {
        if (isOver) return false
        isOver = true
        clearTimeout(timer)
        this.#fetches.delete(giveUp)
        release(missed)
        return true
      }
      const giveUp = (refusal: unknown): void => {
        const missed = refusal instanceof HandshakeRefusal && refusal.reason === 'unknown-key'
        if (end(missed)) reject(refusal)
      }
      const tooLate = () => giveUp(new HandshakeRefusal('kms', `The KMS gave no key within ${fetchTimeoutMs} ms`))
      const timer = setTimeout(tooLate, fetchTimeoutMs).unref()
      this.#fetches.add(giveUp)
      fetch(identity, { signal: this.#closing.signal }).then(fetched => {
        if (end()) resolve(new QuarantinedKey(fetched, ttlMs, () => this.#retire(id)))
        // A KMS that does not heed its time may still deliver: nobody waits for that key any more.
        else wipe(fetched)
      }, giveUp)
    })
  }

  #retire(id: string): void {
    this.#held.delete(id)
    this.#spent.add(id)
    if (this.#spent.size <= MAX_SPENT) return
    const [oldest = ''] = this.#spent
    this.#spent.delete(oldest)
  }
}

/** Has as many listeners as there are fetches under way, whose number is bounded: no leak to be warned of. */
function sharedController(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}

/** One unproven key. At most one handshake at a time has it. */
export class QuarantinedKey {
  readonly psk: SecretKey
  readonly tls12Psk: SecretKey | undefined
  readonly level: SecurityLevel | undefined
  readonly #retire: () => void
  readonly #timer: NodeJS.Timeout
  #claimed = false
  #expired = false

  constructor({ psk, tls12Psk, level }: FetchedPsk, ttlMs: number, retire: () => void) {
    this.psk = psk
    this.tls12Psk = tls12Psk
    this.level = level
    this.#retire = retire
    this.#timer = setTimeout(() => this.#expire(), ttlMs).unref()
  }

  /** True for the one handshake that may go on with this key; false while another has it, and once it is spent. */
  claim(): boolean {
    if (this.#claimed || this.psk.wiped) return false
    this.#claimed = true
    return true
  }

  /** The handshake failed after all: the key waits for the next one until its time is over. */
  release(): void {
    this.#claimed = false
    if (this.#expired) this.spend()
  }

  /** The key is in use, or of no use any more. */
  spend(): void {
    if (this.psk.wiped) return
    clearTimeout(this.#timer)
    wipe(this)
    this.#retire()
  }

  #expire(): void {
    this.#expired = true
    if (!this.#claimed) this.spend()
  }
}

/** A key that an identity named, and what it is bound to. */
export interface NamedKey extends PskContext {
  readonly key: QuarantinedKey
}

function wipe({ psk, tls12Psk }: DerivedPsks): void {
  psk.wipe()
  tls12Psk?.wipe()
}

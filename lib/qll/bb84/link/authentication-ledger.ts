import type { Bb84Session } from '../session/bb84-session.ts'
import type { AuthenticationReserve } from './authentication-reserve.ts'

/** What became of the key that a link took out of its blocks for authentication, in bits, at one end. */
export interface LinkAuthenticationAccount {
  /** Taken out of blocks. It is `spentBits`, `discardedBits` and `heldBits` together, always. */
  readonly takenBits: number
  /** Spent on tags and on the points of the hashes, whether what they proved came to anything or not. */
  readonly spentBits: number
  /** Wiped: what a session had left when it ended, what one began with that did not come about, what the other end had lost. */
  readonly discardedBits: number
  /** For the session that runs, and for later ones. */
  readonly heldBits: number
}

/** Keeps the account over all sessions of a link. */
export class AuthenticationLedger {
  readonly #reserve: AuthenticationReserve
  /** Of sessions that are over. */
  readonly #past = { fedBits: 0, spentBits: 0, leftBits: 0 }
  #session: { readonly session: Bb84Session; readonly spareBits: number } | undefined

  constructor(reserve: AuthenticationReserve) {
    this.#reserve = reserve
  }

  /** A session begins with a spare key of `spareBits`, 0 for none. */
  begin(session: Bb84Session, spareBits: number): void {
    this.#session = { session, spareBits }
  }

  /** The session is over: what it had left is wiped. */
  end(): void {
    const { fedBits, spentBits, leftBits } = this.#present
    this.#session = undefined
    this.#past.fedBits += fedBits
    this.#past.spentBits += spentBits
    this.#past.leftBits += leftBits
  }

  /** A session did not come about: its spare key is gone all the same. */
  fail(spareBits: number): void {
    this.#past.leftBits += spareBits
  }

  get account(): LinkAuthenticationAccount {
    const { fedBits, spentBits, leftBits } = this.#present
    const { addedBits, discardedBits, heldBits } = this.#reserve
    return {
      takenBits: this.#past.fedBits + fedBits + addedBits,
      spentBits: this.#past.spentBits + spentBits,
      discardedBits: this.#past.leftBits + discardedBits,
      heldBits: leftBits + heldBits,
    }
  }

  get #present() {
    if (this.#session === undefined) return { fedBits: 0, spentBits: 0, leftBits: 0 }
    const { addedBits, spentBits } = this.#session.session.account
    return { fedBits: addedBits - this.#session.spareBits, spentBits, leftBits: addedBits - spentBits }
  }
}

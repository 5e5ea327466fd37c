import { SimulatedLink, type SimulatedLinkParts } from '../../simulated-link.ts'
import type { LinkAuthenticationAccount } from './authentication-ledger.ts'
import type { EndLoop } from './end-loop.ts'

/**
 * One end of a BB84 link: the photons are simulated, or come from devices of yours; everything from detections to key is
 * done. Blocks of key come in bursts, one for each block of post-processing. Too high an error rate takes the link down
 * and discards what is not confirmed; it comes up again with the first block that has key.
 *
 * An end at work keeps its process alive as an open socket does; close it.
 */
export class Bb84Link extends SimulatedLink {
  readonly #loop: EndLoop

  /** Made by the `createBb84Link…` functions. */
  constructor(parts: SimulatedLinkParts<EndLoop>) {
    super(parts)
    this.#loop = parts.end
  }

  /** What became of the key that authentication took. */
  get authentication(): LinkAuthenticationAccount {
    return this.#loop.authentication
  }
}

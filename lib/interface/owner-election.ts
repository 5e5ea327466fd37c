import type { Closable, Unsubscribe } from './lifecycle.ts'

/** What one replica of a site knows of who runs the site's pools. */
export type Ownership =
  /** This replica does, under `epoch`, until `untilMs` (`performance.now()`) at least; renewed long before that. */
  | { readonly role: 'owner'; readonly epoch: number; readonly untilMs: number }
  /** Another one does, and takes requests of its fellows at `address` (host:port as its configuration names it). */
  | { readonly role: 'follower'; readonly epoch: number; readonly ownerId: string; readonly address: string }
  /** Nobody that this replica knows of: between two owners, or while it cannot reach what they elect by. */
  | { readonly role: 'none' }

/**
 * Which replica of a site owns its pools. One at a time does: it runs the pool protocol, and all that it writes is
 * refused by the store once another one has a higher epoch. A replica that is not it sends requests to the owner.
 */
export interface OwnerElection extends Closable {
  /** Name of this replica among those of its site. */
  readonly replicaId: string

  /**
   * What holds at this moment. An owner whose time is over is told `none` here, also right after the process was stopped
   * for a while and went on: it is a look at the clock, not at what a timer did last.
   */
  current(): Ownership

  /** Calls `listener` whenever the role, the epoch or the owner's address has changed; a renewal is no change. */
  subscribe(listener: (ownership: Ownership) => void): Unsubscribe
}

import type { AbortOptions } from '../../../lib/index.ts'
import type { KvnoEntry } from '../kvno-table.ts'

/** What a sink is to show for a principal. */
export interface WantedVersions {
  readonly principal: string
  /** Every version that tickets may be sealed under, the newest first. */
  readonly versions: readonly KvnoEntry[]
  /** kvnos that stood there before the first agreement, such as a password's, and are still to be kept. */
  readonly keepForeign: readonly number[]
  /** When the KDC is to issue no more under these, in milliseconds since 1970; undefined for never. */
  readonly expiresMs: number | undefined
}

/** Where the keys of a principal are needed: a KDC's database, a keytab, or nothing but the table itself. */
export interface KeySink {
  /** The kvnos that stand there now for the principal. */
  present(principal: string, options?: AbortOptions): Promise<readonly number[]>
  /** Brings it about that exactly these versions are there; when it resolves, they serve. May be repeated. */
  apply(wanted: WantedVersions, options?: AbortOptions): Promise<void>
}

/** For a KDC that asks the agent: the table serves, nothing has to be put anywhere. */
export const tableSink: KeySink = {
  present: async () => [],
  apply: async () => {},
}

import { type AbortOptions, abortable, BackOff, delay, type Logger, type MessageChannel } from '../../../lib/index.ts'
import type { ReplicaTable } from './replica-table.ts'

/** Options of `followPrimary`. */
export interface FollowPrimaryOptions extends Required<AbortOptions> {
  /** A channel to the agent of the realm's primary KDC. */
  readonly connect: (options: Required<AbortOptions>) => Promise<MessageChannel>
  readonly logger: Logger
}

/** Keeps `table` in step with the primary until the signal aborts: connects, follows, and connects again. Never rejects. */
export async function followPrimary(
  table: ReplicaTable,
  { connect, signal, logger }: FollowPrimaryOptions,
): Promise<void> {
  const backOff = new BackOff({ minMs: 200, maxMs: 10_000 })
  while (!signal.aborted) {
    try {
      const channel = await abortable(connect({ signal }), { signal })
      backOff.reset()
      logger.info({ primary: channel.peerId }, 'follows its primary')
      await table.follow(channel, { signal })
      logger.warn({ primary: channel.peerId }, 'has lost its primary')
    } catch (error) {
      if (!signal.aborted) logger.warn({ reason: (error as Error).message }, 'can’t follow its primary')
    }
    await delay(backOff.nextMs(), { signal }).catch(() => {})
  }
}

import {
  type AbortOptions,
  abortable,
  type Closable,
  ClosedError,
  debugLogger,
  type Logger,
  type MessageChannel,
  requireInteger,
  startDeadline,
} from '../../../lib/index.ts'
import type { KvnoEntry } from '../kvno-table.ts'
import type { KeySink, WantedVersions } from '../versions/key-sink.ts'
import { decodeAcknowledgement, encodeSnapshot } from './replica-wire.ts'

/** Options of `ReplicaFeed`. */
export interface ReplicaFeedOptions {
  /** Where the keys go besides. Default nowhere: the KDC beside this agent asks it. */
  readonly sink?: KeySink
  /** How long a replica may take to say that it serves, in milliseconds, 1 to 60,000; then it is cut off. Default 2,000. */
  readonly timeoutMs?: number
  /** Default: silent unless NODE_DEBUG=qkd:kerberos asks for it. */
  readonly logger?: Logger
}

/**
 * Keeps the agents of a realm's other KDCs in step with this one, the only one that agrees with other sites. It is the sink
 * of this agent's ledger: what was applied serves at every replica that is connected. One that is not says so itself, to its
 * own KDC, and gets everything when it comes back.
 *
 * Keys travel within the site, over channels that must be authenticated and encrypted, such as mutual TLS.
 */
export class ReplicaFeed implements KeySink, Closable {
  readonly #inner: KeySink | undefined
  readonly #timeoutMs: number
  readonly #logger: Logger
  readonly #latest = new Map<string, readonly KvnoEntry[]>()
  readonly #replicas = new Set<Replica>()
  readonly #stop = new AbortController()

  constructor({ sink, timeoutMs = 2_000, logger = debugLogger('kerberos') }: ReplicaFeedOptions = {}) {
    this.#inner = sink
    this.#timeoutMs = requireInteger('timeoutMs', timeoutMs, { min: 1, max: 60_000 })
    this.#logger = logger
  }

  /** SAE IDs or names of the replicas that are connected, sorted. */
  get connected(): readonly string[] {
    return [...this.#replicas].map(({ peerId }) => peerId).sort()
  }

  async present(principal: string, options?: AbortOptions): Promise<readonly number[]> {
    return (await this.#inner?.present(principal, options)) ?? []
  }

  /** Resolves when every connected replica serves these versions. */
  async apply(wanted: WantedVersions, options?: AbortOptions): Promise<void> {
    const { principal, versions } = wanted
    this.#latest.set(principal, versions)
    await Promise.all([...this.#replicas].map(replica => this.#send(replica, principal)))
    await this.#inner?.apply(wanted, options)
  }

  /** Feeds the replica at the other end of `channel` until either end closes it. Never rejects. */
  async serve(channel: MessageChannel): Promise<void> {
    const replica = new Replica(channel)
    const { signal } = this.#stop
    try {
      if (signal.aborted) throw new ClosedError()
      this.#replicas.add(replica)
      const sending = Promise.all([...this.#latest.keys()].map(principal => this.#send(replica, principal)))
      await replica.listen({ signal })
      await sending
    } catch (error) {
      if (!signal.aborted) {
        this.#logger.warn({ replica: channel.peerId, reason: (error as Error).message }, 'a replica was cut off')
      }
    } finally {
      this.#replicas.delete(replica)
      await channel.close().catch(() => {})
    }
  }

  /** Lets every replica go. What they have goes on to serve until it ends. */
  async close(): Promise<void> {
    this.#stop.abort(new ClosedError())
    this.#latest.clear()
    await Promise.all([...this.#replicas].map(({ channel }) => channel.close().catch(() => {})))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** A replica that does not take the versions is cut off: its KDC then says that another one may do better. */
  async #send(replica: Replica, principal: string): Promise<void> {
    const versions = (this.#latest.get(principal) ?? []).filter(({ keys }) => !keys.some(({ secret }) => secret.wiped))
    using deadline = startDeadline(this.#stop.signal, this.#timeoutMs)
    try {
      await replica.put(principal, versions, deadline)
    } catch (error) {
      this.#logger.warn({ replica: replica.peerId, principal, reason: (error as Error).message }, 'a replica lags')
      this.#replicas.delete(replica)
      await replica.channel.close().catch(() => {})
    }
  }
}

/** One replica that is connected. */
class Replica {
  readonly channel: MessageChannel
  readonly #waiting = new Map<number, () => void>()
  readonly #ended = new AbortController()
  #sequence = 0

  constructor(channel: MessageChannel) {
    this.channel = channel
  }

  get peerId(): string {
    return this.channel.peerId
  }

  /** Takes what the replica says until it closes. */
  async listen(options: AbortOptions): Promise<void> {
    try {
      for (let bytes = await this.channel.receive(options); bytes !== undefined; ) {
        const sequence = decodeAcknowledgement(bytes)
        this.#waiting.get(sequence)?.()
        bytes = await this.channel.receive(options)
      }
    } finally {
      this.#ended.abort(new ClosedError('The replica has closed'))
    }
  }

  /** Resolves when the replica says that it serves these versions. */
  async put(principal: string, versions: readonly KvnoEntry[], { signal }: Required<AbortOptions>): Promise<void> {
    this.#sequence += 1
    const sequence = this.#sequence
    const acknowledged = new Promise<void>(resolve => this.#waiting.set(sequence, resolve))
    const bytes = encodeSnapshot({ sequence, principal, versions })
    try {
      await this.channel.send(bytes, { signal })
      await abortable(abortable(acknowledged, { signal }), { signal: this.#ended.signal })
    } finally {
      bytes.fill(0)
      this.#waiting.delete(sequence)
    }
  }
}

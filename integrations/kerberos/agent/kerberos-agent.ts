import {
  type AbortOptions,
  type Closable,
  ClosedError,
  debugLogger,
  delay,
  eitherSignal,
  InvalidArgumentError,
  type Kms,
  type Logger,
  type MessageChannel,
  type SecurityLevel,
  startDeadline,
  type Telemetry,
} from '../../../lib/index.ts'
import type { KvnoEntry } from '../kvno-table.ts'
import { acceptVersions } from '../versions/accept-versions.ts'
import { aheadOf, fillWindow, type Rotation, rotateVersion } from '../versions/issue-version.ts'
import type { KeyLedger } from '../versions/key-ledger.ts'
import type { KeyedPrincipal } from '../versions/keyed-principal.ts'
import { reportVersions } from './agent-gauges.ts'
import { type AgentStatus, principalStatus } from './agent-status.ts'
import { RotationBook } from './rotation-book.ts'

/** Longest time that the agent sleeps without a look around, in milliseconds. */
const MAX_SLEEP_MS = 3_600_000

/** Options of `KerberosAgent`. */
export interface KerberosAgentOptions {
  readonly kms: Kms
  readonly ledger: KeyLedger
  /** A channel to the agent of an acceptor; the agent closes it. One for each rotation. */
  readonly openChannel: (peerSaeId: string, options: AbortOptions) => Promise<MessageChannel>
  /** Level of the keys that this end begins with. Default the policy's. */
  readonly level?: SecurityLevel
  /** Levels that this end takes from others. Default any. */
  readonly allowedLevels?: readonly SecurityLevel[]
  /** For one agreement, in milliseconds, 1 to 600,000. Default 5,000. */
  readonly timeoutMs?: number
  /** Rotates by itself when a version is due. Default true. */
  readonly rotates?: boolean
  readonly telemetry?: Telemetry
  /** Default: silent unless NODE_DEBUG=qkd:kerberos asks for it. */
  readonly logger?: Logger
  /** Default the system's clock. */
  readonly now?: () => number
}

/**
 * The Kerberos agent of one site, or of one service host: agrees with the agents of other sites on the key versions of its
 * principals, leads where its KDC issues, follows where it accepts, and lets versions end when no ticket can live any more.
 */
export class KerberosAgent implements Closable {
  readonly #options: KerberosAgentOptions
  readonly #ledger: KeyLedger
  readonly #logger: Logger
  readonly #now: () => number
  readonly #stop = new AbortController()
  readonly #turns = new Map<string, Promise<unknown>>()
  readonly #issuing = new Map<string, Promise<unknown>>()
  readonly #filling = new Map<string, Promise<void>>()
  readonly #serving = new Set<Promise<void>>()
  readonly #book: RotationBook
  #wake = new AbortController()
  #loop: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(options: KerberosAgentOptions) {
    this.#options = options
    this.#ledger = options.ledger
    this.#logger = options.logger ?? debugLogger('kerberos')
    this.#now = options.now ?? Date.now
    this.#book = new RotationBook({ telemetry: options.telemetry, logger: this.#logger, now: this.#now })
  }

  /** Puts in place what was agreed before, and begins to rotate. */
  async open(options?: AbortOptions): Promise<void> {
    await this.#ledger.open(options)
    for (const terms of this.#ledger.principals) this.#book.begin(terms)
    this.#loop = this.#run()
  }

  /** Serves an issuer at the other end of `channel` until either end closes it. Never rejects. */
  serve(channel: MessageChannel): Promise<void> {
    const { kms, allowedLevels, timeoutMs } = this.#options
    const { signal } = this.#stop
    const context = { ledger: this.#ledger, kms, channel, allowedLevels, timeoutMs, signal, logger: this.#logger }
    const served = acceptVersions(context)
      .catch((error: Error) => {
        if (!signal.aborted)
          this.#logger.warn({ peerSaeId: channel.peerId, reason: error.message }, 'an issuer was cut off')
      })
      .then(() => channel.close())
      .catch(() => {})
      .then(() => {
        this.#serving.delete(served)
        this.#wake.abort()
      })
    this.#serving.add(served)
    return served
  }

  /**
   * Makes a new version of the principal the current one now. One at a time for each principal.
   * @throws {InvalidArgumentError} this end is not the issuer, or the kvno has come to its end
   * @throws what the way to the acceptor, the KMS or the KDC's database failed with
   */
  async rotate(principal: string, options: { readonly rekey?: boolean } & AbortOptions = {}): Promise<Rotation> {
    if (this.#closing !== undefined) throw new ClosedError('The Kerberos agent is closed')
    const terms = this.#ledger.terms(principal)
    if (terms?.role !== 'issuer') throw new InvalidArgumentError(`This agent is not the issuer of ${principal}`)
    const turn = (this.#turns.get(principal) ?? Promise.resolve()).then(() => this.#rotateNow(terms, options))
    this.#turns.set(
      principal,
      turn.catch(() => {}),
    )
    return await turn
  }

  /** Leaves the principal alone from now on; what the KDC or keytab has of it stays. */
  async forget(principal: string, options?: AbortOptions): Promise<void> {
    await this.#turns.get(principal)
    await this.#ledger.forget(principal, options)
    this.#book.forget(principal)
  }

  /**
   * A key for one ticket alone, of a principal that this end issues for: the next version of its window, current from now
   * on. The window is filled up beside it; undefined where it is empty for the moment.
   */
  async issueTicketKey(principal: string): Promise<KvnoEntry | undefined> {
    const terms = this.#ledger.terms(principal)
    if (terms?.role !== 'issuer' || this.#closing !== undefined) return undefined
    const turn = (this.#issuing.get(principal) ?? Promise.resolve()).then(() => this.#issueNow(terms))
    this.#issuing.set(
      principal,
      turn.catch(() => {}),
    )
    return await turn
  }

  /** Where every principal stands. */
  status(): AgentStatus {
    const { kms } = this.#options
    const nowMs = this.#now()
    const principals = this.#ledger.principals.map(terms =>
      principalStatus(this.#ledger, terms, {
        nowMs,
        failure: this.#book.failure(terms.principal),
        dueMs: this.#dueMs(terms),
        clockSkewMs: this.#book.clockSkewMs(terms.principal),
      }),
    )
    return { saeId: kms.saeId, principals, alarms: this.#book.alarms }
  }

  /** Lets a rotation under way end, for at most the time of an agreement; keys are wiped, the KDC keeps what it has. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    this.#wake.abort()
    const { timeoutMs = 5_000 } = this.#options
    const patience = setTimeout(() => this.#stop.abort(), timeoutMs)
    await this.#loop
    await Promise.all([...this.#turns.values(), ...this.#issuing.values(), ...this.#filling.values()])
    clearTimeout(patience)
    this.#stop.abort()
    await Promise.all(this.#serving)
    this.#ledger[Symbol.dispose]()
  }

  async #issueNow(terms: KeyedPrincipal): Promise<KvnoEntry | undefined> {
    const { principal, window } = terms
    const ahead = aheadOf(this.#ledger, principal)
    if (ahead.length <= window / 2 && !this.#filling.has(principal)) {
      const filling = this.#fill(terms).finally(() => this.#filling.delete(principal))
      this.#filling.set(principal, filling)
    }
    const next = ahead.at(-1)
    return next && (await this.#ledger.promote(principal, next.epoch))
  }

  /** Never rejects: what fails is told, and the next ticket tries again. */
  async #fill(terms: KeyedPrincipal): Promise<void> {
    const { kms, openChannel, level, timeoutMs = 5_000 } = this.#options
    const { principal, peerSaeId, window } = terms
    using deadline = startDeadline(this.#stop.signal, window * timeoutMs + 20_000)
    try {
      const channel = await openChannel(peerSaeId, deadline)
      try {
        await fillWindow(principal, { ledger: this.#ledger, kms, channel, level, timeoutMs, signal: deadline.signal })
      } finally {
        await channel.close().catch(() => {})
      }
    } catch (error) {
      this.#book.failed(terms, error as Error, { keyId: this.#ledger.table.current(principal)?.keyId })
    }
  }

  async #rotateNow(terms: KeyedPrincipal, { rekey, signal }: { rekey?: boolean } & AbortOptions): Promise<Rotation> {
    const { kms, openChannel, level, timeoutMs = 5_000 } = this.#options
    const { principal, peerSaeId } = terms
    // The agreement, and as much again for the two databases.
    const either = eitherSignal(signal, this.#stop.signal)
    using deadline = startDeadline(either, 4 * timeoutMs + 20_000)
    try {
      const channel = await openChannel(peerSaeId, { signal: deadline.signal })
      try {
        const context = { ledger: this.#ledger, kms, channel, level, timeoutMs, signal: deadline.signal }
        const rotation = await rotateVersion(principal, context, { rekey })
        this.#book.succeeded(terms, rotation)
        return rotation
      } finally {
        await channel.close().catch(() => {})
      }
    } catch (error) {
      this.#book.failed(terms, error as Error, { keyId: this.#ledger.table.current(principal)?.keyId })
      throw error
    } finally {
      this.#wake.abort()
    }
  }

  async #run(): Promise<void> {
    while (this.#closing === undefined) {
      try {
        for (const { keyId, principal } of await this.#ledger.expire()) {
          this.#book.retired({ peer: this.#ledger.terms(principal)?.peerSaeId ?? '', keyId })
        }
      } catch (error) {
        this.#logger.error({ reason: (error as Error).message }, 'a key version that has ended could not be removed')
      }
      const due = this.#ledger.principals.filter(
        terms => (this.#dueMs(terms) ?? Number.POSITIVE_INFINITY) <= this.#now(),
      )
      // What fails stands in the book, and is tried again later.
      await Promise.all(due.map(({ principal }) => this.rotate(principal).catch(() => {})))
      if (this.#options.telemetry !== undefined) reportVersions(this.#options.telemetry, this.#ledger)
      await this.#sleep()
    }
  }

  /** When the principal is to be rotated; undefined where that is not this end's to do. */
  #dueMs({ principal, role, rotateSeconds, wraps }: KeyedPrincipal): number | undefined {
    if (role !== 'issuer' || this.#options.rotates === false) return undefined
    const current = this.#ledger.table.current(principal)
    const notBeforeMs = this.#book.notBeforeMs(principal)
    if (current === undefined) return notBeforeMs
    // Nothing but a rekey goes on from there.
    if (!wraps && current.kvno === 65_535) return undefined
    return Math.max(notBeforeMs, current.sinceMs + rotateSeconds * 1000)
  }

  async #sleep(): Promise<void> {
    const next = this.#ledger.principals.map(terms => this.#dueMs(terms)).concat(this.#ledger.nextEndMs())
    const untilMs = Math.min(...next.filter(atMs => atMs !== undefined), this.#now() + MAX_SLEEP_MS)
    if (this.#closing !== undefined) return
    if (this.#wake.signal.aborted) this.#wake = new AbortController()
    // At least a moment: an end that can't be removed must not keep the loop busy.
    await delay(Math.max(50, untilMs - this.#now()), { signal: this.#wake.signal }).catch(() => {})
  }
}

import {
  type AbortOptions,
  BackOff,
  type Closable,
  ClosedError,
  debugLogger,
  delay,
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
import { ALARM_KVNO, type KeyedPrincipal } from '../versions/keyed-principal.ts'
import { type AgentStatus, principalStatus } from './agent-status.ts'

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
  readonly #backOffs = new Map<string, { backOff: BackOff; notBeforeMs: number; failure: string }>()
  readonly #clockSkewsMs = new Map<string, number>()
  readonly #alarms = new Set<string>()
  #wake = new AbortController()
  #loop: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(options: KerberosAgentOptions) {
    this.#options = options
    this.#ledger = options.ledger
    this.#logger = options.logger ?? debugLogger('kerberos')
    this.#now = options.now ?? Date.now
  }

  /** Puts in place what was agreed before, and begins to rotate. */
  async open(options?: AbortOptions): Promise<void> {
    await this.#ledger.open(options)
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
    this.#backOffs.delete(principal)
    for (const id of [`kerberos-rotation ${principal}`, `kerberos-kvno ${principal}`]) this.#alarm(id, undefined)
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
        failure: this.#backOffs.get(terms.principal)?.failure,
        dueMs: this.#dueMs(terms),
        clockSkewMs: this.#clockSkewsMs.get(terms.principal),
      }),
    )
    return { saeId: kms.saeId, principals, alarms: [...this.#alarms] }
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
      this.#failed(terms, error as Error)
    }
  }

  async #rotateNow(terms: KeyedPrincipal, { rekey, signal }: { rekey?: boolean } & AbortOptions): Promise<Rotation> {
    const { kms, openChannel, level, timeoutMs = 5_000 } = this.#options
    const { principal, peerSaeId } = terms
    // The agreement, and as much again for the two databases.
    const either = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal])
    using deadline = startDeadline(either, 4 * timeoutMs + 20_000)
    try {
      const channel = await openChannel(peerSaeId, { signal: deadline.signal })
      try {
        const context = { ledger: this.#ledger, kms, channel, level, timeoutMs, signal: deadline.signal }
        const rotation = await rotateVersion(principal, context, { rekey })
        this.#succeeded(terms, rotation)
        return rotation
      } finally {
        await channel.close().catch(() => {})
      }
    } catch (error) {
      this.#failed(terms, error as Error)
      throw error
    } finally {
      this.#wake.abort()
    }
  }

  #succeeded({ principal, peerSaeId, wraps }: KeyedPrincipal, { current, clockSkewMs }: Rotation): void {
    const { kvno, keyId } = current
    if (clockSkewMs !== undefined) this.#clockSkewsMs.set(principal, clockSkewMs)
    this.#backOffs.delete(principal)
    this.#emitRotation({ peer: peerSaeId, keyId, outcome: 'in-use' })
    this.#alarm(`kerberos-rotation ${principal}`, undefined)
    const near = !wraps && kvno >= ALARM_KVNO
    this.#alarm(
      `kerberos-kvno ${principal}`,
      near ? `${principal} has come to kvno ${kvno} of 65535: run qkd kerberos trust rekey` : undefined,
    )
    this.#logger.info({ principal, kvno, keyId }, 'a key version is in use')
  }

  #failed({ principal, peerSaeId }: KeyedPrincipal, error: Error): void {
    const held = this.#backOffs.get(principal) ?? { backOff: new BackOff({ minMs: 1_000, maxMs: 60_000 }) }
    const notBeforeMs = this.#now() + held.backOff.nextMs()
    this.#backOffs.set(principal, { backOff: held.backOff, notBeforeMs, failure: error.message })
    const keyId = this.#ledger.table.current(principal)?.keyId ?? ''
    this.#emitRotation({ peer: peerSaeId, keyId, outcome: 'failed', reason: error.message })
    this.#alarm(`kerberos-rotation ${principal}`, `${principal} is not rotated: ${error.message}`)
    this.#logger.warn({ principal, peerSaeId, reason: error.message }, 'a rotation failed')
  }

  #emitRotation(rotation: {
    peer: string
    keyId: string
    outcome: 'in-use' | 'retired' | 'failed'
    reason?: string
  }): void {
    this.#options.telemetry?.emit({ type: 'rotation', integration: 'kerberos', ...rotation })
  }

  /** Raises an alarm with this text, or clears it. */
  #alarm(id: string, text: string | undefined): void {
    const raised = this.#alarms.has(id)
    if (text === undefined && !raised) return
    if (text === undefined) this.#alarms.delete(id)
    else this.#alarms.add(id)
    const state = text === undefined ? 'cleared' : 'raised'
    this.#options.telemetry?.emit({ type: 'alarm', id, severity: 'major', state, text: text ?? id })
  }

  async #run(): Promise<void> {
    while (this.#closing === undefined) {
      try {
        for (const { keyId, principal } of await this.#ledger.expire()) {
          const peer = this.#ledger.terms(principal)?.peerSaeId ?? ''
          this.#emitRotation({ peer, keyId, outcome: 'retired' })
        }
      } catch (error) {
        this.#logger.error({ reason: (error as Error).message }, 'a key version that has ended could not be removed')
      }
      const due = this.#ledger.principals.filter(
        terms => (this.#dueMs(terms) ?? Number.POSITIVE_INFINITY) <= this.#now(),
      )
      // What fails is told by `#failed`, and tried again later.
      await Promise.all(due.map(({ principal }) => this.rotate(principal).catch(() => {})))
      await this.#sleep()
    }
  }

  /** When the principal is to be rotated; undefined where that is not this end's to do. */
  #dueMs({ principal, role, rotateSeconds, wraps }: KeyedPrincipal): number | undefined {
    if (role !== 'issuer' || this.#options.rotates === false) return undefined
    const current = this.#ledger.table.current(principal)
    const notBeforeMs = this.#backOffs.get(principal)?.notBeforeMs ?? 0
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

import { BackOff, type Logger, type Telemetry } from '../../../lib/index.ts'
import type { Rotation } from '../versions/issue-version.ts'
import { ALARM_KVNO, type KeyedPrincipal } from '../versions/keyed-principal.ts'

/** Where a book tells what is written in it. */
export interface RotationBookOptions {
  readonly telemetry: Telemetry | undefined
  readonly logger: Logger
  readonly now: () => number
}

/** How the rotations of an agent went: what failed and when to try again, how clocks differ, which alarms stand. */
export class RotationBook {
  readonly #telemetry: Telemetry | undefined
  readonly #logger: Logger
  readonly #now: () => number
  readonly #failures = new Map<string, { backOff: BackOff; notBeforeMs: number; failure: string; count: number }>()
  readonly #clockSkewsMs = new Map<string, number>()
  readonly #alarms = new Set<string>()

  constructor({ telemetry, logger, now }: RotationBookOptions) {
    this.#telemetry = telemetry
    this.#logger = logger
    this.#now = now
  }

  /** Alarms that stand. */
  get alarms(): string[] {
    return [...this.#alarms]
  }

  /** Why the last rotation failed; undefined where it did not. */
  failure(principal: string): string | undefined {
    return this.#failures.get(principal)?.failure
  }

  /** Not to be tried before this time, in milliseconds since 1970; 0 where nothing failed. */
  notBeforeMs(principal: string): number {
    return this.#failures.get(principal)?.notBeforeMs ?? 0
  }

  /** How far the acceptor's clock was ahead, in milliseconds; undefined where it was not said. */
  clockSkewMs(principal: string): number | undefined {
    return this.#clockSkewsMs.get(principal)
  }

  /** A principal is this agent's from now on; nothing of it has failed. */
  begin(terms: KeyedPrincipal): void {
    this.#count(terms, 0)
  }

  /** A new version is in use. */
  succeeded(terms: KeyedPrincipal, { current, clockSkewMs }: Rotation): void {
    const { principal, peerSaeId, wraps } = terms
    const { kvno, keyId } = current
    if (clockSkewMs !== undefined) this.#clockSkewsMs.set(principal, clockSkewMs)
    this.#failures.delete(principal)
    this.#count(terms, 0)
    this.#emit({ peer: peerSaeId, keyId, outcome: 'in-use' })
    this.#alarm(`kerberos-rotation ${principal}`, undefined)
    const near = !wraps && kvno >= ALARM_KVNO
    this.#alarm(
      `kerberos-kvno ${principal}`,
      near ? `${principal} has come to kvno ${kvno} of 65535: run qkd kerberos trust rekey` : undefined,
    )
    this.#logger.info({ principal, kvno, keyId }, 'a key version is in use')
  }

  /** No new version came; `keyId` is that of the one that stays in use. */
  failed(terms: KeyedPrincipal, error: Error, { keyId = '' }: { readonly keyId: string | undefined }): void {
    const { principal, peerSaeId } = terms
    const count = (this.#failures.get(principal)?.count ?? 0) + 1
    const backOff = this.#failures.get(principal)?.backOff ?? new BackOff({ minMs: 1_000, maxMs: 60_000 })
    const failure = error.message
    this.#failures.set(principal, { backOff, notBeforeMs: this.#now() + backOff.nextMs(), failure, count })
    this.#count(terms, count)
    this.#emit({ peer: peerSaeId, keyId, outcome: 'failed', reason: failure })
    this.#alarm(`kerberos-rotation ${principal}`, `${principal} is not rotated: ${failure}`)
    this.#logger.warn({ principal, peerSaeId, reason: failure }, 'a rotation failed')
  }

  /** A version has ended. */
  retired({ peer, keyId }: { readonly peer: string; readonly keyId: string }): void {
    this.#emit({ peer, keyId, outcome: 'retired' })
  }

  /** The principal is no more this agent's. */
  forget(principal: string): void {
    this.#failures.delete(principal)
    this.#clockSkewsMs.delete(principal)
    for (const id of [`kerberos-rotation ${principal}`, `kerberos-kvno ${principal}`]) this.#alarm(id, undefined)
  }

  #emit(rotation: { peer: string; keyId: string; outcome: 'in-use' | 'retired' | 'failed'; reason?: string }): void {
    this.#telemetry?.emit({ type: 'rotation', integration: 'kerberos', ...rotation })
  }

  /** Says how many rotations have failed one after the other. */
  #count({ principal, peerSaeId }: KeyedPrincipal, failures: number): void {
    const labels = { integration: 'kerberos', peer: peerSaeId, name: principal }
    this.#telemetry?.gauge('rotation_failures', labels, failures)
  }

  /** Raises an alarm with this text, or clears it. */
  #alarm(id: string, text: string | undefined): void {
    if (text === undefined && !this.#alarms.delete(id)) return
    if (text !== undefined) this.#alarms.add(id)
    const state = text === undefined ? 'cleared' : 'raised'
    this.#telemetry?.emit({ type: 'alarm', id, severity: 'major', state, text: text ?? id })
  }
}

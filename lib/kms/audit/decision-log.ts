import type { AuditEntry, AuditLog, KeyDerivation } from '../../interface/audit.ts'
import type { Logger } from '../../interface/logger.ts'
import type { Suite } from '../../key/selection.ts'
import { TokenBucket } from '../policy/token-bucket.ts'
import type { KeyLabel } from '../pool/issuer.ts'

/** Refusals written a second, and at once after a quiet time: whoever is refused must not fill the disk with it. */
const REFUSALS = { perSecond: 50, burst: 500 }

/** A refused request, as far as its caller is concerned. */
export interface Refusal {
  readonly operation: 'getKey' | 'getKeyWithIds'
  readonly saeId: string
  readonly peerSaeId: string
  readonly code: string
  readonly reason: string
}

/** What the KMS decides, in the words of the audit log. */
export class DecisionLog {
  readonly #log: AuditLog
  readonly #logger: Logger
  readonly #refusals: TokenBucket
  readonly #monotonicMs: () => number
  #unwritten = 0

  constructor({ log, logger, monotonicMs }: { log: AuditLog; logger: Logger; monotonicMs: () => number }) {
    this.#log = log
    this.#logger = logger
    this.#monotonicMs = monotonicMs
    this.#refusals = new TokenBucket({ ...REFUSALS, nowMs: monotonicMs() })
  }

  /**
   * Writes which keys are about to leave: a line for each level and class among them.
   * @throws {StoreError} it can't be written; no key may leave
   */
  async allowed(entry: Omit<AuditEntry, 'outcome'>, keys: readonly KeyLabel[]): Promise<void> {
    const [first] = keys
    if (keys.length === 1 && first !== undefined) return this.#log.record(allowedEntry(entry, keys))
    const kinds = new Map<string, KeyLabel[]>()
    for (const key of keys) {
      const kind = `${key.level} ${key.trustClass} ${key.sizeBits} ${key.suite}`
      const alike = kinds.get(kind)
      if (alike === undefined) kinds.set(kind, [key])
      else alike.push(key)
    }
    await Promise.all([...kinds.values()].map(alike => this.#log.record(allowedEntry(entry, alike))))
  }

  /** Writes that a request was refused; too many of them are counted in the next line instead. */
  refused({ operation, saeId, peerSaeId, code, reason }: Refusal): void {
    if (!this.#refusals.take(1, this.#monotonicMs())) {
      this.#unwritten += 1
      return
    }
    const isMaster = operation === 'getKey'
    this.#note({
      event: 'refuse',
      outcome: code,
      masterSaeId: isMaster ? saeId : peerSaeId,
      slaveSaeId: isMaster ? peerSaeId : saeId,
      reason: this.#unwritten === 0 ? reason : `${reason} (and ${this.#unwritten} refusals that were not written)`,
    })
    this.#unwritten = 0
  }

  /** Writes that other rules hold from now on. */
  policyInForce(rules: number): void {
    this.#note({ event: 'policy', outcome: 'allowed', reason: `${rules} rules in force` })
  }

  /** What has taken effect already, or takes none: its line may be lost with the disk, and that is said. */
  #note(entry: AuditEntry): void {
    this.#log.record(entry).catch((error: Error) => {
      this.#logger.error({ event: entry.event, err: error.message }, 'A decision was not written to the audit log')
    })
  }
}

const DERIVATIONS: Readonly<Record<Suite, KeyDerivation>> = {
  1: 'raw',
  2: 'raw',
  3: 'hybrid-xor',
  4: 'hybrid-kdf',
  5: 'expanded',
  6: 'post-quantum',
}

function allowedEntry(entry: Omit<AuditEntry, 'outcome'>, keys: readonly KeyLabel[]): AuditEntry {
  const { sizeBits, level, trustClass, block, suite } = keys[0]!
  // Each spread costs as much as a hash here, and this stands on the path of every key.
  const allowed: { -readonly [Field in keyof AuditEntry]: AuditEntry[Field] } = {
    outcome: 'allowed',
    ...entry,
    keyIds: keys.map(({ keyId }) => keyId),
    sizeBits,
  }
  if (level) allowed.level = level
  if (trustClass) allowed.trustClass = trustClass
  if (block !== undefined) {
    const isOne = keys.every(key => key.block === block)
    allowed.blocks = isOne ? [`${block}`] : keys.map(key => `${key.block}`)
  }
  if (suite !== undefined) allowed.derivation = DERIVATIONS[suite]
  return allowed
}

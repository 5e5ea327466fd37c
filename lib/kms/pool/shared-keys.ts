import { PoolExhaustedError, StoreError } from '../../errors.ts'
import type { Change } from '../../interface/pool-store.ts'
import type { SaePair } from '../../key/key-id.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { BlockLedger } from './block-ledger.ts'
import {
  decodeSharedKey,
  encodeSharedKey,
  isSharedKeyName,
  type SharedKeyRecord,
  sharedKeyName,
  withTaken,
} from './shared-key-record.ts'

/** Records of one pool at most: what a peer can make this site keep. */
const MAX_RECORDS = 10_000

/** A key that is recorded for one of its recipients, who has not had it yet. */
export interface SharedKeyClaim {
  readonly name: string
  readonly record: SharedKeyRecord
  /** True where nobody else is still to have it: its bytes go with it. */
  readonly isLast: boolean
  /** Writes that the recipient has it; refused where another recipient came in between. */
  readonly taking: Change
}

/** What is recorded of a key besides its bytes. */
export interface SharedKeyTerms
  extends Pick<SharedKeyRecord, 'masterSaeId' | 'slaveSaeId' | 'level' | 'trustClass' | 'ways'> {
  /** SAEs of this site that may fetch it. */
  readonly saeIds: readonly string[]
  readonly sizeBytes: number
}

/** A key to be recorded, under its key_ID in canonical form: with its bytes, which stay the caller's, or in cells of this pool. */
export type SharedKey =
  | { readonly keyId: string; readonly secret: SecretKey }
  /** `block` is where its cells lie. */
  | { readonly keyId: string; readonly secret: undefined; readonly block: bigint }

/** What the records are kept with. */
export interface SharedKeysOptions {
  readonly ledger: BlockLedger
  /** Wall clock, in milliseconds: records outlive the process. */
  readonly now: () => number
  /** How long a key that is recorded now can be fetched, in milliseconds. */
  readonly keyLifeMs: () => number
}

/**
 * Keys that several SAEs get under one key_ID (multicast), as this site has them recorded: for each, who of this site may
 * fetch it, and who has. A record is durable before the master is given the key, and goes at its expiry.
 */
export class SharedKeys {
  readonly #options: SharedKeysOptions

  constructor(options: SharedKeysOptions) {
    this.#options = options
  }

  /** True where this site has that key recorded. */
  has(keyId: string): boolean {
    return this.#options.ledger.note(sharedKeyName(keyId)) !== undefined
  }

  /**
   * What `pair.slaveSaeId` can claim under a canonical key_ID; undefined where the key is not recorded, `foreign` where it is for
   * others, `unknown` where the SAE had it or its time is over. `earlierMs`: by how much its time is shortened.
   */
  claim(pair: SaePair, keyId: string, earlierMs: number): SharedKeyClaim | 'foreign' | 'unknown' | undefined {
    const { ledger, now } = this.#options
    const name = sharedKeyName(keyId)
    const note = ledger.note(name)
    if (note === undefined) return undefined
    const record = decodeSharedKey(note.value)
    const own = record.recipients.find(({ saeId }) => saeId === pair.slaveSaeId)
    if (own === undefined || record.masterSaeId !== pair.masterSaeId) return 'foreign'
    if (own.taken || record.expiresAtMs <= now() + earlierMs) return 'unknown'
    const after = withTaken(record, own.saeId)
    const taking = { kind: 'note', name, from: note.version, value: encodeSharedKey(after) } as const
    return { name, record, isLast: after.recipients.every(({ taken }) => taken), taking }
  }

  /** The bytes of a key that is kept beside its record; the caller owns them. */
  async open({ name, record: { held } }: SharedKeyClaim): Promise<SecretKey> {
    if (held.kind !== 'sealed' || held.slot < 0) throw new StoreError('A shared key has no bytes of its own')
    return this.#options.ledger.vault.openNamed(name, held)
  }

  /** To be called once `taking` is durable: destroys what nobody is still to have. */
  async taken({ isLast, name, record: { held } }: SharedKeyClaim): Promise<void> {
    if (isLast && held.kind === 'sealed') await this.#options.ledger.vault.destroyNamed(name, held.slot)
  }

  /**
   * Records keys, all or none, durably.
   * @throws {PoolExhaustedError} too many are recorded
   * @throws {StoreError} the store failed, or one is recorded already
   */
  async record(keys: readonly SharedKey[], terms: SharedKeyTerms): Promise<void> {
    const { ledger, now, keyLifeMs } = this.#options
    if (this.#names().length + keys.length > MAX_RECORDS)
      throw new PoolExhaustedError(`${MAX_RECORDS} keys of several hosts wait to be fetched; no more are taken`)
    const { saeIds, ...rest } = terms
    const recipients = saeIds.map(saeId => ({ saeId, taken: false }))
    const common = { ...rest, recipients }
    const untilMs = now() + keyLifeMs()
    const slots: number[] = []
    let isIn = false
    try {
      const changes: Change[] = []
      for (const key of keys) {
        const { secret } = key
        const name = sharedKeyName(key.keyId)
        const sealed = secret && (await ledger.vault.sealNamed(name, secret))
        if (sealed !== undefined) slots.push(sealed.slot)
        const held = sealed === undefined ? ({ kind: 'cells' } as const) : ({ kind: 'sealed', ...sealed } as const)
        // Without its record a key in cells that live longer would be had again, as one that nobody shares.
        const expiresAtMs = key.secret === undefined ? Math.max(untilMs, this.#cellsUntilMs(key.block)) : untilMs
        changes.push({ kind: 'note', name, from: 0, value: encodeSharedKey({ ...common, held, expiresAtMs }) })
      }
      const result = await ledger.commit(changes)
      if (!result.ok) throw new StoreError(`A key of several hosts cannot be recorded: ${result.refusal}`)
      isIn = true
    } finally {
      if (!isIn) for (const slot of slots) await ledger.vault.destroy(slot)
    }
  }

  /** Forgets keys of that master, whoever was still to have them. */
  async forget(keyIds: readonly string[], masterSaeId: string): Promise<void> {
    const { ledger } = this.#options
    const isTheirs = (name: string) => {
      const note = ledger.note(name)
      return note !== undefined && decodeSharedKey(note.value).masterSaeId === masterSaeId
    }
    await this.#forget(keyIds.map(sharedKeyName).filter(isTheirs))
  }

  /** Forgets what has expired. */
  async sweep(): Promise<void> {
    const { ledger, now } = this.#options
    const nowMs = now()
    const isOver = (name: string) => decodeSharedKey(ledger.note(name)!.value).expiresAtMs <= nowMs
    await this.#forget(this.#names().filter(isOver))
  }

  async #forget(names: readonly string[]): Promise<void> {
    const { ledger } = this.#options
    for (const name of names) {
      const note = ledger.note(name)
      if (note === undefined) continue
      const { held } = decodeSharedKey(note.value)
      const result = await ledger.commit([{ kind: 'note', name, from: note.version, value: undefined }])
      if (result.ok && held.kind === 'sealed') await ledger.vault.destroyNamed(name, held.slot)
    }
  }

  /** When the last cells of a block that are under lease now expire. */
  #cellsUntilMs(block: bigint): number {
    const spans = this.#options.ledger.block(block)?.expiry ?? []
    return Math.max(0, ...spans.map(({ expiresAtMs }) => expiresAtMs))
  }

  #names(): string[] {
    return [...this.#options.ledger.noteNames()].filter(isSharedKeyName)
  }
}

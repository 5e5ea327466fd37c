import { StoreError } from '../../errors.ts'
import type { Change } from '../../interface/pool-store.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { BlockLedger } from './block-ledger.ts'
import { LEASE_LIFE_MS } from './lessee.ts'
import { PairSecret } from './pair-secret.ts'
import { SealEpoch } from './seal-epoch.ts'
import {
  decodeSecretNote,
  encodeSecretNote,
  FIRST_TERMS,
  type RefreshTerms,
  SECRET_NOTE,
  type SecretNote,
} from './secret-note.ts'

/** How often a switch is tried while blocks move under it. */
const MAX_TRIES = 16
const BUSY = 'The pair secret cannot be refreshed while the pool changes'

/** What the secrets are kept with. */
export interface PairSecretsOptions {
  readonly ledger: BlockLedger
  /** Wall clock, in milliseconds: epochs outlive the process. */
  readonly now: () => number
  readonly lifetimeMs: () => number
}

/** What a pool begins anew with. */
export interface NewRoot {
  readonly poolEpoch: number
  readonly sealEpoch: number
  readonly floor: bigint
  readonly peerCommits: number
  /** Taken over. */
  readonly root: SecretKey
  readonly isSigned: boolean
  /** What else is noted from the first moment on. */
  readonly notes: readonly Change[]
}

/**
 * The epochs of a pool's secret: the current root; the sealing keys of the one before, as long as its keys may be fetched; and the
 * next root, once it is stored here and until it is known to be the peer's too. Two live at most, so a third waits.
 */
export class PairSecrets {
  readonly #options: PairSecretsOptions
  #note: SecretNote
  #previous: SealEpoch | undefined
  #pending: PairSecret | undefined
  /** Places of roots that are over and could not be erased yet. */
  readonly #ended = new Set<number>()

  private constructor(options: PairSecretsOptions, note: SecretNote) {
    this.#options = options
    this.#note = note
  }

  /** What can't be read is lost, and said to be; the pool goes on without it. */
  static async open(options: PairSecretsOptions): Promise<PairSecrets> {
    const { ledger, now } = options
    const stored = ledger.note(SECRET_NOTE)
    const fresh = { ...FIRST_TERMS, sinceMs: now(), previous: undefined, pending: undefined }
    const secrets = new PairSecrets(options, stored === undefined ? fresh : decodeSecretNote(stored.value))
    const { previous, pending } = secrets.#note
    if (previous !== undefined) {
      const what = `The sealing keys of epoch ${previous.epoch}`
      const secret = await orLost(ledger.vault.readSeal(previous.slot), { ledger, id: 'seal-keys-lost', what })
      if (secret !== undefined) secrets.#previous = new SealEpoch(secret, ledger.pair, previous.epoch)
      else secrets.#note = { ...secrets.#note, previous: undefined }
    }
    if (pending !== undefined) {
      const what = 'The next pair secret'
      const root = await orLost(ledger.vault.readRoot(pending.slot), { ledger, id: 'next-secret-lost', what })
      // Where the peer goes by it already, the hellos show two roots, and both sides begin anew.
      if (root !== undefined)
        secrets.#pending = new PairSecret(root, ledger.pair, { sealEpoch: ledger.pool.sealEpoch + 1 })
      else secrets.#note = { ...secrets.#note, pending: undefined }
    }
    return secrets
  }

  /** Everything but the bytes. */
  get note(): SecretNote {
    return this.#note
  }

  /** True where the epoch before is over, and none is begun: the next may be. */
  get isSettled(): boolean {
    return this.#note.previous === undefined && this.#note.pending === undefined
  }

  /** The epochs under which the peer's key_IDs may be sealed, the likeliest first. */
  epochs(): SealEpoch[] {
    const { secret } = this.#options.ledger
    return [secret?.seal, this.#previous, this.#pending?.seal].filter(epoch => epoch !== undefined)
  }

  /** The root that is waiting here, until the peer is known to go by it. */
  get next(): PairSecret | undefined {
    return this.#pending
  }

  /** 16 bytes that tell the peer which root is waiting here; zeros where none is. */
  pendingCheck(): Uint8Array {
    return this.#pending?.check() ?? new Uint8Array(16)
  }

  /** Stores the next root, durably, before the peer hears of it. Takes `root` over. */
  async propose(root: SecretKey, terms: RefreshTerms): Promise<void> {
    const { ledger } = this.#options
    const slot = await ledger.vault.putRoot(root)
    if (!(await this.#write({ ...this.#note, pending: { ...terms, slot } }))) {
      root.wipe()
      await ledger.vault.destroy(slot)
      throw new StoreError('The next pair secret cannot be stored')
    }
    this.#pending = new PairSecret(root, ledger.pair, { sealEpoch: ledger.pool.sealEpoch + 1 })
  }

  /** The peer never stored it: nothing was sealed under it, and nothing will be. */
  async discardPending(): Promise<void> {
    const { pending } = this.#note
    if (pending === undefined) return
    if (!(await this.#write({ ...this.#note, pending: undefined }))) return
    this.#pending?.wipe()
    this.#pending = undefined
    await this.#options.ledger.vault.destroy(pending.slot)
  }

  /** The peer has stored what is pending here: it is the current one from now on. Gives the blocks that went with the old one. */
  async promote(): Promise<bigint[]> {
    const { pending } = this.#note
    const secret = this.#pending
    if (pending === undefined || secret === undefined) throw new StoreError('No pair secret is pending')
    const { slot, ...terms } = pending
    const dropped = await this.#switch(secret, slot, terms)
    if (dropped === undefined) throw new StoreError(BUSY)
    return dropped
  }

  /** Goes on to a root that the peer has stored. Takes `root` over; gives the blocks that went with the old one. */
  async advance(root: SecretKey, terms: RefreshTerms): Promise<bigint[]> {
    const { ledger } = this.#options
    const slot = await ledger.vault.putRoot(root)
    const secret = new PairSecret(root, ledger.pair, { sealEpoch: ledger.pool.sealEpoch + 1 })
    const dropped = await this.#switch(secret, slot, terms)
    if (dropped !== undefined) return dropped
    secret.wipe()
    await ledger.vault.destroy(slot)
    throw new StoreError(BUSY)
  }

  /** Destroys the sealing keys of the epoch before once no key can be fetched under them. */
  async sweep(): Promise<void> {
    const { ledger, now } = this.#options
    for (const slot of this.#ended) await this.#erase(slot)
    const { previous } = this.#note
    if (previous === undefined || previous.untilMs > now()) return
    if (!(await this.#write({ ...this.#note, previous: undefined }))) return
    this.#previous?.wipe()
    this.#previous = undefined
    await ledger.vault.destroy(previous.slot)
  }

  /** Row 27: all epochs end, and the pool begins anew with a root of its own. */
  async reset({ isSigned, notes, ...fields }: NewRoot): Promise<void> {
    const { ledger, now } = this.#options
    const note: SecretNote = { ...FIRST_TERMS, isSigned, sinceMs: now(), previous: undefined, pending: undefined }
    await ledger.reset({
      ...fields,
      notes: [{ kind: 'note', name: SECRET_NOTE, from: 0, value: encodeSecretNote(note) }, ...notes],
    })
    this.wipe()
    this.#note = note
    this.#previous = undefined
    this.#pending = undefined
  }

  wipe(): void {
    this.#previous?.wipe()
    this.#pending?.wipe()
  }

  /**
   * One commit: root, epoch, what is left of the one before, and the end of blocks whose tags would be of the old root. Undefined
   * where the pool would not stand still. Where the store fails nobody knows what it wrote: both roots stay, for the next start.
   */
  async #switch(secret: PairSecret, rootSlot: number, terms: RefreshTerms): Promise<bigint[] | undefined> {
    const { ledger, now, lifetimeMs } = this.#options
    const old = ledger.secret
    if (old === undefined) throw new StoreError('There is no pair secret to go on from')
    const { poolEpoch, sealEpoch, rootSlot: oldSlot } = ledger.pool
    const slot = await ledger.vault.putSeal(old.seal.secret)
    const atMs = now()
    const previous = { epoch: sealEpoch, slot, untilMs: atMs + LEASE_LIFE_MS + lifetimeMs() }
    const note: SecretNote = { ...terms, sinceMs: atMs, previous, pending: undefined }
    const patch = { sealEpoch: sealEpoch + 1, rootSlot }
    // In the moment of the commit: whoever saw the new epoch with the old root, or the other way round, would make tags of neither.
    const goOn = () => {
      this.#note = note
      this.#previous = old.seal
      this.#pending = undefined
      ledger.useSecret(secret)
      old.root.wipe()
    }
    const reason = 'the pair secret was refreshed before it was verified'
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const changes: Change[] = [{ kind: 'pool', poolEpoch, patch }, this.#changeTo(note)]
      const dropped = await ledger.dropReceived(reason, changes, goOn)
      if (dropped === undefined) continue
      await this.#erase(oldSlot)
      return dropped
    }
    await ledger.vault.destroy(slot)
    return undefined
  }

  /** Erases a root that is over; where that fails the sweep comes back to it, and the next start. */
  async #erase(slot: number): Promise<void> {
    try {
      await this.#options.ledger.vault.destroyRoot(slot)
      this.#ended.delete(slot)
    } catch {
      this.#ended.add(slot)
    }
  }

  async #write(note: SecretNote): Promise<boolean> {
    const result = await this.#options.ledger.commit([this.#changeTo(note)])
    if (result.ok) this.#note = note
    return result.ok
  }

  #changeTo(note: SecretNote): Change {
    const from = this.#options.ledger.note(SECRET_NOTE)?.version ?? 0
    return { kind: 'note', name: SECRET_NOTE, from, value: encodeSecretNote(note) }
  }
}

/** Undefined, with an alarm, where the place of a secret does not open. */
async function orLost(
  reading: Promise<SecretKey>,
  { ledger, id, what }: { ledger: BlockLedger; id: string; what: string },
): Promise<SecretKey | undefined> {
  try {
    return await reading
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    ledger.telemetry.emit({
      type: 'alarm',
      id: `${id}:${ledger.pair.name}`,
      severity: 'major',
      state: 'raised',
      text: `${what} with ${ledger.remoteSiteId} cannot be read (${error.message}); the pool goes on without`,
    })
    return undefined
  }
}

import { KeyNotFoundError, StoreError, UnauthorizedError } from '../../errors.ts'
import type { Key, SecurityLevel, TrustClass } from '../../interface/kms.ts'
import type { BlockRecord, Change } from '../../interface/pool-store.ts'
import { cellsFor, PAYLOAD_CELLS } from '../../key/cells.ts'
import { keyOf } from '../../key/construct.ts'
import { canonicalKeyId, openKeyId, type SaePair, type SealKeys, verifyKeyId } from '../../key/key-id.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { endOf, levelOf, type Selection } from '../../key/selection.ts'
import { blockKind, kindForSuite } from '../../key/virtual-block.ts'
import { countSet, isClear } from '../store/bitmap.ts'
import type { BlockLedger } from './block-ledger.ts'
import { type StoredWay, wayOf } from './block-way.ts'
import { CommitGroup } from './commit-group.ts'
import type { KeyLabel, KeyOrigin } from './issuer.ts'
import { LEASE_LIFE_MS } from './lessee.ts'
import { OpenBlocks } from './open-blocks.ts'
import type { MessageHandlers } from './peer-session.ts'
import type { MessageFields, PeerMessage } from './peer-wire.ts'
import type { SealEpoch } from './seal-epoch.ts'
import type { SharedKeys } from './shared-keys.ts'

/** What the retriever works on and with. */
export interface RetrieverOptions {
  readonly ledger: BlockLedger
  readonly send: (message: PeerMessage) => void
  /** Wall clock, in milliseconds: expiry outlives the process. */
  readonly now: () => number
  /** The lifetime that both sides agreed on. */
  readonly lifetimeMs: () => number
  /** Keys that several SAEs get. */
  readonly shared: SharedKeys
  /** Epochs under which the peer's key_IDs may be sealed, the likeliest first. */
  readonly epochs: () => readonly SealEpoch[]
}

/** What the policy of this site holds for the keys of one pair. */
export interface RetrievalTerms {
  /** How long a key may have waited, in milliseconds; undefined is the pool's lifetime. */
  readonly lifetimeMs: number | undefined
  /** @throws {PolicyError} a key of this level or class is not taken; nothing was consumed */
  check(level: SecurityLevel, trustClass: TrustClass): void
  /** All SAEs that are known to get the keys. Default the two of the pair. */
  readonly saeIds?: readonly string[]
  /** Called with what is about to leave, before it is consumed; where it rejects nothing was. Default nothing. */
  readonly audit?: ((keys: readonly KeyLabel[]) => Promise<void>) | undefined
}

/** A key that was proven to be the caller's, and is still to be had. */
interface FoundKey {
  readonly label: KeyLabel
  readonly origin?: KeyOrigin
  /** The block that its bytes lie in, where they do. */
  readonly block: bigint | undefined
  /** How it came besides, where it went to several sites. */
  readonly way?: readonly StoredWay[] | undefined
  /** Its bytes, which the caller owns; nothing is consumed by it. */
  read(): Promise<SecretKey>
  /** What it takes for the key to be consumed. */
  readonly changes: readonly Change[]
  /** To be called once those are durable. */
  consumed(): void
}

/**
 * The retriever's side of a lane (rows 10, 11 and 15 to 18): acknowledges leases, hands out each key once, and lets
 * keys that nobody fetched expire.
 */
export class Retriever {
  readonly #options: RetrieverOptions
  readonly #open: OpenBlocks
  readonly #commits: CommitGroup
  /** Retrievals that have passed the holds, and are on their way to their hosts. */
  readonly #leaving = new Set<Promise<unknown>>()

  constructor(options: RetrieverOptions) {
    this.#options = options
    this.#open = new OpenBlocks(options.ledger, options.now)
    this.#commits = new CommitGroup(changes => options.ledger.commit(changes))
  }

  readonly handlers: MessageHandlers = {
    lease: message => this.#onLease(message),
    renew: message => this.#onRenew(message),
  }

  /**
   * Row 16: the keys of these IDs, all or none. Their consumed bits are durable before this resolves.
   * @throws {UnauthorizedError} an ID was issued to another pair of SAEs
   * @throws {KeyNotFoundError} an ID is unknown, expired or was used
   */
  async retrieve(pair: SaePair, keyIds: readonly string[], terms?: RetrievalTerms): Promise<Key[]> {
    let found = this.#findAll(pair, keyIds, terms?.lifetimeMs)
    for (const { label } of found) terms?.check(label.level!, label.trustClass!)
    const labels = found.map(({ label }) => label)
    const saeIds = terms?.saeIds ?? [pair.masterSaeId, pair.slaveSaeId]
    this.#requireFree(found, saeIds)
    await terms?.audit?.(found.map(({ label, origin }) => ({ ...label, ...origin })))
    for (;;) {
      const secrets = await this.#readAll(found, saeIds)
      if (secrets !== undefined) return labels.map((label, i) => ({ ...label, secret: secrets[i]! }))
      // Another recipient of a shared key came in between: the record is read anew.
      found = this.#findAll(pair, keyIds, terms?.lifetimeMs)
    }
  }

  /** What the key of a canonical ID is, where it is the pair's and still to be had. Consumes nothing. */
  labelOf(pair: SaePair, keyId: string): KeyLabel | undefined {
    const found = this.#findCells(pair, keyId, 0)
    return typeof found === 'string' ? undefined : { ...found.label, ...found.origin }
  }

  /** Resolves when nothing is on its way to a host any more that passed the holds before. */
  async leavingOver(): Promise<void> {
    await Promise.allSettled(this.#leaving)
  }

  /** Burns the cells of a key that nobody shall have, if they are there. */
  async discard(pair: SaePair, keyId: string): Promise<void> {
    const found = this.#findCells(pair, keyId, 0)
    if (typeof found === 'string') return
    if ((await this.#options.ledger.commit(found.changes)).ok) found.consumed()
  }

  /** Row 17, and row 18 after it. */
  async sweep(): Promise<void> {
    const { ledger, now } = this.#options
    const nowMs = now()
    this.#open.sweep()
    for (const block of [...ledger.blocks()]) {
      if (block.state !== 'ready' || ledger.owns(block)) continue
      const ranges: { from: number; to: number }[] = []
      let from = 0
      for (const { to, expiresAtMs } of block.expiry) {
        if (expiresAtMs <= nowMs && !allSet(block, from, to)) ranges.push({ from, to })
        from = to
      }
      if (ranges.length > 0) await this.#burn(block, ranges, 'expired')
      else await this.#drainIfEmpty(block.number)
    }
  }

  /** A cell was consumed by other means than a key: its bytes at hand go too. */
  forgetCell(block: bigint, offset: number): void {
    this.#open.wipeCells(block, offset, 1)
  }

  wipe(): void {
    this.#open.wipe()
  }

  /** A key in cells of the pool was not issued before its block set out. */
  #requireFree(found: readonly FoundKey[], saeIds: readonly string[]): void {
    const { ledger } = this.#options
    if (!ledger.holds.isOpen) return
    for (const { block, way } of found) {
      const record = block === undefined ? undefined : ledger.block(block)
      if (record !== undefined)
        ledger.holds.requireFree(record.number, { saeIds, issuedSinceMs: wayOf(ledger, record).sinceMs })
      if (way !== undefined) ledger.holds.requireFreeWays(way, saeIds)
    }
  }

  async #untilOver<T>(leaving: Promise<T>): Promise<T> {
    this.#leaving.add(leaving)
    try {
      return await leaving
    } finally {
      this.#leaving.delete(leaving)
    }
  }

  /** Unauthorised goes before unknown: a caller learns nothing of others' keys, and nothing is consumed in either case. */
  #findAll(pair: SaePair, keyIds: readonly string[], lifetimeMs: number | undefined): FoundKey[] {
    // A shorter lifetime ends the key as much earlier (R17).
    const earlierMs = lifetimeMs === undefined ? 0 : Math.max(0, this.#options.lifetimeMs() - lifetimeMs)
    const found = keyIds.map(keyId => {
      const canonical = canonicalKeyId(keyId)
      return canonical === undefined ? 'unknown' : this.#find(pair, canonical, earlierMs)
    })
    if (found.includes('foreign')) throw new UnauthorizedError('A key_ID was not issued for this pair of SAEs')
    if (found.includes('unknown')) throw new KeyNotFoundError()
    return found as FoundKey[]
  }

  #find(pair: SaePair, keyId: string, earlierMs: number): FoundKey | 'foreign' | 'unknown' {
    const { shared } = this.#options
    const claim = shared.claim(pair, keyId, earlierMs)
    if (claim === undefined) return this.#findCells(pair, keyId, earlierMs)
    if (typeof claim === 'string') return claim
    const { record, isLast, taking } = claim
    const { level, trustClass, sizeBytes, held, masterSaeId, slaveSaeId } = record
    const label = { keyId, sizeBits: sizeBytes * 8, level, trustClass }
    const way = record.ways
    if (held.kind === 'sealed') {
      const consumed = () => void shared.taken(claim).catch(() => {})
      return { label, way, block: undefined, read: () => shared.open(claim), changes: [taking], consumed }
    }
    const cells = this.#findCells({ masterSaeId, slaveSaeId }, keyId, earlierMs)
    if (typeof cells === 'string') return 'unknown'
    if (isLast) return { ...cells, label, way, changes: [taking, ...cells.changes] }
    return { ...cells, label, way, changes: [taking], consumed: () => {} }
  }

  /** The key whose selection a canonical key_ID is, sealed for exactly this pair. */
  #findCells(pair: SaePair, keyId: string, earlierMs: number): FoundKey | 'foreign' | 'unknown' {
    const { ledger, epochs } = this.#options
    let outcome: 'foreign' | 'unknown' = 'unknown'
    for (const epoch of epochs()) {
      const found = this.#openWith(epoch.keysOf(ledger.remoteSiteId), pair, keyId, earlierMs)
      if (typeof found !== 'string') return found
      if (found === 'foreign') outcome = found
    }
    return outcome
  }

  #openWith(keys: SealKeys, pair: SaePair, keyId: string, earlierMs: number): FoundKey | 'foreign' | 'unknown' {
    const { ledger, now } = this.#options
    const opened = openKeyId(keys, keyId)
    if (opened === undefined) return 'unknown'
    let plausible = false
    for (const block of ledger.blocksEndingIn(opened.blockLow)) {
      if (block.state !== 'ready' || ledger.owns(block)) continue
      if (endOf(opened) > block.horizon || blockKind(block.number) !== kindForSuite(opened.suite)) continue
      plausible = true
      if (!verifyKeyId(keys, pair, opened, block.number)) continue
      const { suite, offset, sizeBytes } = opened
      if (isExpired(block, endOf(opened), now() + earlierMs) || !isClear(block.consumed, offset, endOf(opened)))
        return 'unknown'
      return this.#inCells(block, { suite, block: block.number, offset, sizeBytes }, { pair, keyId })
    }
    // A tag that fits no block under a plausible selection is somebody else's key.
    return plausible ? 'foreign' : 'unknown'
  }

  #inCells(block: BlockRecord, selection: Selection, { pair, keyId }: { pair: SaePair; keyId: string }): FoundKey {
    const { poolId, remoteSiteId: issuerSiteId } = this.#options.ledger
    const { suite, offset, sizeBytes } = selection
    const { number, trustClass } = block
    const cells = cellsFor(sizeBytes)
    const context = { poolId, issuerSiteId, pair, trustClass, selection }
    return {
      label: { keyId, sizeBits: sizeBytes * 8, level: levelOf(suite), trustClass },
      origin: { block: number, suite },
      block: number,
      read: () => this.#open.with(block, async material => keyOf(material, context)),
      changes: [{ kind: 'consume', number, ownerSiteId: issuerSiteId, offset, cells }],
      consumed: () => {
        this.#open.wipeCells(number, offset, cells)
        // Draining may fail without harm to keys that are consumed and owed by now: the sweep comes back to it.
        this.#drainIfEmpty(number).catch(() => {})
      },
    }
  }

  /**
   * Bytes first, so that a block that does not open consumes nothing; they go to nobody before they are consumed, durably.
   * Undefined where a record has changed since it was looked at.
   */
  async #readAll(found: readonly FoundKey[], saeIds: readonly string[]): Promise<SecretKey[] | undefined> {
    const { ledger } = this.#options
    const secrets: SecretKey[] = []
    let isDone = false
    try {
      for (const { read } of found) secrets.push(await read())
      this.#requireFree(found, saeIds)
      const committed = this.#commits.commit(found.flatMap(({ changes }) => changes))
      const result = await this.#untilOver(committed)
      if (!result.ok && result.refusal === 'note-changed') return undefined
      if (!result.ok) throw new KeyNotFoundError()
      isDone = true
    } catch (error) {
      // A block that drained between the look and the read: whoever drained it has the key.
      const gone = found.some(({ block }) => block !== undefined && ledger.block(block)?.state !== 'ready')
      throw gone && error instanceof StoreError ? new KeyNotFoundError(undefined, { cause: error }) : error
    } finally {
      if (!isDone) for (const secret of secrets) secret.wipe()
    }
    for (const { consumed } of found) consumed()
    return secrets
  }

  async #onLease({ block: number, grant, from, cells, nonce }: MessageFields<'lease'>): Promise<void> {
    const { ledger, send } = this.#options
    const to = from + cells
    const ok = to <= PAYLOAD_CELLS && cells > 0 && (await this.#acknowledge(number, grant, from, to, false))
    if (ok) {
      send({ name: 'leaseOk', block: number, nonce })
      return
    }
    const block = ledger.block(number)
    const absent = block === undefined || block.state === 'dropped' ? 1 : 0
    send({ name: 'leaseNo', block: number, nonce, horizon: block?.horizon ?? 0, grant: block?.grant ?? 0, absent })
  }

  async #onRenew({ block: number, grant, from, to, nonce }: MessageFields<'renew'>): Promise<void> {
    const { send } = this.#options
    const ok = from < to && to <= PAYLOAD_CELLS && (await this.#acknowledge(number, grant, from, to, true))
    if (ok) send({ name: 'leaseOk', block: number, nonce })
    else send({ name: 'leaseNo', block: number, nonce, horizon: 0, grant: 0, absent: 0 })
  }

  /** A key of the range may be issued until the lease's end, and lives for the lifetime after that. */
  async #acknowledge(number: bigint, grant: number, from: number, to: number, renewal: boolean): Promise<boolean> {
    const { ledger, now, lifetimeMs } = this.#options
    const expiresAtMs = now() + LEASE_LIFE_MS + lifetimeMs()
    const result = await ledger.commit([
      { kind: 'acknowledge', number, grant, ownerSiteId: ledger.remoteSiteId, from, to, renewal, expiresAtMs },
    ])
    if (result.ok && !renewal) {
      const { remoteSiteId: peerSiteId, telemetry } = ledger
      telemetry.emit({ type: 'lease', peerSiteId, block: `${number}`, from, to, side: 'acknowledged' })
    }
    return result.ok
  }

  /** The owner issues nothing more from the block: what it never put under our acknowledgement can go at once. */
  async finish(block: BlockRecord): Promise<void> {
    if (block.horizon < PAYLOAD_CELLS)
      await this.#burn(block, [{ from: block.horizon, to: PAYLOAD_CELLS }], 'never issued')
    else await this.#drainIfEmpty(block.number)
  }

  async #burn(
    block: BlockRecord,
    ranges: { from: number; to: number }[],
    reason: 'expired' | 'never issued',
  ): Promise<void> {
    const { ledger } = this.#options
    const cells = ranges.reduce((sum, { from, to }) => sum + (to - from) - countSet(block.consumed, from, to), 0)
    const result = await ledger.commit([{ kind: 'burn', number: block.number, ranges }])
    if (!result.ok) throw new StoreError(`Cells of block ${block.number} cannot be burned: ${result.refusal}`)
    const peerSiteId = ledger.remoteSiteId
    if (reason === 'expired') ledger.telemetry.emit({ type: 'cells-expired', peerSiteId, cells })
    else ledger.telemetry.emit({ type: 'cells-burned', peerSiteId, cells, reason })
    await this.#drainIfEmpty(block.number)
  }

  /** Row 18. */
  async #drainIfEmpty(number: bigint): Promise<void> {
    const { ledger } = this.#options
    const block = ledger.block(number)
    if (block?.state === 'ready' && !ledger.owns(block) && allSet(block, 0, PAYLOAD_CELLS)) await ledger.move(18, block)
  }
}

function allSet(block: BlockRecord, from: number, to: number): boolean {
  return countSet(block.consumed, from, to) === to - from
}

/** True if the cells before `end` have outlived their time, even if the sweep has not come by yet. */
function isExpired(block: BlockRecord, end: number, nowMs: number): boolean {
  const span = block.expiry.find(({ to }) => to >= end)
  return span !== undefined && span.expiresAtMs <= nowMs
}

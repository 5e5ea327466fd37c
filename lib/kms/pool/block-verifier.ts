import { timingSafeEqual } from 'node:crypto'
import { PoolDesyncError } from '../../errors.ts'
import type { BlockRecord, Change } from '../../interface/pool-store.ts'
import type { QnlBlock } from '../../interface/qnl.ts'
import { deriveBlockSecret, withBlockSecret } from '../../key/construct.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { blockKind, isVirtual } from '../../key/virtual-block.ts'
import { newBlockRecord } from '../store/block-record.ts'
import { isSpent, raisedPast } from '../store/number-floor.ts'
import type { BlockLedger } from './block-ledger.ts'
import { BlockTagger } from './block-tagger.ts'
import { wayNote } from './block-way.ts'
import { pacedBlocks } from './paced-blocks.ts'
import type { MessageHandlers } from './peer-session.ts'
import type { MessageFields, PeerMessage } from './peer-wire.ts'

const TAG_BYTES = 16
/** Tags of blocks that our QNL has not delivered yet; the owner repeats a tag that was let go. */
const MAX_EARLY_TAGS = 256
/** How long a block may wait for its verification before the peer is asked again. */
const ASK_AGAIN_MS = 1000
/** After this long a block is taken for one that the peer may never get: it does not stand in the way of others any more. */
const OVERDUE_MS = 5000
/** Numbers that the peer may have dropped before they reach us: a bound on what a hostile peer makes us keep. */
const MAX_TOMBSTONES = 4096
/** The pair secret was refreshed in between: one of the two tags can't be made any more. */
const OTHER_EPOCH = 'its tag is of another epoch'
const TRUST_CLASSES = ['direct', 'split', 'relayed', 'post-quantum'] as const

/** What the verifier works on and with. */
export interface BlockVerifierOptions {
  readonly ledger: BlockLedger
  readonly send: (message: PeerMessage) => void
  /** Resolves once what was sent so far has gone out. */
  readonly drained: () => Promise<void>
  /** A block that isn't verified after this long goes, in milliseconds. */
  readonly verifyTimeoutMs: number
  /** Milliseconds on a clock that never steps. */
  readonly monotonicMs: () => number
  /** Called when a block can be issued from. */
  readonly onActive: (block: BlockRecord) => void
  /** Called when the two copies of a block differ. */
  readonly onMismatch: () => void
}

/**
 * Takes blocks in and makes sure that both sites hold the same bytes before a key of them is given out (rows 2 to 8 and
 * 29): the owner sends its one-time tag, the retriever compares and becomes ready, then answers with its own, and only
 * then does the owner issue.
 */
export class BlockVerifier {
  readonly #options: BlockVerifierOptions
  readonly #tagger: BlockTagger
  /** Material of received blocks, so that verifying does not read it back from the store. */
  readonly #pending = new Map<bigint, SecretKey>()
  /** The epoch of the pair secret that a received block's share of it is from, where this process has taken it in. */
  readonly #epochs = new Map<bigint, number>()
  readonly #earlyTags = new Map<bigint, MessageFields<'tag'>>()
  readonly #receivedAtMs = new Map<bigint, number>()
  #mismatches = 0
  #askedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: BlockVerifierOptions) {
    this.#options = options
    this.#tagger = new BlockTagger({ ledger: options.ledger, materialOf: number => this.#pending.get(number) })
    options.ledger.onDeath(number => this.#forget(number))
  }

  /** Blocks whose two copies differed since this process began. */
  get mismatches(): number {
    return this.#mismatches
  }

  /** Blocks of the network that wait for their verification, and those of them that have waited for long. */
  unverified(): { awaited: number; overdue: number } {
    const { ledger, monotonicMs } = this.#options
    const sinceMs = monotonicMs() - OVERDUE_MS
    let [awaited, overdue] = [0, 0]
    for (const { state, number } of ledger.blocks()) {
      if (state !== 'received' || blockKind(number) !== 'network') continue
      if ((this.#receivedAtMs.get(number) ?? Number.POSITIVE_INFINITY) > sinceMs) awaited++
      else overdue++
    }
    return { awaited, overdue }
  }

  readonly handlers: MessageHandlers = {
    tag: message => this.#onTag(message),
    ready: message => this.#onReady(message),
    drop: message => this.#onDrop(message),
    dropOk: message => this.#onDropOk(message),
    status: message => this.#onStatus(message),
  }

  /** Row 2: takes over a block from the QNL, its secret included. */
  async receive(qnlBlock: QnlBlock): Promise<void> {
    const { ledger } = this.#options
    const { number, secret, trustClass, relays } = qnlBlock
    if (blockKind(number) !== 'network') {
      secret.wipe()
      throw new PoolDesyncError(`The QNL gave a block with the number of a virtual one: ${number}`)
    }
    const ownerSiteId = ledger.pair.siteIds[Number(number % 2n)]!
    const record = newBlockRecord({ number, ownerSiteId, trustClass, relays, slot: -1 })
    const block = await this.takeIn(record, secret, { row: 2, also: wayNote(qnlBlock) })
    if (block === 'refused') await this.#passOver(number)
    if (typeof block === 'string') return
    if (ledger.owns(block)) await this.sendTag(block)
    const early = this.#earlyTags.get(number)
    if (early !== undefined) {
      this.#earlyTags.delete(number)
      await this.#onTag(early)
    }
  }

  /**
   * Takes a block in, by the row that it comes by, to be verified next; `cells` are taken over. `also` is written with it.
   * `refused`: its number is spent, or the store refused `also`. `outlived`: the pool began anew meanwhile.
   */
  async takeIn(
    record: BlockRecord,
    cells: SecretKey,
    how: { row: 2 | 30; also?: readonly Change[] },
  ): Promise<BlockRecord | 'refused' | 'outlived'> {
    const { ledger, monotonicMs } = this.#options
    const { number } = record
    const { poolEpoch } = ledger.pool
    const epoch = ledger.secret?.seal.number
    const material = this.#withSecret(record, cells)
    this.#pending.set(number, material)
    this.#epochs.set(number, epoch!)
    const isIn = await ledger.insert(record, material, how).catch(error => {
      this.#forget(number)
      throw error
    })
    if (!isIn) {
      this.#forget(number)
      return 'refused'
    }
    this.#receivedAtMs.set(number, monotonicMs())
    const block = ledger.block(number)!
    if (ledger.pool.poolEpoch === poolEpoch && ledger.secret?.seal.number === epoch) return block
    await this.drop(7, block, 'the pool or its secret began anew while it came')
    return 'outlived'
  }

  /** Adds the block's share of the sites' secret, which its tags then cover too. Takes `cells` over. */
  #withSecret({ number, trustClass }: BlockRecord, cells: SecretKey): SecretKey {
    const { poolId, secret } = this.#options.ledger
    if (secret === undefined) {
      cells.wipe()
      throw new PoolDesyncError(`Block ${number} came before the two sites had a secret`)
    }
    const epoch = secret.seal.number
    const blockSecret = deriveBlockSecret(secret.root, { poolId, block: number, trustClass, epoch })
    try {
      return withBlockSecret(cells, blockSecret)
    } finally {
      cells.wipe()
      blockSecret.wipe()
    }
  }

  /** Says again what may have been lost with the last session, and asks about what only the owner knows (row 28). */
  async resume(): Promise<void> {
    const { ledger, send, drained, monotonicMs } = this.#options
    for await (const block of pacedBlocks(ledger, drained)) {
      const { number, grant, state } = block
      if (state === 'dropped') send({ name: 'drop', block: number, grant, reason: 'dropped before' })
      if (state === 'ready' && !ledger.owns(block)) send({ name: 'status', block: number, grant })
      if (state !== 'received') continue
      if (blockKind(number) !== 'network' && ledger.owns(block)) {
        // What it was opened with may have been lost with the session, and is not kept.
        await this.drop(7, block, 'the session ended before it was verified')
        continue
      }
      this.#receivedAtMs.set(number, monotonicMs())
      await this.#ask(block)
    }
  }

  /** Row 7, while a session is open; before that, what waits is asked about again. */
  async sweep(): Promise<void> {
    const { ledger, monotonicMs, verifyTimeoutMs } = this.#options
    const nowMs = monotonicMs()
    const isTimeToAsk = nowMs - this.#askedAtMs >= ASK_AGAIN_MS
    if (isTimeToAsk) this.#askedAtMs = nowMs
    for (const [number, sinceMs] of [...this.#receivedAtMs]) {
      const block = ledger.block(number)
      if (block?.state !== 'received') this.#receivedAtMs.delete(number)
      else if (nowMs - sinceMs > verifyTimeoutMs) await this.drop(7, block, 'not verified in time')
      else if (isTimeToAsk && nowMs - sinceMs >= ASK_AGAIN_MS) await this.#ask(block)
    }
  }

  /** A block that the peer lost before it had it on disk would stand in the way of new ones for the whole time-out. */
  async #ask(block: BlockRecord): Promise<void> {
    const { ledger, send } = this.#options
    if (ledger.owns(block)) await this.sendTag(block)
    else send({ name: 'status', block: block.number, grant: block.grant })
  }

  /** Drops a block durably, then tells the peer. */
  async drop(row: 5 | 7 | 29, block: BlockRecord, reason: string): Promise<void> {
    const { ledger, send } = this.#options
    if (await ledger.move(row, block, { reason }))
      send({ name: 'drop', block: block.number, grant: block.grant, reason })
  }

  wipe(): void {
    for (const secret of this.#pending.values()) secret.wipe()
    this.#pending.clear()
  }

  /** Sends the owner's tag of a block, the same one each time. */
  async sendTag(block: BlockRecord): Promise<void> {
    const { ledger, send } = this.#options
    const epoch = ledger.secret?.seal.number
    if (epoch === undefined) return
    if (!this.#isOf(epoch, block)) {
      await this.drop(7, block, OTHER_EPOCH)
      return
    }
    const tagged = await this.#tagger.tagOwn(block)
    // What went with the secret that it was tagged under is told to the peer as dropped.
    const isOver = ledger.secret?.seal.number !== epoch || ledger.block(block.number)?.state !== 'received'
    if (tagged === undefined || isOver) return
    send({
      name: 'tag',
      block: tagged.number,
      grant: tagged.grant,
      trustClass: TRUST_CLASSES.indexOf(tagged.trustClass),
      relays: tagged.relays,
      owner: tagged.ownerSiteId,
      macBlock: tagged.macBlock,
      epoch,
      tag: tagged.tags.subarray(0, TAG_BYTES),
    })
  }

  async #onTag(message: MessageFields<'tag'>): Promise<void> {
    const { ledger, send } = this.#options
    const block = ledger.block(message.block)
    if (block === undefined) {
      const isAwaited = blockKind(message.block) === 'network' && !isSpent(ledger.pool, message.block)
      if (isAwaited) this.#holdEarlyTag(message)
      // Every number at or below the floor that has no row is gone for good here; so is one that was not opened before its tag.
      else send({ name: 'drop', block: message.block, grant: message.grant, reason: 'not held' })
      return
    }
    if (ledger.owns(block)) return
    if (block.state === 'dropped') {
      send({ name: 'drop', block: block.number, grant: block.grant, reason: 'dropped before' })
    } else if (block.state === 'ready') {
      // Row 4: a repeated tag gets the repeated answer; a different one gets none, and may not make us drop alone.
      if (equalTags(message.tag, block.tags.subarray(0, TAG_BYTES))) this.#sendReady(block)
    } else if (block.state === 'received') {
      const epoch = ledger.secret?.seal.number
      if (message.epoch === epoch && this.#isOf(epoch, block)) await this.#compareTag(block, message)
      else await this.drop(7, block, OTHER_EPOCH)
    }
  }

  /** False for a block with a share of the pair secret of another epoch: it was on its way into the store at the switch. */
  #isOf(epoch: number, { number }: BlockRecord): boolean {
    return (this.#epochs.get(number) ?? epoch) === epoch
  }

  async #compareTag(block: BlockRecord, message: MessageFields<'tag'>): Promise<void> {
    const { ledger } = this.#options
    const source = message.macBlock === 0n ? undefined : ledger.block(message.macBlock)
    const isUnfit = source === undefined || source.state !== 'ready' || source.macSpent || isVirtual(source)
    if (message.macBlock !== 0n && (isUnfit || isVirtual(block))) {
      await this.drop(5, block, 'the block named to authenticate it is not to be had')
      return
    }
    const tags = await this.#tagger.tags(block, source)
    if (!equalTags(message.tag, tags.owner)) {
      // Computed over a switch, they say nothing of the bytes.
      if (ledger.secret?.seal.number === message.epoch) await this.#mismatch(block)
      else await this.drop(7, block, OTHER_EPOCH)
      return
    }
    const patch = { tags: Buffer.concat([tags.owner, tags.retriever]), macBlock: message.macBlock }
    const also =
      source === undefined ? [] : [{ kind: 'spend-mac' as const, number: source.number, from: 'ready' as const }]
    if (!(await ledger.move(3, block, { patch, also }))) return
    this.#forget(block.number)
    this.#sendReady(ledger.block(block.number)!)
  }

  #sendReady(block: BlockRecord): void {
    this.#options.send({ name: 'ready', block: block.number, grant: block.grant, tag: block.tags.subarray(TAG_BYTES) })
  }

  async #onReady(message: MessageFields<'ready'>): Promise<void> {
    const { ledger } = this.#options
    const block = ledger.block(message.block)
    if (block === undefined || block.state !== 'received' || !ledger.owns(block) || block.tags.length === 0) return
    if (!equalTags(message.tag, block.tags.subarray(TAG_BYTES))) {
      await this.#mismatch(block)
      return
    }
    await ledger.move(6, block)
    this.#forget(block.number)
    this.#options.onActive(block)
  }

  /** Row 5: the two sites hold different bytes under one number, or somebody altered a tag. */
  async #mismatch(block: BlockRecord): Promise<void> {
    const { ledger } = this.#options
    this.#mismatches++
    ledger.telemetry.emit({
      type: 'alarm',
      id: `block-mismatch:${ledger.pair.name}`,
      severity: 'major',
      state: 'raised',
      text: `Block ${block.number} differs between ${ledger.pair.siteIds.join(' and ')}; it was erased at both`,
    })
    await this.drop(5, block, 'tags differ')
    this.#options.onMismatch()
  }

  async #onDrop({ block: number, grant }: MessageFields<'drop'>): Promise<void> {
    const { ledger, send } = this.#options
    const block = ledger.block(number)
    this.#earlyTags.delete(number)
    if (block === undefined) {
      if (isSpent(ledger.pool, number)) {
        // It came and went, or never can.
      } else if (blockKind(number) !== 'network') {
        // A word about our own numbers would be the peer's way to use them up.
        if (ledger.pair.siteIds[Number(number % 2n)] === ledger.remoteSiteId) await this.#passOver(number)
      } else {
        if (this.#tombstones() >= MAX_TOMBSTONES) return
        await ledger.insertDropped(
          newBlockRecord({
            number,
            grant,
            ownerSiteId: ledger.remoteSiteId,
            trustClass: 'direct',
            relays: [],
            slot: -1,
          }),
        )
      }
    } else if (block.grant !== grant) {
      // It speaks of a time before the block changed hands.
      return
    } else if (block.state !== 'dropped' && block.state !== 'drained') {
      await ledger.move(ledger.owns(block) ? 29 : 8, block, { reason: 'the peer dropped it' })
    }
    // The peer's own record stands durably: ours may go as soon as the number can't come again.
    if (isSpent(ledger.pool, number) && ledger.block(number)?.state === 'dropped') await ledger.remove(number)
    send({ name: 'dropOk', block: number })
  }

  async #onDropOk({ block: number }: MessageFields<'dropOk'>): Promise<void> {
    const { ledger } = this.#options
    if (ledger.block(number)?.state === 'dropped' && isSpent(ledger.pool, number)) await ledger.remove(number)
  }

  /** A number that was dropped before it came: the floor rises past it, and its row may go. */
  async #passOver(number: bigint): Promise<void> {
    const { ledger } = this.#options
    const { poolEpoch } = ledger.pool
    if (!isSpent(ledger.pool, number)) {
      await ledger.commit([{ kind: 'pool', poolEpoch, patch: raisedPast(ledger.pool, number) }])
    }
    if (ledger.block(number)?.state === 'dropped') await ledger.remove(number)
  }

  /**
   * Row 28 at the owner. A number at or below the floor without a row was used up, or never came; it is told once and for
   * all, and neither can change.
   */
  #onStatus({ block: number, grant }: MessageFields<'status'>): void {
    const { ledger, send } = this.#options
    const block = ledger.block(number)
    if (block === undefined && isSpent(ledger.pool, number)) send({ name: 'finished', block: number, grant })
    else if (block?.state === 'dropped') send({ name: 'drop', block: number, grant, reason: 'dropped before' })
  }

  #tombstones(): number {
    let count = 0
    for (const { state } of this.#options.ledger.blocks()) if (state === 'dropped') count++
    return count
  }

  #holdEarlyTag(message: MessageFields<'tag'>): void {
    const [oldest] = this.#earlyTags.keys()
    if (this.#earlyTags.size >= MAX_EARLY_TAGS && oldest !== undefined) this.#earlyTags.delete(oldest)
    this.#earlyTags.set(message.block, message)
  }

  #forget(number: bigint): void {
    this.#pending.get(number)?.wipe()
    this.#pending.delete(number)
    this.#epochs.delete(number)
    this.#receivedAtMs.delete(number)
  }
}

function equalTags(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

import { randomBytes } from 'node:crypto'
import { PoolDesyncError, ProtocolError, QkdError } from '../../errors.ts'
import type { Incident, IncidentEffect } from '../../interface/incident.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import type { BlockRecord } from '../../interface/pool-store.ts'
import { abortable, withDeadline } from '../../util/deadline.ts'
import { type Deferred, deferred } from '../../util/deferred.ts'
import type { Hold, LeavingKey } from './block-holds.ts'
import type { BlockLedger } from './block-ledger.ts'
import { type StoredWay, wayOf } from './block-way.ts'
import type { MessageHandlers } from './peer-session.ts'
import { type MessageFields, NONCE_BYTES, type PeerMessage } from './peer-wire.ts'

/** How long the peer may take to say that it holds, in milliseconds. */
const ANSWER_MS = 5000
/** More than an incident with the longest names and reason. */
const MAX_BODY_BYTES = 32_768
/** Tellings under way at a time. */
const MAX_PENDING = 64

/** Another site's part in incidents, as this site's desk has it. */
export interface IncidentHearer {
  /** Does what the peer says, durably; resolves when no key that is held leaves any more. */
  hear(incident: Incident): Promise<IncidentEffect>
  /** A session is open: what the peer was not told is to be told now. */
  met(): void
}

/** What the line works on and with. */
export interface IncidentLineOptions {
  readonly ledger: BlockLedger
  readonly send: (message: PeerMessage) => void
  readonly isConnected: () => boolean
  /** Resolves when retrievals that have passed the holds before are over. */
  readonly retrievalsOver: () => Promise<void>
}

/**
 * Incidents in one pool: what is held back in it, the durable end of what is erased, and the word to and from the peer. A block
 * is erased by its owner alone (R7, R11): each site erases its own, and the other by its drop.
 */
export class IncidentLine {
  readonly #options: IncidentLineOptions
  readonly #pending = new Map<string, Deferred<IncidentEffect>>()
  #hearer: IncidentHearer | undefined
  #hasMet = false

  constructor(options: IncidentLineOptions) {
    this.#options = options
  }

  readonly handlers: MessageHandlers = {
    incident: message => this.#onIncident(message),
    incidentOk: ({ nonce, body }) => this.#take(nonce)?.resolve(effectIn(body)),
    incidentNo: ({ nonce, reason }) => this.#take(nonce)?.reject(this.#away(`refused: ${reason}`)),
  }

  /** Takes what the peer says from now on. */
  serve(hearer: IncidentHearer): void {
    this.#hearer = hearer
    if (this.#options.isConnected()) this.met()
  }

  /** The peer is there. */
  met(): void {
    this.#hasMet = true
    this.#hearer?.met()
  }

  /** These hold from now on; resolves when no key that they keep back is on its way to a host any more. */
  async hold(holds: readonly Hold[]): Promise<void> {
    this.#options.ledger.holds.set(holds)
    if (holds.length > 0) await this.#options.retrievalsOver()
  }

  /**
   * The last word on a key that other sites had to confirm first.
   * @throws {PolicyError} it is held back by now
   */
  requireFree(block: bigint, key: LeavingKey): void {
    this.#options.ledger.holds.requireFree(block, key)
  }

  /** How a block of this pool came; undefined for one that is gone. */
  wayOf(number: bigint): StoredWay | undefined {
    const { ledger } = this.#options
    const block = ledger.block(number)
    return block && wayOf(ledger, block)
  }

  /** Live blocks that the hold of that ID is about. */
  blocksOf(id: string): number {
    return this.#options.ledger.holds.blocksOf(id).length
  }

  /**
   * Rows 7 and 29 for every block that the hold is about and this site may drop; the peer is told with each. Nothing before the
   * peer was met: a commit could make a restored store look new.
   */
  async erase(id: string): Promise<number> {
    const { ledger, send } = this.#options
    let erased = 0
    for (const block of this.#hasMet ? ledger.holds.blocksOf(id) : []) {
      const row = rowFor(block, ledger)
      if (row === undefined) continue
      const reason = `incident ${id}`
      if (!(await ledger.move(row, block, { reason }))) continue
      erased += 1
      send({ name: 'drop', block: block.number, grant: block.grant, reason })
    }
    return erased
  }

  /**
   * Tells the peer; resolves when it has done its part, durably.
   * @throws {PoolDesyncError} it can't be reached, or did not answer: what it does is not known
   */
  async tell(incident: Incident, { signal }: AbortOptions = {}): Promise<IncidentEffect> {
    if (!this.#options.isConnected()) throw this.#away('cannot be reached')
    if (this.#pending.size >= MAX_PENDING) throw this.#away('has too much to answer already')
    const nonce = randomBytes(NONCE_BYTES)
    const key = nonce.toString('hex')
    const answer = deferred<IncidentEffect>()
    this.#pending.set(key, answer)
    this.#options.send({ name: 'incident', nonce, body: Buffer.from(JSON.stringify(incident)) })
    try {
      return await abortable(answer.promise, { signal: withDeadline(signal, ANSWER_MS) })
    } catch (error) {
      signal?.throwIfAborted()
      throw error instanceof QkdError ? error : this.#away('did not answer in time')
    } finally {
      this.#pending.delete(key)
    }
  }

  /** The session is lost: no answer will come any more. */
  abandon(): void {
    for (const answer of this.#pending.values()) answer.reject(this.#away('went away before it answered'))
    this.#pending.clear()
  }

  /** Other messages wait until it is done: a lease that was acknowledged before is one that was held before. */
  async #onIncident({ nonce, body }: MessageFields<'incident'>): Promise<void> {
    const { send } = this.#options
    try {
      if (this.#hearer === undefined) throw this.#away('is not ready')
      const effect = await this.#hearer.hear(parse(body) as Incident)
      send({ name: 'incidentOk', nonce, body: Buffer.from(JSON.stringify(effect)) })
    } catch (error) {
      if (!(error instanceof QkdError)) throw error
      send({ name: 'incidentNo', nonce, reason: error.message.slice(0, 250) })
    }
  }

  #take(nonce: Uint8Array): Deferred<IncidentEffect> | undefined {
    return this.#pending.get(Buffer.from(nonce).toString('hex'))
  }

  #away(what: string): PoolDesyncError {
    return new PoolDesyncError(`The KMS of ${this.#options.ledger.remoteSiteId} ${what}`, { retryAfterMs: 1000 })
  }
}

/** The row by which this site may end a block alone; undefined where it is the peer's to end. */
function rowFor({ state, ...block }: BlockRecord, ledger: BlockLedger): 7 | 29 | undefined {
  if (state === 'received') return 7
  return state === 'active' && ledger.owns({ ...block, state }) ? 29 : undefined
}

/** @throws {ProtocolError} the peer's message holds no JSON object, or one that is larger than any incident */
function parse(body: Uint8Array): object {
  if (body.byteLength <= MAX_BODY_BYTES) {
    try {
      const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'))
      if (typeof value === 'object' && value !== null) return value
    } catch {
      // Said below.
    }
  }
  throw new ProtocolError('A message about an incident is not right')
}

function effectIn(body: Uint8Array): IncidentEffect {
  const { blocks, erased } = parse(body) as Partial<IncidentEffect>
  if (!Number.isSafeInteger(blocks) || !Number.isSafeInteger(erased))
    throw new ProtocolError('The answer about an incident is not right')
  return { blocks: blocks!, erased: erased! }
}

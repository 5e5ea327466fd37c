import {
  ClosedError,
  createQkdError,
  InvalidArgumentError,
  isQkdErrorCode,
  NoRouteError,
  ProtocolError,
} from '../errors.ts'
import type { AbortOptions, Unsubscribe } from '../interface/lifecycle.ts'
import type { Logger } from '../interface/logger.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import type { Demand, DemandGrant, NextBlockOptions, Qnl, QnlBlock, QnlEvent, QnlStatus } from '../interface/qnl.ts'
import { BackOff, type BackOffOptions } from '../util/back-off.ts'
import { debugLogger } from '../util/debug-logger.ts'
import { Listeners } from '../util/listeners.ts'
import { BlockDesk } from './block-desk.ts'
import { checkDemand } from './demand-book.ts'
import { MAX_WAITING_CALLS } from './direct-qnl.ts'
import { type PlainCall, PlainCalls } from './plain-calls.ts'
import { type DialQnl, QnlLine } from './qnl-line.ts'
import type { QnlAnswers } from './qnl-message.ts'
import type { QnlMessage } from './qnl-wire.ts'
import { MAX_OUTSTANDING_CALLS } from './serve-qnl.ts'
import { StandingDemands } from './standing-demands.ts'

const MAX_SITE_ID_CHARS = 128
const MAX_NUMBER = 2n ** 63n - 1n
const MAX_ID = 2 ** 32 - 1

/** Which QNL to reach, and how: by one open channel, or by opening channels as they are needed. */
export type RemoteQnlOptions = {
  /** The site whose QNL is at the other end. */
  siteId: string
  /** Default `NODE_DEBUG=qkd:qnl`. */
  logger?: Logger
} & (
  | {
      /** An open channel, which the `RemoteQnl` closes; when it is lost every call is refused. */
      channel: MessageChannel
    }
  | {
      /** Opens a channel to the QNL: at once, and again whenever it is lost. Calls wait for it until their signal aborts. */
      dial: DialQnl
      /** Pauses between two tries. Default from 100 ms to 5 s. */
      backOff?: BackOffOptions
    }
)

/** The QNL node of this site in another process, over a channel that somebody else authenticates. */
export function createRemoteQnl(options: RemoteQnlOptions): Qnl {
  const { siteId, logger = debugLogger('qnl') } = options
  if ('dial' in options) {
    return new RemoteQnl({ siteId, logger, dial: options.dial, backOff: new BackOff(options.backOff) })
  }
  return new RemoteQnl({ siteId, logger, dial: async () => options.channel, backOff: undefined })
}

class RemoteQnl implements Qnl {
  readonly siteId: string
  readonly #line: QnlLine
  readonly #calls = new PlainCalls(id => this.#line.send({ type: 'cancel', id, head: {} }))
  readonly #desks = new Map<string, BlockDesk>()
  /** Calls for a block that have no answer yet, and whose they are. */
  readonly #asked = new Map<number, { remoteSiteId: string; desk: BlockDesk }>()
  readonly #demands = new StandingDemands()
  readonly #listeners = new Listeners<QnlEvent>()
  #lastId = 0
  #failure: ClosedError | undefined

  constructor(options: { siteId: string; logger: Logger; dial: DialQnl; backOff: BackOff | undefined }) {
    this.siteId = options.siteId
    this.#line = new QnlLine({
      ...options,
      onUp: () => this.#resume(),
      onMessage: message => this.#take(message),
      onDown: reason => this.#suspend(reason),
      onEnd: cause => this.#end(cause),
    })
  }

  remoteSiteIds(options: AbortOptions = {}): Promise<readonly string[]> {
    return this.#call({ op: 'remoteSiteIds' }, options)
  }

  async setDemand(remoteSiteId: string, demand: Demand, options: AbortOptions = {}): Promise<DemandGrant> {
    const checked = checkDemand(demand)
    this.#requireSiteId(remoteSiteId)
    const grant = await this.#call({ op: 'setDemand', remoteSiteId, demand: checked }, options)
    this.#emit(this.#demands.record(remoteSiteId, checked, grant))
    return grant
  }

  async nextBlock(remoteSiteId: string, { signal, after = 0n }: NextBlockOptions = {}): Promise<QnlBlock> {
    this.#requireRoom()
    signal?.throwIfAborted()
    this.#requireSiteId(remoteSiteId)
    if (after < 0n || after > MAX_NUMBER) throw new InvalidArgumentError(`after must be from 0 to ${MAX_NUMBER}`)
    const desk = this.#deskFor(remoteSiteId)
    try {
      return await desk.take({ signal, after })
    } finally {
      // Desks come and go with what is asked, so that names that lead nowhere leave nothing behind.
      if (desk.idle && this.#desks.get(remoteSiteId) === desk) this.#desks.delete(remoteSiteId)
    }
  }

  async status(options: AbortOptions = {}): Promise<QnlStatus> {
    const status = await this.#call({ op: 'status' }, options)
    // JSON leaves undefined fields out; here they are there, as in the embedded QNL.
    return { ...status, links: status.links.map(link => ({ ...link, reason: link.reason, qber: link.qber })) }
  }

  onEvent(listener: (event: QnlEvent) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  async close(): Promise<void> {
    this.#end(undefined)
    await this.#line.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #call<C extends PlainCall>(call: C, options: AbortOptions): Promise<QnlAnswers[C['op']]> {
    this.#requireRoom()
    const answer = this.#calls.add(this.#nextId(), call, options)
    this.#flush()
    return answer
  }

  /** The QNL has answered: it learns the demands again, and gets what waited meanwhile. */
  #resume(): void {
    this.#emit(this.#demands.expire())
    for (const [remoteSiteId, demand] of this.#demands.remaining()) {
      const id = this.#nextId()
      // Before what waits to be sent: a newer demand may be among that, and the last one stands.
      this.#calls.add(id, { op: 'setDemand', remoteSiteId, demand }, { isFirst: true }).then(
        grant => this.#emit(this.#demands.regain(remoteSiteId, grant)),
        // A demand that the QNL now refuses stays unserved, which the KMS knows.
        () => {},
      )
    }
    this.#flush()
  }

  #suspend(reason: string): void {
    this.#calls.disconnect()
    this.#asked.clear()
    for (const desk of this.#desks.values()) desk.disconnect()
    this.#emit(this.#demands.lose(`No connection to the QNL: ${reason}`))
  }

  #end(cause: unknown): void {
    if (this.#failure !== undefined) return
    const why = cause instanceof Error ? `The connection to it is lost: ${cause.message}` : 'It is closed'
    this.#failure = new ClosedError(`The QNL of site "${this.siteId}" is out of use. ${why}`, { cause })
    this.#calls.close(this.#failure)
    for (const desk of this.#desks.values()) desk.close(this.#failure)
    this.#asked.clear()
    this.#listeners.clear()
  }

  #take(message: QnlMessage): void {
    switch (message.type) {
      case 'event':
        this.#demands.note(message.head)
        this.#emit([message.head])
        return
      case 'answer':
        this.#calls.answer(message.id, message.head.value)
        break
      case 'cancelled':
        this.#settle(message.id, undefined)
        break
      case 'failure': {
        const { code, message: text, ...options } = message.head
        this.#settle(message.id, createQkdError(isQkdErrorCode(code) ? code : 'ERR_QKD_PROTOCOL', text, options))
        break
      }
      case 'block':
        this.#deliver(message)
        break
      default:
        throw new ProtocolError(`A message of type ${message.type} is out of place`)
    }
    this.#flush()
  }

  #deliver({ id, head, secret }: Extract<QnlMessage, { type: 'block' }>): void {
    const asked = this.#asked.get(id)
    if (asked === undefined || asked.remoteSiteId !== head.remoteSiteId) {
      secret.wipe()
      throw new ProtocolError(`A block for call ${id}, which did not ask for it`)
    }
    this.#asked.delete(id)
    asked.desk.deliver(id, { ...head, number: BigInt(head.number), secret })
  }

  #settle(id: number, error: Error | undefined): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (asked === undefined) this.#calls.fail(id, error)
    else asked.desk.settle(id, error)
  }

  /** Sends what waits to be sent, as far as the bound on open calls allows. */
  #flush(): void {
    this.#calls.sendAll((id, call) => this.#send({ type: 'call', id, head: call }))
    for (const desk of this.#desks.values()) desk.balance()
  }

  #send(message: QnlMessage): boolean {
    if (!this.#line.up || this.#asked.size + this.#calls.size >= MAX_OUTSTANDING_CALLS) return false
    this.#line.send(message)
    return true
  }

  #deskFor(remoteSiteId: string): BlockDesk {
    const known = this.#desks.get(remoteSiteId)
    if (known !== undefined) return known
    const desk: BlockDesk = new BlockDesk({
      ask: after => {
        const id = this.#nextId()
        if (!this.#send({ type: 'call', id, head: { op: 'nextBlock', remoteSiteId, after: `${after}` } }))
          return undefined
        this.#asked.set(id, { remoteSiteId, desk })
        return id
      },
      cancel: id => this.#line.send({ type: 'cancel', id, head: {} }),
    })
    this.#desks.set(remoteSiteId, desk)
    return desk
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % MAX_ID) + 1
    while (this.#asked.has(this.#lastId) || this.#calls.has(this.#lastId))
    return this.#lastId
  }

  #emit(events: readonly QnlEvent[]): void {
    for (const event of events) this.#listeners.emit(event)
  }

  #requireRoom(): void {
    if (this.#failure !== undefined) throw this.#failure
    let waiting = this.#calls.size
    for (const desk of this.#desks.values()) waiting += desk.waiting
    if (waiting < MAX_WAITING_CALLS) return
    throw new InvalidArgumentError(`${MAX_WAITING_CALLS} calls wait for the QNL: await some before making more`)
  }

  /** A name that no site can have is one that no path leads to. */
  #requireSiteId(remoteSiteId: string): void {
    if (typeof remoteSiteId === 'string' && remoteSiteId !== '' && remoteSiteId.length <= MAX_SITE_ID_CHARS) return
    throw new NoRouteError(`No link joins "${this.siteId}" and a site of that name`)
  }
}

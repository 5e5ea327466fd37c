import { ProtocolError, QkdError, UnauthorizedError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import type { Qnl } from '../interface/qnl.ts'
import { untilEnded } from '../util/until-ended.ts'
import { QNL_WIRE_VERSION, type QnlCall } from './qnl-message.ts'
import { QnlMessenger } from './qnl-messenger.ts'
import type { QnlMessage } from './qnl-wire.ts'

/** Calls that one client may have without an answer. */
export const MAX_OUTSTANDING_CALLS = 512

/** Whom to serve, and until when. */
export interface ServeQnlOptions extends AbortOptions {
  /** The KMEs that may take this site's key material: identities as the channel authenticates them. */
  peerIds: readonly string[]
}

/**
 * Serves `qnl` to the KMS at the other end of `channel`, which is closed when this ends. Resolves when either end has
 * closed, the QNL was closed, or the signal aborts. The QNL itself stays open.
 * @throws {UnauthorizedError} the peer is none of `peerIds`
 * @throws {ProtocolError} the peer broke the rules
 */
export async function serveQnl(qnl: Qnl, channel: MessageChannel, options: ServeQnlOptions): Promise<void> {
  const { peerIds, signal } = options
  if (!peerIds.includes(channel.peerId)) {
    await channel.close()
    throw new UnauthorizedError(`"${channel.peerId}" may not take key material of site "${qnl.siteId}"`)
  }
  await untilEnded(new ServerSession(qnl, channel), { signal })
}

/** One client's calls, each answered once. */
class ServerSession {
  readonly #qnl: Qnl
  readonly #messenger: QnlMessenger
  readonly #calls = new Map<number, AbortController>()
  readonly ended: Promise<unknown>

  constructor(qnl: Qnl, channel: MessageChannel) {
    this.#qnl = qnl
    this.#messenger = new QnlMessenger({ channel, onMessage: message => this.#take(message) })
    const unsubscribe = qnl.onEvent(event => this.#messenger.send({ type: 'event', id: 0, head: event }))
    this.#messenger.send({ type: 'hello', id: 0, head: { version: QNL_WIRE_VERSION, siteId: qnl.siteId } })
    this.ended = this.#messenger.ended.finally(() => {
      unsubscribe()
      for (const call of this.#calls.values()) call.abort()
    })
  }

  end(reason?: unknown): void {
    this.#messenger.end(reason)
  }

  #take(message: QnlMessage): void {
    const { type, id, head } = message
    if (type === 'cancel') this.#calls.get(id)?.abort()
    else if (type === 'call') {
      if (this.#calls.has(id)) throw new ProtocolError(`Call ${id} was not answered yet`)
      if (this.#calls.size >= MAX_OUTSTANDING_CALLS) throw new ProtocolError(`More than ${MAX_OUTSTANDING_CALLS} calls`)
      const call = new AbortController()
      this.#calls.set(id, call)
      void this.#serve(id, head, call)
    } else {
      if (type === 'block') message.secret.wipe()
      throw new ProtocolError(`A message of type ${type} is out of place`)
    }
  }

  async #serve(id: number, call: QnlCall, { signal }: AbortController): Promise<void> {
    const answer = await this.#perform(id, call, signal).catch((error): QnlMessage | undefined => {
      if (signal.aborted && error === signal.reason) return { type: 'cancelled', id, head: {} }
      const failure = asQkdError(error)
      // A QNL that was closed says so by closing the channel, so that the client looks for the next one.
      if (failure.code === 'ERR_QKD_CLOSED') return undefined
      const { code, message, details, retryAfterMs } = failure
      return {
        type: 'failure',
        id,
        head: { code, message, details, ...(retryAfterMs !== undefined && { retryAfterMs }) },
      }
    })
    this.#calls.delete(id)
    if (answer === undefined) this.end()
    else this.#messenger.send(answer)
  }

  async #perform(id: number, call: QnlCall, signal: AbortSignal): Promise<QnlMessage> {
    switch (call.op) {
      case 'remoteSiteIds':
        return { type: 'answer', id, head: { value: await this.#qnl.remoteSiteIds() } }
      case 'status':
        return { type: 'answer', id, head: { value: await this.#qnl.status({ signal }) } }
      case 'setDemand': {
        const grant = await this.#qnl.setDemand(call.remoteSiteId, call.demand, { signal })
        return { type: 'answer', id, head: { value: grant } }
      }
      case 'nextBlock': {
        const options = { signal, after: BigInt(call.after) }
        const { number, secret, ...rest } = await this.#qnl.nextBlock(call.remoteSiteId, options)
        return { type: 'block', id, head: { ...rest, number: `${number}` }, secret }
      }
    }
  }
}

function asQkdError(error: unknown): QkdError {
  if (error instanceof QkdError) return error
  return new ProtocolError(`The QNL failed: ${(error as Error).message}`)
}

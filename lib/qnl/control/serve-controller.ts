import { ProtocolError, QkdError, UnauthorizedError } from '../../errors.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import type { DrainTarget, NetworkController, NetworkStatus, NodeSeat } from '../../interface/network-controller.ts'
import {
  CONTROL_WIRE_VERSION,
  type ControlCall,
  decodeToController,
  encodeControl,
  type FromController,
} from './control-message.ts'
import { ControlStream } from './control-stream.ts'

/** Calls that one connection may have without an answer. */
const MAX_CALLS = 16

/** Who may say what. */
export interface ServeControllerOptions extends AbortOptions {
  readonly controllerId: string
  /** The site that an authenticated peer speaks for; undefined for one that speaks for none. */
  readonly siteOf: (peerId: string) => string | undefined
  /** True for peers that may drain and restore anything. A site may do so with itself and its own links. */
  readonly isOperator: (peerId: string) => boolean
}

/**
 * Serves `controller` to a node, or to a person who watches, at the other end of `channel`, which is closed when this ends.
 * Resolves when either end has closed or the signal aborts. The controller itself stays open.
 * @throws {UnauthorizedError} the peer is neither of a site nor an operator
 * @throws {ProtocolError} the peer broke the rules
 */
export async function serveController(
  controller: NetworkController,
  channel: MessageChannel,
  options: ServeControllerOptions,
): Promise<void> {
  const siteId = options.siteOf(channel.peerId)
  const operator = options.isOperator(channel.peerId)
  if (siteId === undefined && !operator) {
    await channel.close()
    throw new UnauthorizedError(`"${channel.peerId}" is neither of a site of this network nor an operator`)
  }
  const session = new ControllerSession(controller, { channel, siteId, operator, controllerId: options.controllerId })
  const onAbort = () => session.end()
  options.signal?.addEventListener('abort', onAbort, { once: true })
  if (options.signal?.aborted) onAbort()
  try {
    const reason = await session.ended
    if (reason instanceof ProtocolError) throw reason
  } finally {
    options.signal?.removeEventListener('abort', onAbort)
  }
}

interface Party {
  readonly channel: MessageChannel
  readonly siteId: string | undefined
  readonly operator: boolean
  readonly controllerId: string
}

class ControllerSession {
  readonly #controller: NetworkController
  readonly #party: Party
  readonly #stream: ControlStream
  #seat: NodeSeat | undefined
  #calls = 0
  readonly ended: Promise<unknown>

  constructor(controller: NetworkController, party: Party) {
    this.#controller = controller
    this.#party = party
    this.#stream = new ControlStream(party.channel, bytes => this.#take(bytes))
    this.#send({ type: 'hello', version: CONTROL_WIRE_VERSION, controllerId: party.controllerId })
    const unsubscribe = controller.onEvent(event => this.#send({ type: 'event', event }))
    this.ended = this.#stream.ended.finally(async () => {
      unsubscribe()
      await this.#seat?.close()
    })
  }

  end(reason?: unknown): void {
    this.#stream.end(reason)
  }

  #take(bytes: Uint8Array): void {
    const message = decodeToController(bytes)
    switch (message.type) {
      case 'join':
        if (message.siteId !== this.#party.siteId) {
          throw new ProtocolError(`"${this.#party.channel.peerId}" does not speak for site "${message.siteId}"`)
        }
        this.#seat = this.#controller.join(message.siteId, plan => this.#send({ type: 'plan', plan }))
        return
      case 'leave':
        void this.#seat?.close()
        this.#seat = undefined
        return
      case 'report':
        if (this.#seat === undefined) throw new ProtocolError('A report comes before the node has joined')
        this.#seat.report(message.report)
        return
      case 'call':
        if (this.#calls >= MAX_CALLS) throw new ProtocolError(`More than ${MAX_CALLS} calls without an answer`)
        this.#calls += 1
        void this.#serve(message.id, message.call)
    }
  }

  async #serve(id: number, call: ControlCall): Promise<void> {
    const answer = await this.#perform(call).then(
      (value): FromController => ({ type: 'answer', id, value }),
      (error: unknown): FromController | undefined => {
        const failure = error instanceof QkdError ? error : new ProtocolError(`The controller failed: ${String(error)}`)
        if (failure.code === 'ERR_QKD_CLOSED') return undefined
        return { type: 'failure', id, code: failure.code, message: failure.message }
      },
    )
    this.#calls -= 1
    // A controller that was closed says so by closing the channel, so that the client looks for the next one.
    if (answer === undefined) this.end()
    else this.#send(answer)
  }

  async #perform(call: ControlCall): Promise<NetworkStatus | readonly string[]> {
    if (call.op === 'status') return await this.#controller.status()
    await this.#requireSay(call.target)
    if (call.op === 'restore') return await this.#controller.restore(call.target)
    return await this.#controller.drain(call.target, { fillMs: call.fillMs })
  }

  async #requireSay(target: DrainTarget): Promise<void> {
    const { operator, siteId, channel } = this.#party
    if (operator || ('siteId' in target && target.siteId === siteId)) return
    if ('linkId' in target) {
      const { links } = await this.#controller.status()
      const link = links.find(({ linkId }) => linkId === target.linkId)
      if (link === undefined || link.a === siteId || link.b === siteId) return
    }
    throw new UnauthorizedError(`"${channel.peerId}" may drain its own site and links alone; operators may drain any`)
  }

  #send(message: FromController): void {
    this.#stream.send(encodeControl(message))
  }
}

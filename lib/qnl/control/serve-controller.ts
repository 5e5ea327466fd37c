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

/** What a site is told that asks for more. */
export const OWN_ALONE = 'may drain its own site and links alone; operators may drain any'
/** Calls that one connection may have without an answer. */
const MAX_CALLS = 16

/** Who may say what. */
export interface ServeControllerOptions extends AbortOptions {
  readonly controllerId: string
  /** The site that an authenticated peer speaks for; undefined for one that speaks for none. */
  readonly siteOf: (peerId: string) => string | undefined
  /** True for peers that may connect without being a site's, and may drain and restore anything where no `guard` is stricter. */
  readonly isOperator: (peerId: string) => boolean
  /** Decides about each call, and writes it down. Default: operators may drain anything, a site itself and its own links. */
  readonly guard?: ControllerGuard
}

/** A call as its guard sees it. */
export interface GuardedCall {
  readonly name: 'network-status' | 'network-drain' | 'network-restore'
  readonly target: DrainTarget | undefined
  /** The caller is a site, and the call about itself or a link of its own, or no more than reading. */
  readonly isOwn: boolean
  /** Whether this connection has made the call before: who watches reads each second. */
  readonly isRepeated: boolean
}

/** Resolves where the caller may make the call. @throws {UnauthorizedError} it may not */
export type ControllerGuard = (peerId: string, call: GuardedCall) => Promise<void>

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
  const session = new ControllerSession(controller, { channel, siteId, operator, ...options })
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
  readonly guard?: ControllerGuard
}

class ControllerSession {
  readonly #controller: NetworkController
  readonly #party: Party
  readonly #stream: ControlStream
  #seat: NodeSeat | undefined
  #calls = 0
  readonly #made = new Set<string>()
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
    const target = call.op === 'status' ? undefined : call.target
    await this.#requireSay(`network-${call.op}`, target)
    if (call.op === 'status') return await this.#controller.status()
    if (call.op === 'restore') return await this.#controller.restore(call.target)
    return await this.#controller.drain(call.target, { fillMs: call.fillMs })
  }

  async #requireSay(name: GuardedCall['name'], target: DrainTarget | undefined): Promise<void> {
    const { operator, channel, guard } = this.#party
    const isOwn = await this.#isOwn(target)
    const isRepeated = this.#made.has(name)
    this.#made.add(name)
    if (guard !== undefined) return await guard(channel.peerId, { name, target, isOwn, isRepeated })
    if (operator || isOwn) return
    throw new UnauthorizedError(`"${channel.peerId}" ${OWN_ALONE}`)
  }

  async #isOwn(target: DrainTarget | undefined): Promise<boolean> {
    const { siteId } = this.#party
    if (siteId === undefined) return false
    if (target === undefined) return true
    if ('siteId' in target) return target.siteId === siteId
    const { links } = await this.#controller.status()
    const link = links.find(({ linkId }) => linkId === target.linkId)
    // Of a link that there is not the controller says so.
    return link === undefined || link.a === siteId || link.b === siteId
  }

  #send(message: FromController): void {
    this.#stream.send(encodeControl(message))
  }
}

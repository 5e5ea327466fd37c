import { ClosedError, ProtocolError, UnauthorizedError } from '../../errors.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { withDeadline } from '../../util/deadline.ts'
import { FrameLine } from '../../util/frame-line.ts'
import { untilEnded } from '../../util/until-ended.ts'
import type { LinkShelf } from './link-shelf.ts'
import { decodeToLink, encodeFromLink, type FromLink, MAX_HELD, type ToLink } from './link-wire.ts'

/** Whom to serve, and until when. */
export interface ServeLinkOptions extends AbortOptions {
  /** Who may take the key of these links: identities as the channel authenticates them. */
  readonly peerIds: readonly string[]
}

/** How long the other end may take to say which link it means, in milliseconds. */
const OPEN_MS = 5_000
/** How often the filling of the link's buffer is told, in milliseconds; changes of state are told at once. */
const LOOK_MS = 100

/**
 * Serves one of the links to the network layer at the other end of `channel`, which is closed when this ends. The link stays
 * open. Two connections to one link at a time end the older one's use of it.
 * @throws {UnauthorizedError} the peer is none of `peerIds`, or means another link
 * @throws {ProtocolError} the peer broke the rules
 */
export async function serveLink(
  shelves: ReadonlyMap<string, LinkShelf>,
  channel: MessageChannel,
  { peerIds, signal }: ServeLinkOptions,
): Promise<void> {
  try {
    if (!peerIds.includes(channel.peerId)) throw new UnauthorizedError(`"${channel.peerId}" may not take key of links`)
    const first = await channel.receive({ signal: withDeadline(signal, OPEN_MS) })
    if (first === undefined) return
    const open = decodeToLink(first)
    if (open.type !== 'open') throw new ProtocolError('The first message does not say which link is meant')
    const shelf = shelves.get(open.linkId)
    if (shelf === undefined) throw new UnauthorizedError(`There is no link "${open.linkId}" here`)
    await untilEnded(new LinkSession(shelf, channel, open.held), { signal })
  } finally {
    await channel.close()
  }
}

/** The session of each shelf that is in use: a later one takes its place. */
const sessions = new WeakMap<LinkShelf, LinkSession>()

class LinkSession {
  readonly #shelf: LinkShelf
  readonly #line: FrameLine
  readonly #ending = new AbortController()
  #released: bigint[]
  #hello = true
  #told = ''
  /** The last block that was sent on this connection, and how many were. */
  #last = -1n
  #sent = 0
  #upTo = 0
  #pull: AbortController | undefined
  readonly ended: Promise<unknown>

  constructor(shelf: LinkShelf, channel: MessageChannel, held: readonly bigint[]) {
    this.#shelf = shelf
    sessions.get(shelf)?.end()
    sessions.set(shelf, this)
    for (const number of held) shelf.release(number)
    this.#released = [...held]
    this.#line = new FrameLine({
      channel,
      onFrame: frame => this.#take(decodeToLink(frame)),
      nextFrame: () => this.#nextFrame(),
    })
    const unsubscribe = shelf.link.onStatus(() => this.#line.ring())
    const look = setInterval(() => this.#line.ring(), LOOK_MS).unref()
    this.#line.ring()
    this.ended = this.#line.ended.finally(() => {
      unsubscribe()
      clearInterval(look)
      this.#ending.abort()
      this.#pull?.abort()
      if (sessions.get(shelf) === this) sessions.delete(shelf)
    })
  }

  end(reason?: unknown): void {
    this.#line.end(reason)
  }

  #take(message: ToLink): void {
    if (message.type === 'open') throw new ProtocolError('A link is opened once')
    if (message.type === 'received') {
      this.#shelf.release(message.number)
      this.#released.push(message.number)
      if (this.#released.length > 2 * MAX_HELD) throw new ProtocolError('More blocks acknowledged than were sent')
      this.#line.ring()
      return
    }
    if (message.upTo > this.#sent + MAX_HELD) throw new ProtocolError(`More than ${MAX_HELD} blocks asked for`)
    this.#upTo = message.upTo
    this.#shelf.raiseFloor(message.after)
    // What waits for a block waits above the old floor, or for a taker that has gone.
    this.#pull?.abort()
    this.#fill()
  }

  /** Sends what is on the shelf, and takes more out of the link as long as it is asked for. */
  #fill(): void {
    if (this.#ending.signal.aborted || this.#sent >= this.#upTo) return
    if (this.#shelf.above(this.#last) !== undefined) {
      this.#line.ring()
      return
    }
    if (this.#pull !== undefined && !this.#pull.signal.aborted) return
    const pull = new AbortController()
    this.#pull = pull
    void this.#shelf.pull(pull.signal).then(
      () => {
        if (this.#pull === pull) this.#pull = undefined
        this.#fill()
      },
      error => this.#line.end(error instanceof ClosedError ? undefined : error),
    )
  }

  #nextFrame(): Buffer | undefined {
    const message = this.#nextMessage()
    return message && encodeFromLink(message)
  }

  #nextMessage(): FromLink | undefined {
    const status = this.#shelf.status(this.#last)
    if (this.#hello) {
      this.#hello = false
      this.#told = JSON.stringify(status)
      return { type: 'hello', status }
    }
    const number = this.#released.shift()
    if (number !== undefined) return { type: 'released', number }
    const text = JSON.stringify(status)
    if (text !== this.#told) {
      this.#told = text
      return { type: 'status', status }
    }
    if (this.#sent >= this.#upTo) return undefined
    const block = this.#shelf.above(this.#last)
    if (block === undefined) return undefined
    this.#last = block.number
    this.#sent += 1
    const left = this.#shelf.status(this.#last)
    this.#told = JSON.stringify(left)
    this.#fill()
    return { type: 'block', ...block, bufferedBits: BigInt(left.bufferedBits) }
  }
}

import type { ServerResponse } from 'node:http'
import type { Unsubscribe } from '../interface/lifecycle.ts'
import type { ConsoleFeed } from './console-feed.ts'
import { pageHeaders } from './request-rules.ts'

/** A browser that has so much unread is dropped, in bytes; it comes again by itself. */
const MOST_UNREAD_BYTES = 4 * 1024 * 1024

/** The open streams of events: so many at a time, and none that does not read. */
export class EventStreams {
  readonly #feed: ConsoleFeed
  readonly #most: number
  readonly #open = new Set<ServerResponse>()

  constructor({ feed, most }: { feed: ConsoleFeed; most: number }) {
    this.#feed = feed
    this.#most = most
  }

  /** Answers a request with the stream; 503 where there are as many as may be. */
  async open(response: ServerResponse): Promise<void> {
    if (this.#open.size >= this.#most) {
      const text = `${this.#most} browsers are served already\n`
      const headers = { ...pageHeaders, 'retry-after': '30', 'content-type': 'text/plain; charset=utf-8' }
      response.writeHead(503, headers).end(text)
      return
    }
    this.#open.add(response)
    let leave: Unsubscribe = () => {}
    response.once('close', () => {
      this.#open.delete(response)
      leave()
    })
    response.writeHead(200, { ...pageHeaders, 'content-type': 'text/event-stream; charset=utf-8' })
    const hello = await this.#feed.hello().catch(() => undefined)
    if (hello === undefined || response.destroyed) {
      response.destroy()
      return
    }
    response.write(hello)
    leave = this.#feed.subscribe(frame => {
      if (response.writableLength > MOST_UNREAD_BYTES) response.destroy()
      else response.write(frame)
    })
  }

  close(): void {
    for (const response of [...this.#open]) response.destroy()
  }
}

import { ClosedError, ProtocolError, UnauthorizedError } from '../../errors.ts'
import type { Kms, KmsCallOptions, KmsDirectory } from '../../interface/kms.ts'
import type { AbortOptions, Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { BackOff, type BackOffOptions } from '../../util/back-off.ts'
import { startDeadline } from '../../util/call-deadline.ts'
import { abortable } from '../../util/deadline.ts'
import { debugLogger } from '../../util/debug-logger.ts'
import { deferred } from '../../util/deferred.ts'
import { type DialChannel, DialledLine } from '../../util/dialled-line.ts'
import { requireTimeout } from '../../util/kms-arguments.ts'
import { decodeHello } from './frame.ts'
import { OwnedKms } from './owned-kms.ts'
import { type Call, OwnerCalls, type OwnerResult, unreachable } from './owner-calls.ts'

/** Where the owner of the site's pools is, and for whom to ask it. */
export type OwnedDirectoryOptions = {
  readonly siteId: string
  /** Tells the hosts of this site from others; asked at each call, so that the list may change. */
  readonly isRegistered: (saeId: string) => boolean
  /** Default `NODE_DEBUG=qkd:owner`. */
  readonly logger?: Logger
} & (
  | {
      /** An open channel, which the directory closes; when it is lost every call is refused. */
      readonly channel: MessageChannel
    }
  | {
      /** Opens a channel: at once, and again whenever it is lost. Meanwhile calls are refused, not kept. */
      readonly dial: DialChannel
      /** Pauses between two tries. Default from 100 ms to 5 s. */
      readonly backOff?: BackOffOptions
    }
)

/** The owner has its own end of a wait; this much later it must have said so, in milliseconds. */
const GRACE_MS = 1_000

/** The KMS of a site whose pools another process owns: a worker's, or a replica's on another machine. */
export class OwnedDirectory implements KmsDirectory, Closable {
  readonly siteId: string
  readonly #isRegistered: (saeId: string) => boolean
  readonly #calls = new OwnerCalls(() => this.#line.ring())
  readonly #line: DialledLine
  readonly #running = new Set<Promise<unknown>>()
  readonly #end = deferred<unknown>()
  readonly #waiters = new Set<() => void>()
  #reason = 'not connected yet'
  #closing: Promise<void> | undefined

  constructor(options: OwnedDirectoryOptions) {
    const { siteId, isRegistered, logger = debugLogger('owner') } = options
    this.siteId = siteId
    this.#isRegistered = isRegistered
    const way =
      'dial' in options
        ? { dial: options.dial, backOff: new BackOff(options.backOff) }
        : { dial: async () => options.channel, backOff: undefined }
    this.#line = new DialledLine({
      to: `the owner of the pools of ${siteId}`,
      logger,
      ...way,
      onHello: frame => {
        const found = decodeHello(frame)
        if (found !== siteId) {
          throw new ProtocolError(`The owner is that of site "${found}", where "${siteId}" is expected`)
        }
        for (const tell of this.#waiters) tell()
        this.#waiters.clear()
      },
      onFrame: frame => this.#calls.take(frame),
      nextFrame: () => this.#calls.nextFrame(),
      onDown: reason => {
        this.#reason = reason
        this.#calls.lose(reason)
      },
      onEnd: cause => {
        if (cause instanceof Error) this.#reason = cause.message
        this.#end.resolve(cause)
      },
    })
  }

  /** Whether the owner answers at present. */
  get connected(): boolean {
    return this.#line.up
  }

  /** Resolves, with the cause, when no connection comes any more. */
  get ended(): Promise<unknown> {
    return this.#end.promise
  }

  /** Resolves as soon as the owner answers. */
  async whenConnected({ signal }: AbortOptions = {}): Promise<void> {
    if (this.#line.up) return
    const { promise, resolve } = deferred<void>()
    this.#waiters.add(resolve)
    const over = this.ended.then(() => {
      throw unreachable(`The owner of the pools is gone: ${this.#reason}`, { sent: false })
    })
    try {
      await abortable(Promise.race([promise, over]), { ...(signal && { signal }) })
    } finally {
      this.#waiters.delete(resolve)
    }
  }

  /** Leaves the present owner: there may be another one. What it was asked is refused. */
  reconnect(reason: string): void {
    this.#line.drop(new ClosedError(reason))
  }

  kmsFor(saeId: string): Kms {
    if (this.#closing !== undefined) throw new ClosedError('The KMS is closed')
    if (!this.#isRegistered(saeId)) throw new UnauthorizedError(`SAE ${saeId} is not registered at ${this.siteId}`)
    return new OwnedKms(saeId, (call, options) => this.#ask(call, options))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#running)
    await this.#line.close()
  }

  async #ask(call: Call, options: KmsCallOptions): Promise<OwnerResult> {
    if (!this.#line.up) throw unreachable(`The site has no owner of its pools now: ${this.#reason}`, { sent: false })
    using deadline = startDeadline(options.signal, requireTimeout(options) + GRACE_MS)
    const answer = this.#calls.ask(call, { signal: deadline.signal })
    this.#running.add(answer)
    try {
      return await answer
    } finally {
      this.#running.delete(answer)
    }
  }
}

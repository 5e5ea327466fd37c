import type { AbortOptions, Closable } from './lifecycle.ts'

/** Largest message a channel carries, in bytes. */
export const MAX_MESSAGE_BYTES = 1024 * 1024

/**
 * An authenticated, ordered, two-way channel of whole messages to one peer: between two KMSs, between a KMS and its
 * QNL, or between the agents of two hosts. What arrives was sent by `peerId` on this channel, once, in order; when the
 * channel is lost, messages under way may be lost with it.
 */
export interface MessageChannel extends Closable {
  /** Authenticated identity of the other end: an SAE ID or a KME ID. */
  readonly peerId: string

  /**
   * Hands a message to the transport and resolves when it has room for the next (back-pressure); not a receipt.
   * The bytes are taken at once: the caller may wipe them when the promise settles.
   * @throws {InvalidArgumentError} empty, or larger than MAX_MESSAGE_BYTES
   * @throws {ClosedError} either end has closed the channel
   */
  send(message: Uint8Array, options?: AbortOptions): Promise<void>

  /** The next message, or undefined when the other end has closed. The caller owns the bytes. One caller at a time. */
  receive(options?: AbortOptions): Promise<Uint8Array | undefined>
}

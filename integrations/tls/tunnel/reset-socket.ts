import type { Socket } from 'node:net'

/**
 * Resets a connection at once, so that its other end can't take this for an end that was meant. `resetAndDestroy()` of
 * node:net does not do: it first waits until everything that was written is flushed, for ever where nobody reads, and then
 * sends a FIN ahead of the reset, which the other end may see first.
 */
export function resetSocket(socket: Socket): void {
  // libuv refuses to reset in the moment in which it sends the FIN of a direction that did end, and node:net would leak
  // the socket.
  const finishing = socket.writableEnded && socket.writableLength === 0 && !socket.writableFinished
  // What resetAndDestroy() sets for destroy() to look at.
  if (!finishing && !socket.connecting) Object.assign(socket, { resetAndClosing: true })
  socket.destroy()
}

/**
 * True at the `end` of a socket if that was a reset after all: libuv tells of data and a reset that come together as data
 * and an end. The system knows no peer of a connection that was reset. Nor does it of one that both sides have ended, so
 * nothing is said where ours had; and nobody may have asked the socket for its peer before, because it remembers.
 */
export function wasReset(socket: Socket): boolean {
  return !socket.writableEnded && socket.remoteAddress === undefined
}

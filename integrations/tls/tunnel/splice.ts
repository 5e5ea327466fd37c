import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type AbortOptions, ClosedError } from '../../../lib/index.ts'
import { resetSocket, wasReset } from './reset-socket.ts'

/** What a connection is made of, and who counts its bytes. */
export interface SpliceOptions extends Required<AbortOptions> {
  /** The program at this end. */
  readonly local: Socket
  /** The session through the tunnel. */
  readonly remote: Duplex
  readonly onBytesIn: (bytes: number) => void
  readonly onBytesOut: (bytes: number) => void
}

/**
 * Joins both, each direction with an end of its own, and resolves when both have ended and closed. What fails at one cuts
 * the other: the program sees a reset and never an end that nobody meant. Rejects then, with the first error or the reason
 * of the abort.
 */
export function splice({ local, remote, signal, onBytesIn, onBytesOut }: SpliceOptions): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    let open = 2
    const cut = (error: Error) => {
      signal.removeEventListener('abort', onAbort)
      reject(error)
      resetSocket(local)
      remote.destroy()
    }
    const onAbort = () => cut(signal.reason)
    for (const stream of [local, remote]) {
      stream.on('error', cut)
      stream.once('close', () => {
        open -= 1
        if (!stream.readableEnded || !stream.writableFinished) cut(new ClosedError('The connection was cut'))
        if (open > 0) return
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
    }
    if (signal.aborted || local.destroyed || remote.destroyed) {
      cut(signal.aborted ? signal.reason : new ClosedError('The connection was cut'))
      return
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const gather = gatherer(local)
    local.on('data', chunk => onBytesIn(chunk.length))
    remote.on('data', chunk => {
      onBytesOut(chunk.length)
      gather()
    })
    const onEnd = () => {
      if (wasReset(local)) cut(new ClosedError('The connection was reset'))
      else remote.end()
    }
    // It may have ended, without a byte, while the tunnel was being opened.
    if (local.readableEnded) onEnd()
    else local.once('end', onEnd)
    local.pipe(remote, { end: false })
    remote.pipe(local)
  })
}

/**
 * Has what is written to `socket` from now on go out as one, at the end of this turn of the event loop: TLS brings its records
 * one by one, and a system call for each costs more than to carry it.
 */
function gatherer(socket: Socket): () => void {
  let gathering = false
  const send = () => {
    gathering = false
    socket.uncork()
  }
  return () => {
    if (gathering) return
    gathering = true
    socket.cork()
    setImmediate(send)
  }
}

import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'

/** One byte when the session stands, and one after each slice that came; a slice for a message of one byte. */
export function serveSlices(socket: TLSSocket, sliceBytes: number): void {
  let leftBytes = sliceBytes
  socket.on('error', () => {})
  socket.on('data', chunk => {
    if (chunk.byteLength === 1) void sendSlice(socket, sliceBytes)
    else leftBytes -= chunk.byteLength
    for (; leftBytes <= 0; leftBytes += sliceBytes) socket.write('.')
  })
  socket.write('.')
}

async function sendSlice(socket: TLSSocket, sliceBytes: number): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024)
  for (let sent = 0; sent < sliceBytes; sent += chunk.byteLength) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
}

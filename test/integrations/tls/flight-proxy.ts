import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { split } from './raw-peer.ts'

const HEADER_BYTES = 5
const HANDSHAKE = 22
const CHANGE_CIPHER_SPEC = 20

/** A proxy that stands between two ends of TLS and passes on the client's flights in other pieces. */
export interface FlightProxy extends AsyncDisposable {
  readonly port: number
}

/**
 * Passes connections on to `targetPort`. `reshape` gives the pieces in which one record of the client's goes on, each a write of
 * its own; asked for all up to the first that is encrypted. Where it gives none for the ChangeCipherSpec, all after that is
 * dropped as well.
 */
export async function createFlightProxy(
  targetPort: number,
  reshape: (record: Buffer) => readonly Uint8Array[] | Promise<readonly Uint8Array[]>,
): Promise<FlightProxy> {
  const open = new Set<Socket>()
  const server = createServer(async client => {
    const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true })
    for (const [one, other] of [
      [client, target],
      [target, client],
    ] as const) {
      open.add(one)
      one.on('error', () => {}).on('close', () => other.destroy())
    }
    await once(target, 'connect')
    target.pipe(client)
    let held = Buffer.alloc(0)
    let encrypted = false
    let dropped = false
    for await (const chunk of client) {
      held = Buffer.concat([held, chunk])
      while (!encrypted && held.byteLength >= HEADER_BYTES && held.byteLength >= sizeOf(held)) {
        const record = held.subarray(0, sizeOf(held))
        held = held.subarray(record.byteLength)
        encrypted = record[0] === CHANGE_CIPHER_SPEC
        const pieces = await reshape(record)
        dropped ||= encrypted && pieces.length === 0
        for (const piece of pieces) {
          if (target.writable) target.write(piece)
          await setImmediate()
        }
      }
      if (dropped) held = Buffer.alloc(0)
      if (encrypted && target.writable) {
        target.write(held)
        held = Buffer.alloc(0)
      }
    }
    target.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The record again, each byte of a handshake message in a record of its own. */
export function inTinyRecords(record: Buffer): Buffer[] {
  if (record[0] !== HANDSHAKE) return [record]
  const version = record.subarray(1, 3)
  return split(record.subarray(HEADER_BYTES), 1).map(byte =>
    Buffer.concat([Buffer.of(HANDSHAKE), version, Buffer.of(0, 1), byte]),
  )
}

function sizeOf(record: Buffer): number {
  return HEADER_BYTES + record.readUInt16BE(3)
}

import { ProtocolError } from '../errors.ts'
import { ByteReader, ByteWriter } from '../util/bytes.ts'

/** First bytes of a channel's first message: what it is, and version 1. */
const MAGIC = Buffer.from('qkdkit/1 channel')

/** What each end says first. */
export interface Hello {
  /** How often this end lets hear of itself, in milliseconds. */
  readonly heartbeatMs: number
  /** Key exchange group of the handshake, which only the dialling end can see; otherwise undefined. */
  readonly group: string | undefined
}

/** A hello as a message. */
export function encodeHello({ heartbeatMs, group = '' }: Hello): Uint8Array {
  return new ByteWriter().raw(MAGIC).u32(heartbeatMs).field(group).bytes()
}

/** @throws {ProtocolError} this is not the other end of a channel, or one of another version */
export function decodeHello(message: Uint8Array): Hello {
  const reader = new ByteReader(message)
  if (!reader.raw(MAGIC.byteLength).equals(MAGIC))
    throw new ProtocolError('The first message is not a hello of version 1')
  const heartbeatMs = reader.u32()
  const group = reader.text()
  reader.end()
  if (heartbeatMs < 1 || heartbeatMs > 60_000 || group.length > 64) throw new ProtocolError('The hello is out of range')
  return { heartbeatMs, group: group === '' ? undefined : group }
}

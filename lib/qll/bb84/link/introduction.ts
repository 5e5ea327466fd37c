import { ClosedError, ProtocolError } from '../../../errors.ts'
import type { AbortOptions } from '../../../interface/lifecycle.ts'
import type { MessageChannel } from '../../../interface/message-channel.ts'
import { ByteReader, ByteWriter } from '../../../util/bytes.ts'

/** How long the other end may take to say who it is, and to prove it, in milliseconds. */
export const INTRODUCTION_MS = 5000

/** What the two connections of a link carry: the talk of the two ends, or the records of Bob's devices. */
export type Purpose = 'talk' | 'photons'

/**
 * The first message of either end on a connection. Nobody has proved it yet: it only says which link and which key is
 * meant. The session that follows binds its bytes into the greeting that is proved.
 */
export interface Introduction {
  readonly purpose: Purpose
  readonly linkId: string
  readonly siteId: string
  readonly peerSiteId: string
  /** Numbers of the keys that this end has from earlier sessions, ascending. */
  readonly spares: readonly bigint[]
}

/** "qkdb" and the version of this format. */
const MAGIC = 0x716b6462
const VERSION = 1
const PURPOSES = ['talk', 'photons'] as const
const MOST_SPARES = 64

/** The bytes of an introduction. */
export function encodeIntroduction({ purpose, linkId, siteId, peerSiteId, spares }: Introduction): Buffer {
  const writer = new ByteWriter().u32(MAGIC).u8(VERSION).u8(PURPOSES.indexOf(purpose))
  writer.field(linkId).field(siteId).field(peerSiteId).u8(spares.length)
  for (const number of spares) writer.u64(number)
  return writer.bytes()
}

/** @throws {ProtocolError} not the first message of a BB84 link's end of this version */
export function decodeIntroduction(bytes: Uint8Array): Introduction {
  const reader = new ByteReader(bytes)
  if (reader.u32() !== MAGIC) throw new ProtocolError('The peer is not the end of a BB84 link')
  const version = reader.u8()
  if (version !== VERSION)
    throw new ProtocolError(`The peer speaks version ${version} of the BB84 link, this ${VERSION}`)
  const purpose = PURPOSES[reader.u8()]
  if (purpose === undefined) throw new ProtocolError('The peer wants something that a BB84 link has not')
  const [linkId, siteId, peerSiteId] = [reader.text(), reader.text(), reader.text()].map(printable)
  const count = reader.u8()
  if (count > MOST_SPARES) throw new ProtocolError(`The peer names ${count} keys, more than ${MOST_SPARES}`)
  const spares = Array.from({ length: count }, () => reader.u64())
  reader.end()
  return { purpose, linkId: linkId!, siteId: siteId!, peerSiteId: peerSiteId!, spares }
}

/** What the other end says first. */
export async function hear(channel: MessageChannel, options: AbortOptions): Promise<Introduction> {
  const first = await channel.receive(options)
  if (first === undefined) throw new ClosedError('The other end closed the connection without a word')
  return decodeIntroduction(first)
}

/** Why the two can't be the ends of one link, in words that name both sides' values; undefined if they can. */
export function introductionMismatch(own: Introduction, theirs: Introduction): string | undefined {
  if (theirs.linkId !== own.linkId) return `The other end is of link "${theirs.linkId}", this one of "${own.linkId}"`
  if (theirs.siteId !== own.peerSiteId) {
    return `The other end is at site "${theirs.siteId}", where "${own.peerSiteId}" is expected`
  }
  if (theirs.peerSiteId === own.siteId) return undefined
  return `The other end expects site "${theirs.peerSiteId}", and this one is "${own.siteId}"`
}

/** Text of the other end goes into reasons and logs: of bounded length and without control characters. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?').slice(0, 200)
}

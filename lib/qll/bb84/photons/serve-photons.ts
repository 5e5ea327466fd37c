import type { AbortOptions } from '../../../interface/lifecycle.ts'
import type { MessageChannel } from '../../../interface/message-channel.ts'
import { PHOTONS, PIECE_BYTES } from './photon-wire.ts'
import { encodeRecords, type RecordSource } from './records.ts'

/**
 * Hands the records of one side's devices to whoever is at the other end of `channel`, each when it asks, until the
 * channel ends. What it does not ask for never leaves.
 */
export async function servePhotons(
  channel: MessageChannel,
  source: RecordSource,
  options: AbortOptions = {},
): Promise<void> {
  const stop = source.onLight?.(dark => {
    channel.send(Buffer.concat([Buffer.of(PHOTONS.light), Buffer.from(dark ?? '', 'utf8')]), options).catch(() => {})
  })
  try {
    while ((await channel.receive(options)) !== undefined) {
      const records = await source.next(options)
      const bytes = encodeRecords(records)
      records.states.fill(0)
      await sendPieces(channel, bytes, options).finally(() => bytes.fill(0))
    }
  } finally {
    stop?.()
  }
}

async function sendPieces(channel: MessageChannel, bytes: Buffer, options: AbortOptions): Promise<void> {
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) {
    const last = at + PIECE_BYTES >= bytes.byteLength
    const piece = Buffer.concat([Buffer.of(last ? PHOTONS.last : PHOTONS.piece), bytes.subarray(at, at + PIECE_BYTES)])
    await channel.send(piece, options).finally(() => piece.fill(0))
  }
}

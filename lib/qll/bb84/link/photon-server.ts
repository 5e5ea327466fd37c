import type { StreamChannel } from '../../../channel/stream-channel.ts'
import type { Closable } from '../../../interface/lifecycle.ts'
import { PhotonLine, type PhotonLineOptions } from '../photons/photon-line.ts'
import { servePhotons } from '../photons/serve-photons.ts'
import { closeAtOnce, Door, type Visitor, whileHeld } from './door.ts'

/** What a photon channel in a process of its own is made from. */
export interface PhotonServerOptions extends PhotonLineOptions {
  readonly linkId: string
  /** The sites of Alice and of Bob. */
  readonly siteIds: readonly [string, string]
  /** TCP port; 0 for a free one. */
  readonly port: number
  /** Local address. Default `127.0.0.1`: who connects first is believed to be the side that it says, as with light. */
  readonly host?: string
  /** Time between two signs of life, in milliseconds. Default 1000. */
  readonly heartbeatMs?: number
}

/** The photon channel of one link, for two ends in other processes. Alice gets what she sent, Bob what he detected. */
export interface PhotonServer extends Closable {
  readonly port: number
}

/** @throws {LinkDownError} it can't listen there */
export async function createPhotonServer(options: PhotonServerOptions): Promise<PhotonServer> {
  const { linkId, siteIds, port, host = '127.0.0.1', heartbeatMs = 1000 } = options
  const line = new PhotonLine(options)
  const served = new Map<'alice' | 'bob', StreamChannel>()
  const closing = new AbortController()
  const onVisitor = ({ introduction, channel }: Visitor) => {
    const { purpose, siteId } = introduction
    const side = siteId === siteIds[0] ? 'alice' : siteId === siteIds[1] ? 'bob' : undefined
    if (purpose !== 'photons' || introduction.linkId !== linkId || side === undefined || served.has(side)) {
      void closeAtOnce(channel)
      return
    }
    served.set(side, channel)
    servePhotons(channel, line[side], { signal: whileHeld(channel, closing.signal) })
      .catch(() => {})
      .finally(() => {
        served.delete(side)
        return closeAtOnce(channel)
      })
  }
  const door = await Door.open({ linkId, host, port, heartbeatMs, onVisitor })
  let ended: Promise<void> | undefined
  const close = () => {
    ended ??= (async () => {
      closing.abort()
      line.close()
      await door.close()
    })()
    return ended
  }
  return { port: door.port, close, [Symbol.asyncDispose]: close }
}

/**
 * One part of a BB84 link in a process of its own, driven by its parent over IPC: an end, or the photon channel. Of each
 * block it tells the number and a digest, never the bytes.
 */
import { createHash } from 'node:crypto'
import { exportKey } from '../../../../lib/key/export-key.ts'
import { SecretKey } from '../../../../lib/key/secret-key.ts'
import type { Bb84Link } from '../../../../lib/qll/bb84/link/bb84-link.ts'
import { createBb84LinkConnector, createBb84LinkListener } from '../../../../lib/qll/bb84/link/bb84-link-tcp.ts'
import { createPhotonServer } from '../../../../lib/qll/bb84/link/photon-server.ts'
import { SharedKeyTranscripts } from '../../../../lib/qll/bb84/session/shared-key-transcripts.ts'
import { SMALL_LINK, testChannel } from '../../../helpers/bb84-link.ts'
import type { PartOrder } from './bb84-process.ts'

const tell = (message: object) => process.send?.(message)

async function openPart(order: Exclude<PartOrder, { type: 'take' }>): Promise<Bb84Link | undefined> {
  const { keyBits, protocol } = SMALL_LINK
  if (order.type === 'photons') {
    const path = () => testChannel()
    const { port } = await createPhotonServer({
      linkId: 'alice-bob',
      siteIds: ['alice', 'bob'],
      path,
      protocol,
      keyBits,
      port: 0,
    })
    tell({ port })
    return undefined
  }
  const psk = SecretKey.copyOf(Buffer.from(order.psk, 'hex'))
  const bootstrap = () => new SharedKeyTranscripts(psk)
  const common = { ...SMALL_LINK, bootstrap, backOff: { minMs: 10, maxMs: 50 } }
  const photons = order.photonPort === undefined ? {} : { photons: { host: '127.0.0.1', port: order.photonPort } }
  if (order.type === 'bob') {
    const { port } = order
    return createBb84LinkConnector({ ...common, ...photons, localSiteId: 'bob', remoteSiteId: 'alice', port })
  }
  const ends = { localSiteId: 'alice', remoteSiteId: 'bob' }
  const { link, port } = await createBb84LinkListener({ ...common, ...photons, ...ends, port: 0 })
  tell({ port })
  return link
}

const part = new Promise<Bb84Link | undefined>(resolve => {
  process.on('message', async (order: PartOrder) => {
    if (order.type !== 'take') return resolve(openPart(order))
    const { number, secret } = await (await part)!.nextBlock()
    const bytes = exportKey(secret)
    tell({ number: `${number}`, digest: createHash('sha256').update(bytes).digest('hex') })
  })
})
// The parent is gone: so is the reason to live.
process.on('disconnect', () => process.exit())

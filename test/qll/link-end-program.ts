/**
 * One end of a simulated link in a process of its own, driven by its parent over IPC. Of each block it tells the number
 * and a digest, never the bytes.
 */
import { createHash } from 'node:crypto'
import { exportKey } from '../../lib/key/export-key.ts'
import { createSimulatedLinkConnector, createSimulatedLinkListener } from '../../lib/qll/simulated-link-tcp.ts'
import type { EndOrder } from './link-end-process.ts'

const tell = (message: object) => process.send?.(message)

async function openEnd(order: Extract<EndOrder, { type: 'listen' | 'connect' }>) {
  const common = { linkId: 'alice-bob', bufferBlocks: 16 }
  if (order.type === 'connect') {
    const { port } = order
    const backOff = { minMs: 10, maxMs: 50 }
    return createSimulatedLinkConnector({ ...common, localSiteId: 'bob', remoteSiteId: 'alice', port, backOff })
  }
  const { rateBps, clockMs } = order
  const now = clockMs === undefined ? {} : { now: () => clockMs }
  const ends = { localSiteId: 'alice', remoteSiteId: 'bob' }
  const { link, port } = await createSimulatedLinkListener({ ...common, ...ends, ...now, rateBps, port: 0 })
  tell({ port })
  return link
}

const link = new Promise<Awaited<ReturnType<typeof openEnd>>>(resolve => {
  process.on('message', async (order: EndOrder) => {
    if (order.type !== 'take') return resolve(openEnd(order))
    const { number, secret } = await (await link).nextBlock()
    const bytes = exportKey(secret)
    tell({ number: `${number}`, digest: createHash('sha256').update(bytes).digest('hex') })
  })
})
// The parent is gone: so is the reason to live.
process.on('disconnect', () => process.exit())

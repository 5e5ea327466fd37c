/** One end of a tunnel, in a process of its own. */
import { createTunnelEntry, createTunnelExit, type Tunnel, type TunnelAddress } from '../../integrations/tls/index.ts'
import { createSite, type ServedSite, type SiteConfig } from '../../lib/index.ts'
import { answer } from './bench-process.ts'

/** Told once, at the start. */
export interface TunnelSetup {
  readonly site: SiteConfig
  readonly end: 'entry' | 'exit'
  readonly connect: TunnelAddress
}

/** The answer: where it listens, and its site for the other end. */
export interface TunnelReady {
  readonly address: TunnelAddress
  readonly site: ServedSite['address']
}

let site: ServedSite | undefined
let tunnel: Tunnel | undefined

answer(
  async ({ site: config, end, connect }: TunnelSetup): Promise<TunnelReady> => {
    site = await createSite(config)
    tunnel =
      end === 'entry'
        ? createTunnelEntry(site.kmsFor('alice'), { peerSaeId: 'bob', connect })
        : createTunnelExit(site.kmsFor('bob'), { peers: [{ saeId: 'alice' }], connect })
    return { address: await tunnel.listen(), site: site.address }
  },
  async () => {
    await tunnel?.close()
    await site?.close()
  },
)

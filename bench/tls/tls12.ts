import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import { createSite, exportKey, type Key } from '../../lib/index.ts'
import type { Report } from '../report.ts'
import { BenchProcess, type Usage } from './bench-process.ts'
import { measureBulk } from './bulk.ts'
import { createSiteConfigs } from './site-configs.ts'
import type { Tls12Addresses, Tls12Setup } from './tls12-process.ts'

/**
 * What the bytes of a TLS 1.2 session cost after its handshake: next to node:tls over a native socket, and next to node:tls
 * over a stream, which is what Node asks for where JavaScript has to see the key exchange first.
 */
export async function measureTls12(
  report: Report,
  { slices, sliceBytes }: { slices: number; sliceBytes: number },
): Promise<void> {
  await using server = new BenchProcess('tls12-process')
  const configs = createSiteConfigs()
  const psk = randomBytes(32)
  const setup: Tls12Setup = { site: configs.bob, psk: psk.toString('hex'), sliceBytes }
  const { site: bob, ports } = await server.ask<Tls12Addresses>(setup)
  await using site = await createSite(configs.alice(bob))
  const kms = site.kmsFor('alice')

  const open = async (port: number, identity: string, key: Buffer): Promise<TLSSocket> => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
      checkServerIdentity: () => undefined,
      pskCallback: () => ({ identity, psk: key }),
    })
    await once(socket, 'secureConnect')
    return socket
  }
  const keyed = async () => {
    const [key] = (await kms.getKey('bob', { sizeBits: 256 })) as [Key]
    return open(ports.keyed, `q1~alice~${key.keyId}`, exportKey(key.secret))
  }
  const serverUsage = (what: 'cpu' | 'memory') => server.ask<Usage>({ usage: what })
  for (const [name, beside] of [
    ['native', 'a socket'],
    ['stream', 'a stream'],
  ] as const) {
    const clients = new Map([
      ['embedded', keyed],
      ['plain', () => open(ports[name], 'fixed', psk)],
    ] as const)
    const of = `TLS 1.2 beside node:tls over ${beside}`
    await measureBulk(report, { slices, of, ends: { clients, sliceBytes, serverUsage } })
  }
}

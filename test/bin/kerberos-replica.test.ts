import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import {
  KerberosAgent,
  KeyLedger,
  keyedPrincipal,
  noLedgerStore,
  tableSink,
} from '../../integrations/kerberos/index.ts'
import { connectChannel } from '../../integrations/tls/index.ts'
import { readCredentialCache } from '../helpers/credential-cache.ts'
import { requireKerberos } from '../helpers/kdc-realm.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { createPluginRealms } from '../helpers/plugin-realms.ts'
import { createReplicaKdc } from '../helpers/replica-kdc.ts'
import { createServedTestSites, type ServedTestSites } from '../helpers/test-sites.ts'
import { requestTicket } from '../helpers/tgs-client.ts'
import { until } from '../helpers/until.ts'
import { firstLine, runQkd, startQkd } from './run-qkd.ts'
import { stop } from './served-sites.ts'

const TRUST = 'krbtgt/B.QKD@A.QKD'
const SERVICE = 'HTTP/host-b.test@B.QKD'

describe('qkd kerberos replica', function () {
  this.timeout(120_000)
  before(function () {
    requireKerberos(this)
    peerProgram(this, 'krb5-config', 'libkrb5-dev')
  })

  it('serves a replica KDC with what the primary’s agent has, before the other realm uses it', async () => {
    await using sites = await createServedTestSites()
    await using realms = await createPluginRealms()
    for (const at of [0, 1]) await realms.addPoolPrincipal(at, TRUST)
    const [a, b] = realms.realms
    await b!.kadmin(`addprinc -randkey ${SERVICE}`)
    const replica = await createReplicaKdc(realms, b!)
    const running: ChildProcessWithoutNullStreams[] = []
    const start = async (...words: string[]) => {
      const child = startQkd(['kerberos', ...words, '--json'])
      running.push(child)
      expect(JSON.parse(await firstLine(child))).to.include({ ready: true })
      return child
    }
    try {
      const [agentPort, replicaPort] = [await freePort(), await freePort()]
      const file = join(realms.directory, 'kerberos.json')
      const { env, name: realm, database, stash: stashFile, directory } = b!
      const kdc = { realm, database, stashFile, socket: realms.agents[1]!.socketPath }
      await writeFile(
        file,
        JSON.stringify({
          mode: 'plugin',
          kdc: { ...kdc, krb5Conf: env.KRB5_CONFIG, kdcConf: env.KRB5_KDC_PROFILE },
          stateFile: join(directory, 'state.json'),
          controlSocket: join(directory, 'control.sock'),
          listen: { port: agentPort },
          peers: [{ saeId: 'alice' }],
          principals: [{ principal: TRUST, role: 'acceptor', peer: 'alice' }],
        }),
      )
      const replicas = ['--replicas', `127.0.0.1:${replicaPort}`, '--replica', 'kdc-b2']
      await start('agent', '--kerberos', file, '--config', await profileOf(sites, realms.directory, 'bob'), ...replicas)
      const primary = ['--primary', `127.0.0.1:${replicaPort}`, '--primary-sae', 'bob']
      const socket = ['--socket', join(replica.directory, 'agent.sock')]
      const profile = await profileOf(sites, realms.directory, 'kdc-b2')
      const beside = await start('replica', ...primary, ...socket, '--config', profile)
      let told = ''
      beside.stderr.on('data', text => {
        told += text
      })

      const kms = sites.sites[0].kmsFor('alice')
      const terms = keyedPrincipal({ principal: TRUST, role: 'issuer', peerSaeId: 'bob', wraps: true })
      const ledger = new KeyLedger({ principals: [terms], sink: tableSink, store: noLedgerStore })
      await using agent = new KerberosAgent({
        kms,
        ledger,
        openChannel: (peerSaeId, { signal }) =>
          connectChannel(kms, { host: '127.0.0.1', port: agentPort, peerSaeId, signal }),
        rotates: false,
      })
      await agent.open()
      await realms.startAgent(0, { keys: ledger.table, validMs: 0 })
      await until(() => /follows its primary/.test(told), 'the replica follows')
      const client = realms.client()
      await client.kinit('alice', 'alice-pw')
      const [grant] = await readCredentialCache(client.ccache)
      for (const kvno of [1, 2]) {
        await agent.rotate(TRUST)
        const cross = await requestTicket(a!.port, grant!, TRUST)
        expect(cross.ticket.encrypted.kvno).to.equal(kvno)
        const granted = await requestTicket(replica.port, cross, SERVICE)
        expect(granted.ticket.server.components).to.deep.equal(['HTTP', 'host-b.test'])
      }
    } finally {
      await Promise.all(running.map(stop))
      await replica.stop()
    }
  })

  it('says what belongs together', async () => {
    const { stderr, exitCode } = await runQkd(['kerberos', 'replica', '--primary', 'nowhere', '--primary-sae', 'bob'])
    expect(stderr).to.match(/--config|--primary/)
    expect(exitCode).to.equal(2)
  })
})

/** The file with which a host reaches its KME, with a certificate of that name. */
async function profileOf(sites: ServedTestSites, dir: string, saeId: string): Promise<string> {
  const credentials = sites.credentials(saeId)
  const files = { cert: `${saeId}.crt`, key: `${saeId}.key`, ca: `${saeId}-ca.crt` }
  for (const part of ['cert', 'key', 'ca'] as const) {
    await writeFile(join(dir, files[part]), credentials[part], { mode: 0o600 })
  }
  const { url } = sites.sites[1].address.etsi014
  const path = join(dir, `${saeId}.json`)
  await writeFile(path, JSON.stringify({ saeId, kme: url, kmeId: 'kme-b', tls: files }))
  return path
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import {
  KerberosAgent,
  KeyLedger,
  keyedPrincipal,
  noLedgerStore,
  tableSink,
} from '../../../../integrations/kerberos/index.ts'
import { connectChannel } from '../../../../integrations/tls/index.ts'
import { requireKerberos } from '../../../helpers/kdc-realm.ts'
import { kerberosModules, requireKerberosPackage } from '../../../helpers/kerberos-package.ts'
import { kmsBackends } from '../../../helpers/kms-backends.ts'
import { peerProgram } from '../../../helpers/peer-program.ts'
import { createPluginRealms } from '../../../helpers/plugin-realms.ts'
import { top } from '../../../structure/tree.ts'

const SERVICE = 'HTTP/www.test@A.QKD'
const resolver = fileURLToPath(new URL('../../../helpers/kerberos-resolver.mjs', import.meta.url))

for (const backend of kmsBackends.filter(({ name }) => name !== 'embedded')) {
  describe(`examples/kerberos/negotiate-server.ts (${backend.name} KMS)`, function () {
    this.timeout(180_000)
    before(async function () {
      requireKerberos(this)
      peerProgram(this, 'krb5-config', 'libkrb5-dev')
      peerProgram(this, 'curl', 'curl')
      await requireKerberosPackage(this)
    })

    it('lets curl in under the kvno on which the KDC and the host agreed', async () => {
      await using kms = await backend.create()
      await using realms = await createPluginRealms({ names: ['A.QKD'] })
      await realms.addPoolPrincipal(0, SERVICE)
      const client = realms.client()
      const keytab = join(realms.directory, 'www.keytab')
      const args = ['examples/kerberos/negotiate-server.ts', kms.profiles!.bob, SERVICE, 'alice', keytab]
      const server = spawn(process.execPath, ['--import', resolver, '--import', 'tsx', ...args], {
        cwd: top,
        env: { ...client.env, QKD_TEST_KERBEROS: kerberosModules },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const exited = once(server, 'exit')
      try {
        const line = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next()
        const ports = JSON.parse(line.value) as { http: number; agent: number }

        const terms = keyedPrincipal({ principal: SERVICE, role: 'issuer', peerSaeId: 'bob', wraps: true })
        const ledger = new KeyLedger({ principals: [terms], sink: tableSink, store: noLedgerStore })
        await using agent = new KerberosAgent({
          kms: kms.alice,
          ledger,
          openChannel: (peerSaeId, { signal }) =>
            connectChannel(kms.alice, { host: '127.0.0.1', port: ports.agent, peerSaeId, signal }),
          rotates: false,
        })
        await agent.open()
        await realms.startAgent(0, { keys: ledger.table, validMs: 0 })
        const curl = async () => {
          const url = ['--resolve', `www.test:${ports.http}:127.0.0.1`, `http://www.test:${ports.http}/`]
          return (await promisify(execFile)('curl', ['-s', '--negotiate', '-u', ':', ...url], { env: client.env }))
            .stdout
        }
        for (const kvno of [1, 2]) {
          expect((await agent.rotate(SERVICE)).current.kvno).to.equal(kvno)
          await client.kinit('alice', 'alice-pw')
          expect(await curl()).to.equal(`Hello, alice@A.QKD, by kvno ${kvno}\n`)
        }
      } finally {
        server.kill('SIGTERM')
        expect(await exited).to.deep.equal([0, null])
      }
    })
  })
}

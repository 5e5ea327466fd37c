// An HTTP server that knows its clients by Kerberos, with every ticket under a key of the KMS:
//   npx tsx examples/kerberos/negotiate-server.ts bob.json HTTP/www.example@A.EXAMPLE alice /run/www/krb5.keytab
// Prerequisites: npm install kerberos@7; bob.json, the profile of this host (qkd pki init writes it); a KDC of A.EXAMPLE
// whose agent, SAE alice, has the service among its principals and this host among its peers; for the keytab, which the
// server writes itself, a directory on a tmpfs.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  createGssAcceptor,
  createNegotiate,
  KerberosAgent,
  KeyLedger,
  keyedPrincipal,
  noLedgerStore,
  tableSink,
} from '../../integrations/kerberos/index.ts'
import { createChannelListener } from '../../integrations/tls/index.ts'
import { createProfileKms, loadSaeProfile } from '../../lib/index.ts'

const [profilePath, service, kdcSaeId, keytabPath] = process.argv.slice(2)
if (profilePath === undefined || service === undefined || kdcSaeId === undefined || keytabPath === undefined) {
  console.error('usage: negotiate-server.ts PROFILE SERVICE SAE-OF-THE-KDC KEYTAB')
  process.exit(2)
}
const kms = createProfileKms((await loadSaeProfile(profilePath)).profile)

// This host's end of the agreement on key versions: the KDC's agent leads, each takes the key from its own KMS.
const terms = keyedPrincipal({ principal: service, role: 'acceptor', peerSaeId: kdcSaeId })
const ledger = new KeyLedger({ principals: [terms], sink: tableSink, store: noLedgerStore })
const openChannel = () => Promise.reject(new Error('This end only answers'))
const agent = new KerberosAgent({ kms, ledger, openChannel })
await agent.open()
const listener = createChannelListener(kms, {
  peers: [{ saeId: kdcSaeId }],
  onChannel: channel => void agent.serve(channel),
})

const resolve = (principal: string, kvno: number) => ledger.table.resolve(principal, kvno)
const acceptor = await createGssAcceptor({ services: [service], resolve, keytabPath })
Object.assign(process.env, acceptor.environment)
const negotiate = createNegotiate(acceptor)
const server = createServer(async (request, response) => {
  const accepted = await negotiate(request, response)
  if (accepted !== undefined) response.end(`Hello, ${accepted.client}, by kvno ${accepted.kvno}\n`)
})
await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
const { port } = server.address() as AddressInfo
console.log(JSON.stringify({ http: port, agent: (await listener.listen()).port }))

process.once('SIGTERM', async () => {
  server.close()
  await Promise.all([acceptor.close(), listener.close(), agent.close()])
  await kms.close()
})

/** Run by a test with NODE_EXTRA_CA_CERTS: what node:tls and what `connect` make of a server with a good certificate. */
import { once } from 'node:events'
import { connect as connectTls } from 'node:tls'
import { connect } from '../../../integrations/tls/index.ts'
import { createTestSites } from '../../helpers/test-sites.ts'

const [port, host] = [Number(process.argv[2]), '127.0.0.1']
const socket = connectTls({ port, host })
await once(socket, 'secureConnect')
socket.resume().end()
await once(socket, 'close')
console.log('node:tls alone: session')
const { alice } = await createTestSites()
const outcome = await connect(alice, { peerSaeId: 'bob', port, host }).then(
  () => 'session',
  error => `${error.code} ${error.cause?.code}`,
)
console.log(`connect: ${outcome}`)
process.exit()

// An existing HTTPS server and its client put under keys of the KMS: npx tsx examples/https.ts
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer, get } from 'node:https'
import type { AddressInfo } from 'node:net'
import { attach, connect, qkdInfo, serverOptions } from '../integrations/tls/index.ts'
import { createLocalPair } from '../lib/index.ts'

const [siteA, siteB] = await createLocalPair()

const server = createServer(serverOptions({}), (request, response) => {
  response.end(`Hello, ${qkdInfo(request.socket)?.masterSaeId}\n`)
})
attach(server, siteB.kmsFor('bob'), { peers: [{ saeId: 'alice' }] })
await once(server.listen(0, '127.0.0.1'), 'listening')

// One connection, one key: hand each socket over yourself, because an agent's pool would mix them up.
const { port } = server.address() as AddressInfo
const socket = await connect(siteA.kmsFor('alice'), { peerSaeId: 'bob', host: '127.0.0.1', port })
const request = get(`https://127.0.0.1:${port}/`, { createConnection: () => socket })
const [response] = (await once(request, 'response')) as [IncomingMessage]
for await (const chunk of response) process.stdout.write(chunk)

server.close()
await Promise.all([siteA.close(), siteB.close()])

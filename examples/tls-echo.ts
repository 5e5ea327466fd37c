// Two sites in one process, and a TLS session under a key from the link between them: npx tsx examples/tls-echo.ts
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, qkdInfo } from '../integrations/tls/index.ts'
import { createLocalPair } from '../lib/index.ts'

const [siteA, siteB] = await createLocalPair()

const server = createServer(siteB.kmsFor('bob'), { peers: [{ saeId: 'alice' }] }, socket => socket.pipe(socket))
await once(server.listen(0, '127.0.0.1'), 'listening')

const { port } = server.address() as AddressInfo
const socket = await connect(siteA.kmsFor('alice'), { peerSaeId: 'bob', host: '127.0.0.1', port })
console.log(qkdInfo(socket))

socket.end('Hello, Bob')
for await (const echo of socket) console.log(String(echo))

server.close()
await Promise.all([siteA.close(), siteB.close()])

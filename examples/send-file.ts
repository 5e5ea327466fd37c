// A file sent under a key of the KMS, with a receipt from the other end: npx tsx examples/send-file.ts [file]
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { connect, createServer, qkdInfo } from '../integrations/tls/index.ts'
import { createLocalPair } from '../lib/index.ts'

const [siteA, siteB] = await createLocalPair()
const path = process.argv[2] ?? new URL('../README.md', import.meta.url)

/** Bob's end: reads to the end of the file and answers with what he got. Half-open, because his answer comes after that. */
const options = { peers: [{ saeId: 'alice' }], allowHalfOpen: true }
const server = createServer(siteB.kmsFor('bob'), options, socket => {
  const received = createHash('sha256')
  let sizeBytes = 0
  socket.on('data', chunk => {
    received.update(chunk)
    sizeBytes += chunk.byteLength
  })
  socket.on('end', () => socket.end(JSON.stringify({ sizeBytes, sha256: received.digest('hex') })))
})
await once(server.listen(0, '127.0.0.1'), 'listening')

/** Alice's end. */
const { port } = server.address() as AddressInfo
const address = { host: '127.0.0.1', port, allowHalfOpen: true }
const socket = await connect(siteA.kmsFor('alice'), { peerSaeId: 'bob', ...address })
const sent = createHash('sha256')
const receipt = text(socket)
await pipeline(
  createReadStream(path),
  async function* (chunks) {
    for await (const chunk of chunks) {
      sent.update(chunk)
      yield chunk
    }
  },
  socket,
)
const { sizeBytes, sha256 } = JSON.parse(await receipt)
console.log(`${sizeBytes} bytes arrived under the key ${qkdInfo(socket)?.keyId}`)
console.log(`The same file: ${sha256 === sent.digest('hex')}`)

server.close()
await Promise.all([siteA.close(), siteB.close()])

// An application of Fastify, unchanged, put under keys of the KMS: npx tsx examples/fastify.ts
import fastify from 'fastify'
import { Agent, fetch } from 'undici'
import { attach, createUndiciConnector, qkdInfo, serverOptions } from '../integrations/tls/index.ts'
import { createLocalPair } from '../lib/index.ts'

const [siteA, siteB] = await createLocalPair()

const app = fastify({ https: serverOptions({}) })
attach(app.server, siteB.kmsFor('bob'), { peers: [{ saeId: 'alice' }] })
app.post('/orders', ({ body, raw }) => ({ ordered: body, by: qkdInfo(raw.socket)?.masterSaeId }))
const url = await app.listen({ port: 0, host: '127.0.0.1' })

const dispatcher = new Agent({ connect: createUndiciConnector(siteA.kmsFor('alice'), { peerSaeId: 'bob' }) })
for (const item of ['tea', 'cups']) {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${url}/orders`, { method: 'POST', headers, body: JSON.stringify({ item }), dispatcher })
  console.log(await answer.text())
}

await dispatcher.close()
await app.close()
await Promise.all([siteA.close(), siteB.close()])

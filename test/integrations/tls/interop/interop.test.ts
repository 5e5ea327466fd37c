import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { qkdInfo } from '../../../../integrations/tls/index.ts'
import { createTlsPair, next } from '../tls-pair.ts'
import { connectForeign, drawForeignKey } from './foreign-key.ts'
import { type ForeignPeer, foreignPeers } from './foreign-peers.ts'
import { type InteropName, type InteropRow, interopTable } from './interop-table.ts'

const foreign = { peers: [{ saeId: 'alice', binding: 'raw' as const }] }
/** The same read backwards, which is how openssl sends a line back. */
const LINE = 'reviver'
const PROTOCOLS = { 'TLS 1.3': 'TLSv1.3', 'TLS 1.2': 'TLSv1.2' } as const

describe('a peer of another make', () => {
  for (const [name, peer] of Object.entries(foreignPeers) as [InteropName, ForeignPeer][]) {
    const row: InteropRow = interopTable[name]
    const what = `${row.peer.replaceAll('`', '')} with ${row.version}`

    it(`${row.asClient === 'works' ? 'connects' : 'cannot connect'}: ${what}`, async function () {
      await using pair = await createTlsPair({ ...foreign, ...peer.ours })
      const key = await drawForeignKey(pair)
      await using client = await peer.client(this, key, pair.port)
      if (row.asClient === 'works') {
        const server = await next(pair.sessions)
        expect(`q1~alice~${qkdInfo(server)!.keyId}`).to.equal(key.identity)
        expect(server.getProtocol()).to.equal(PROTOCOLS[row.version])
        client.say(`${LINE}\n`)
        await expectData(server, LINE)
        server.write('from Node\n')
        await client.heard(/from Node/)
      } else {
        const { reason } = await next(pair.refusals)
        expect(row.asClient.cannot).to.include(`alert 40`).and.include(`\`${reason}\``)
        await client.heard(/alert number 40|Handshake failed/i)
        // Nothing was asked of the KMS: the key waits for a client that can use it.
        expect(pair.bob.fetches).to.equal(0)
      }
    })

    it(`${row.asServer === 'works' ? 'serves' : 'cannot serve'}: ${what}`, async function () {
      await using pair = await createTlsPair()
      const key = await drawForeignKey(pair)
      await using server = await peer.server(this, key)
      const connecting = connectForeign(pair, key.key, { port: server.port, ...peer.ours })
      if (row.asServer === 'works') {
        const client = await connecting
        expect(qkdInfo(client)!.keyId).to.equal(key.key.keyId)
        expect(client.getProtocol()).to.equal(PROTOCOLS[row.version])
        client.write(`${LINE}\n`)
        await expectData(client, LINE)
        client.destroy()
      } else {
        const error = await connecting.then(
          () => undefined,
          error => error,
        )
        expect(error.code).to.equal('ERR_QKD_PSK_HANDSHAKE')
        const [alert] = /(?<=alert )\d+/.exec(row.asServer.cannot) ?? []
        if (alert !== undefined) expect(error.details[0].alert).to.equal(Number(alert))
      }
    })
  }

  it('is refused with a wrong key, and refuses one', async function () {
    const peer = foreignPeers.openssl13
    const wrong = '00'.repeat(32)
    await using pair = await createTlsPair(foreign)
    const { key, identity } = await drawForeignKey(pair)
    await using client = await peer.client(this, { identity, hex: wrong }, pair.port)
    await client.heard(/alert number 51/)
    expect((await next(pair.refusals)).reason).to.equal('binder')
    await using server = await peer.server(this, { identity, hex: wrong })
    const error = await connectForeign(pair, key, { port: server.port }).catch(error => error)
    expect(error.code).to.equal('ERR_QKD_PSK_HANDSHAKE')
  })
})

async function expectData(socket: TLSSocket, text: string): Promise<void> {
  const [data] = await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })
  expect(String(data)).to.include(text)
}

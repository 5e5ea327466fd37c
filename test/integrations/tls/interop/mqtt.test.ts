import { once } from 'node:events'
import { expect } from 'chai'
import { createTunnelEntry, createTunnelExit, qkdInfo } from '../../../../integrations/tls/index.ts'
import { createKmsPair } from '../kms-pair.ts'
import { createTlsPair } from '../tls-pair.ts'
import { WatchedKms } from '../watched-kms.ts'
import { connectForeign, drawForeignKey, useKey } from './foreign-key.ts'
import { publish, startBroker, subscribe } from './mosquitto.ts'

const host = '127.0.0.1'
const peers = [{ saeId: 'alice' }]
const topic = 'site-a/door'
const message = 'opened at noon'

/** CONNECT of MQTT 3.1.1 with an empty client ID and a clean session, and what a broker says to it. */
const CONNECT = Buffer.from('100c00044d5154540402003c0000', 'hex')
const CONNACK = Buffer.from('20020000', 'hex')

describe('mosquitto', () => {
  it('serves a client of ours at its PSK listener', async function () {
    await using pair = await createTlsPair()
    const { key, identity, hex } = await drawForeignKey(pair)
    await using broker = await startBroker(this, { identity, hex })
    const client = await connectForeign(pair, key, { port: broker.port })
    expect(qkdInfo(client)!.keyId).to.equal(key.keyId)
    expect(client.getProtocol()).to.equal('TLSv1.3')
    client.write(CONNECT)
    const [answer] = await once(client, 'data', { signal: AbortSignal.timeout(10_000) })
    expect(answer).to.deep.equal(CONNACK)
    client.destroy()
  })

  it('serves plain clients at its PSK listener through the entry of a tunnel', async function () {
    const { alice: kms } = await createKmsPair()
    const alice = new WatchedKms(kms)
    const { key, identity, hex } = await drawForeignKey({ alice })
    await using broker = await startBroker(this, { identity, hex })
    useKey(alice, key)
    const connect = { host, port: broker.port }
    await using entry = createTunnelEntry(alice, { peerSaeId: 'bob', binding: 'raw', connect, drainMs: 0 })
    const { port } = await entry.listen()
    await publish(this, { port, topic, message })
    expect(entry.counters()).to.include({ accepted: 1, failed: 0 })
  })

  it('has clients with keys that connect to the exit of a tunnel', async function () {
    const { alice: kms, bob } = await createKmsPair()
    const alice = new WatchedKms(kms)
    await using broker = await startBroker(this)
    const raw = [{ saeId: 'alice', binding: 'raw' as const }]
    const connect = { host, port: broker.port }
    await using exit = createTunnelExit(bob, { peers: raw, connect, drainMs: 0 })
    const { port } = await exit.listen()
    const args = async () => {
      const { identity, hex } = await drawForeignKey({ alice })
      return ['--psk-identity', identity, '--psk', hex]
    }
    await using subscriber = subscribe(this, { port, topic, args: await args() })
    await broker.subscribed()
    await publish(this, { port, topic, message, args: await args() })
    await subscriber.printed(new RegExp(message))
    expect(exit.counters()).to.include({ accepted: 2, failed: 0 })
  })

  it('and its clients, none with TLS, are joined by a tunnel with a key for each connection', async function () {
    const { alice, bob } = await createKmsPair()
    await using broker = await startBroker(this)
    await using exit = createTunnelExit(bob, { peers, connect: { host, port: broker.port }, drainMs: 0 })
    const connect = { host, port: (await exit.listen()).port }
    await using entry = createTunnelEntry(alice, { peerSaeId: 'bob', connect, drainMs: 0 })
    const { port } = await entry.listen()
    await using subscriber = subscribe(this, { port, topic })
    await broker.subscribed()
    await publish(this, { port, topic, message })
    await subscriber.printed(new RegExp(message))
    expect(exit.counters()).to.include({ accepted: 2, failed: 0 })
  })
})

// Unmodified MQTT programs joined by a tunnel, each connection under a key of its own: npx tsx examples/mqtt-tunnel.ts
//
// Needs Debian's mosquitto and mosquitto-clients. On two machines the two ends are `qkd tls tunnel` commands: docs/tls-tunnel.md
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net'
import { createTunnelEntry, createTunnelExit } from '../integrations/tls/index.ts'
import { createLocalPair, delay } from '../lib/index.ts'

const host = '127.0.0.1'
const [siteA, siteB] = await createLocalPair()

// Bob's site: a broker that knows nothing of TLS, and the way out of the tunnel in front of it.
const brokerPort = await findFreePort()
const broker = start('/usr/sbin/mosquitto', ['-p', String(brokerPort)])
await untilListening(brokerPort)
const exit = createTunnelExit(siteB.kmsFor('bob'), {
  peers: [{ saeId: 'alice' }],
  connect: { host, port: brokerPort },
})

// Alice's site: the way in, and clients that know nothing of it either.
const entry = createTunnelEntry(siteA.kmsFor('alice'), { peerSaeId: 'bob', connect: await exit.listen() })
const { port } = await entry.listen()
const topic = ['-h', host, '-p', String(port), '-t', 'site-a/door']
// A retained message: it waits at the broker for whoever subscribes later.
await ended(start('mosquitto_pub', [...topic, '-m', 'opened at noon', '-r', '-q', '1']))
await ended(start('mosquitto_sub', [...topic, '-C', '1', '-W', '10']))

await entry.close()
const { completed, bytesIn, bytesOut } = entry.counters()
console.log(`${completed} connections, ${bytesIn} bytes in and ${bytesOut} out, each under a key of its own`)
await exit.close()
broker.kill()
await once(broker, 'exit')
await Promise.all([siteA.close(), siteB.close()])

/** A program whose output is ours. */
function start(program: string, args: readonly string[]) {
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'ignore'] })
  child.once('error', error => {
    console.error(`${program} can't be run (Debian packages mosquitto, mosquitto-clients): ${error.message}`)
    process.exit(1)
  })
  return child
}

async function ended(child: ReturnType<typeof start>): Promise<void> {
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${child.spawnfile} ended with ${code}`)
}

async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, host)
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const socket = connectTcp({ host, port })
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (connected) return
    await delay(50)
  }
  throw new Error('The broker does not listen')
}

import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { startNetwork } from '../../helpers/network-processes.ts'
import { until } from '../../helpers/until.ts'

describe('a KMS whose network node is a process of its own', function () {
  this.timeout(300_000)

  it('serves every request while the node is moved to another process, and issues nothing twice', async () => {
    await using network = await startNetwork({
      sites: [{ siteId: 'a', saes: ['alice'], apart: true }, { siteId: 'b', saes: ['bob'] }, { siteId: 'r' }],
      links: [
        { a: 'a', b: 'r', rateBps: 4_000_000 },
        { a: 'b', b: 'r', rateBps: 4_000_000 },
      ],
      pool: { targetBlocks: 16 },
    })
    const node = network.processes.get('a node')!
    const alice = network.kms('alice')
    const bob = network.kms('bob')
    const stock = async () => (await alice.getStatus('bob')).storedKeyCount
    await until(async () => (await stock()) > 900, `no key at a\n${network.errors()}`, { timeoutMs: 60_000 })

    const seen = new Set<string>()
    let drawing = true
    const draw = async (): Promise<void> => {
      while (drawing) {
        const keys = await alice.getKey('bob', { number: 32 })
        const ids = keys.map(({ keyId }) => keyId)
        const same = await bob.getKeyWithIds('alice', ids)
        for (const [at, { secret, keyId }] of keys.entries()) {
          expect(seen.has(keyId)).to.equal(false)
          seen.add(keyId)
          expect(same[at]!.secret.equals(secret)).to.equal(true)
          secret.wipe()
          same[at]!.secret.wipe()
        }
        await sleep(40)
      }
    }
    const hosts = draw()
    // A request that fails ends the loop, and is seen at the end.
    hosts.catch(() => {})
    await until(() => seen.size > 100, 'keys before', { timeoutMs: 30_000 })
    const before = node.pid
    expect(await node.end('SIGTERM')).to.equal(0)
    await node.start()
    expect(node.pid).to.not.equal(before)
    const atMove = seen.size
    // More than what was in stock: the new process has brought key.
    const held = await stock()
    await until(() => seen.size > atMove + 1000 + held, `keys after\n${network.errors()}`, { timeoutMs: 180_000 })
    drawing = false
    await hosts
  })
})

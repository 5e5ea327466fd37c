import { expect } from 'chai'
import type { NetworkEvent } from '../../../lib/interface/network-controller.ts'
import { runQkd } from '../../bin/run-qkd.ts'
import { startNetwork } from '../../helpers/network-processes.ts'
import { until } from '../../helpers/until.ts'

const RATE_BPS = 400_000

describe('a network of two end sites and two relays', function () {
  this.timeout(240_000)

  it('gives both ends the same keys through its relays, and goes on while a link is cut', async () => {
    await using network = await startNetwork({
      sites: [{ siteId: 'a', saes: ['alice'] }, { siteId: 'b', saes: ['bob'] }, { siteId: 'r1' }, { siteId: 'r2' }],
      links: [
        { a: 'a', b: 'r1', rateBps: RATE_BPS },
        { a: 'b', b: 'r1', rateBps: RATE_BPS },
        { a: 'a', b: 'r2', rateBps: RATE_BPS },
        { a: 'b', b: 'r2', rateBps: RATE_BPS },
      ],
    })
    const { operator, fibres } = network
    const alice = network.kms('alice')
    const bob = network.kms('bob')
    const fail = (what: string) => `${what}\n${network.errors()}`
    await until(async () => (await alice.getStatus('bob')).storedKeyCount > 900, fail('no key at a'), {
      timeoutMs: 60_000,
    })

    const shown = await runQkd(['key', 'get', 'bob', '--config', await network.profile('alice'), '--json'])
    expect(shown.exitCode, shown.stderr).to.equal(0)

    const timeline: string[] = []
    const beganMs = performance.now()
    const at = (text: string) => timeline.push(`${Math.round(performance.now() - beganMs)} ms: ${text}`)
    operator.onEvent((event: NetworkEvent) => {
      if (event.type === 'link') at(`link ${event.linkId} ${event.state}`)
      if (event.type === 'plan') at(`plan ${event.epoch} (${event.cause})`)
    })
    await operator.status({ signal: AbortSignal.timeout(10_000) })
    let drawn = 0
    const draw = async (): Promise<void> => {
      const keys = await alice.getKey('bob', { number: 32 })
      const same = await bob.getKeyWithIds(
        'alice',
        keys.map(({ keyId }) => keyId),
      )
      for (const [index, key] of keys.entries()) {
        expect(same[index]!.secret.equals(key.secret)).to.equal(true)
        for (const { secret } of [key, same[index]!]) secret.wipe()
      }
      drawn += keys.length
    }
    /** Draws until the pair is planned over what `holds` for, and gives that. */
    const planned = async (what: string, holds: (relays: readonly string[]) => boolean): Promise<string> => {
      let relays: string[] = []
      await until(
        async () => {
          await draw()
          const { pairs } = await operator.status({ signal: AbortSignal.timeout(10_000) })
          relays = pairs.flatMap(({ paths }) => paths.map(({ sites }) => sites[1]!))
          return holds(relays)
        },
        fail(`${what}\n${timeline.join('\n')}`),
        { timeoutMs: 60_000 },
      )
      return relays[0]!
    }
    const relay = await planned('no plan', relays => relays.length > 0)
    const fibre = fibres.get(`a-${relay}`)!
    at(`cut a-${relay}`)
    fibre.cut()
    await planned('no plan over the other relay', relays => relays.length > 0 && !relays.includes(relay))
    const before = drawn
    while (drawn < before + 500) await draw()
    at(`mend a-${relay}`)
    fibre.mend()
    await until(
      async () => {
        await draw()
        return timeline.some(line => line.includes(`link a-${relay} up`))
      },
      fail(`not back\n${timeline.join('\n')}`),
      { timeoutMs: 60_000 },
    )
    // Maintenance, with the KMSs' own word on how full their pools are: long before its time, and nobody is refused.
    at(`drain a-${relay}`)
    await operator.drain({ linkId: `a-${relay}` }, { fillMs: 600_000, signal: AbortSignal.timeout(10_000) })
    await until(
      async () => {
        const { links } = await operator.status({ signal: AbortSignal.timeout(10_000) })
        const link = links.find(({ linkId }) => linkId === `a-${relay}`)
        return link?.drain === 'drained' && link.filled === true
      },
      fail(`not drained\n${timeline.join('\n')}`),
      { timeoutMs: 60_000 },
    )
    at(`drained a-${relay}, its pools full`)
    const atDrain = drawn
    while (drawn < atDrain + 500) await draw()
    const told = timeline.join('\n')
    expect(told).to.match(
      new RegExp(`cut a-${relay}.*link a-${relay} down.*plan [0-9]+.*mend a-${relay}.*link a-${relay} up`, 's'),
    )
    console.log(timeline.map(line => `      ${line}`).join('\n'))
  })
})

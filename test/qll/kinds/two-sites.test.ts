import { expect } from 'chai'
import { startSiteProcesses } from '../../helpers/site-process.ts'

/** A satellite that stands highest a moment from now. */
const passesNow = () => [{ time: new Date(Date.now() + 20_000).toISOString().slice(11, 19), maximumElevationDeg: 85 }]

/** What replaces the fibre: the configuration of the link, and nothing else. */
const kinds: Readonly<Record<string, () => Record<string, unknown>>> = {
  'free-space': () => ({ kind: 'free-space', psk: 'link.psk' }),
  satellite: () => ({ kind: 'satellite', psk: 'link.psk', passes: passesNow(), keyBits: 262_144 }),
  'post-quantum': () => ({ kind: 'post-quantum', rateBps: 20_000_000, psk: 'link.psk' }),
}

describe('two site processes, joined by a link of another kind', function () {
  this.timeout(180_000)

  for (const [name, link] of Object.entries(kinds)) {
    it(`share keys in both directions: ${name}`, async () => {
      await using sites = await startSiteProcesses({ store: 'memory', targetBlocks: 4, link: link() })
      for (const [master, slave] of [
        ['alice', 'bob'],
        ['bob', 'alice'],
      ] as const) {
        const [own, other] = [sites.kms(master), sites.kms(slave)]
        const deadlineMs = performance.now() + 75_000
        while ((await own.getStatus(slave)).storedKeyCount < 20 && performance.now() < deadlineMs) {
          await new Promise(resolve => setTimeout(resolve, 100))
        }
        const keys = await own.getKey(slave, { number: 20 })
        const same = await other.getKeyWithIds(
          master,
          keys.map(({ keyId }) => keyId),
        )
        expect(keys.every(({ secret }, at) => secret.equals(same[at]!.secret))).to.equal(true)
        // Where no photons were, every key says so at both ends.
        const trustClass = name === 'post-quantum' ? 'post-quantum' : 'direct'
        for (const key of [...keys, ...same]) expect(key).to.include({ level: 'quantum', trustClass })
      }
      for (const site of sites.processes) expect(await site.stop(), site.stderr).to.equal(0)
    })
  }
})

import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { QkdError } from '../../lib/errors.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import { startSiteProcesses } from '../helpers/site-process.ts'
import { until } from '../helpers/until.ts'

/** The outcome of a fetch, once the site has met its peer again. */
async function fetchOutcome(kms: Kms, master: string, keyId: string): Promise<string> {
  let outcome = ''
  await until(
    async () => {
      outcome = await kms.getKeyWithIds(master, [keyId]).then(
        () => 'delivered',
        (error: QkdError) => error.code,
      )
      return outcome !== 'ERR_QKD_POOL_DESYNC' && outcome !== 'ERR_QKD_KME_UNREACHABLE'
    },
    'the site answers again',
    { timeoutMs: 20_000 },
  )
  return outcome
}

/** Draws until it works: pools that begin anew must be filled first. */
async function draw(kms: Kms, slave: string): Promise<string> {
  let keyId: string | undefined
  await until(
    async () => {
      keyId = await kms.getKey(slave).then(
        ([key]) => key!.keyId,
        () => undefined,
      )
      return keyId !== undefined
    },
    'a key is there',
    { timeoutMs: 20_000 },
  )
  return keyId!
}

describe('a site whose store is put back to an older copy', function () {
  this.timeout(90_000)

  for (const peerRestarts of [false, true]) {
    it(`delivers nothing again, and goes on${peerRestarts ? ', also when its peer was restarted in between' : ''}`, async () => {
      await using sites = await startSiteProcesses()
      const [siteA, siteB] = sites.processes
      const [alice, bob, ben] = [sites.kms('alice'), sites.kms('bob'), sites.kms('ben')]
      const store = join(sites.directory, 'site-b.store')
      const keyId = await draw(alice, 'bob')
      await siteB.stop()
      await cp(store, `${store}.copy`, { recursive: true })
      await siteB.start()
      expect(await fetchOutcome(bob, 'alice', keyId)).to.equal('delivered')
      // Every message of the site tells how far its store has got; these draws make it send some.
      for (let i = 0; i < 100; i++) await draw(ben, 'alice')
      if (peerRestarts) expect(await siteA.stop()).to.equal(0)
      await siteB.kill()
      await rm(store, { recursive: true })
      await cp(`${store}.copy`, store, { recursive: true })
      await siteB.start()
      if (peerRestarts) await siteA.start()
      expect(await fetchOutcome(bob, 'alice', keyId)).to.equal('ERR_QKD_KEY_NOT_FOUND')
      expect(await fetchOutcome(bob, 'alice', await draw(alice, 'bob'))).to.equal('delivered')
    })
  }
})

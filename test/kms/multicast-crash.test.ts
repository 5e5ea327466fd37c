import { expect } from 'chai'
import type { QkdError } from '../../lib/errors.ts'
import type { Key } from '../../lib/interface/kms.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { HOSTS, type SiteName, ThreeSites } from '../helpers/three-sites.ts'

const OTHERS = ['bea', 'carl', 'anna']
const RECIPIENTS = ['bob', ...OTHERS]
const ask = (mesh: ThreeSites) =>
  mesh.host('alice').getKey('bob', { additionalSlaveSaeIds: OTHERS, number: 2, timeoutMs: 1000 })

async function stocked(mesh: ThreeSites): Promise<void> {
  for (;;) {
    const keys = await ask(mesh).catch(() => undefined)
    if (keys !== undefined) return
  }
}

async function fetchOf(mesh: ThreeSites, saeId: string, keys: readonly Key[]): Promise<Key[] | undefined> {
  const ids = keys.map(({ keyId }) => keyId)
  return mesh
    .host(saeId)
    .getKeyWithIds('alice', ids)
    .catch(() => undefined)
}

describe('multicast, where a site dies at one of its durable steps', function () {
  this.timeout(60_000)

  for (const siteId of Object.keys(HOSTS) as SiteName[]) {
    for (const after of [false, true]) {
      it(`gives all or none of the keys, ${siteId} dying ${after ? 'right after' : 'before'} each step of the hand-over`, async () => {
        await using mesh = await ThreeSites.open()
        await stocked(mesh)
        const { faults } = mesh.sites[siteId]
        let outcomes = { given: 0, refused: 0 }
        for (let step = 0; step < 6; step++) {
          faults.failAt(step, { after })
          const given = await ask(mesh).catch(error => error as Error & { code: string })
          await mesh.kill(siteId)
          await mesh.revive(siteId)
          if (given instanceof Error) {
            expect(given.code).to.be.oneOf(['ERR_QKD_POOL_DESYNC', 'ERR_QKD_STORE', 'ERR_QKD_POOL_EXHAUSTED'])
            outcomes = { ...outcomes, refused: outcomes.refused + 1 }
          } else {
            outcomes = { ...outcomes, given: outcomes.given + 1 }
            for (const saeId of RECIPIENTS) {
              const same = await fetchOf(mesh, saeId, given)
              expect(
                same?.every(({ secret }, at) => secret.equals(given[at]!.secret)),
                `${saeId}, step ${step}`,
              ).to.equal(true)
            }
          }
          await stocked(mesh)
        }
        // Site A writes nothing but what anna gets: it may be through before its disk ends.
        expect(outcomes.refused + outcomes.given).to.equal(6)
        expect(outcomes.refused, JSON.stringify(outcomes)).to.be.at.least(1)
      })

      it(`gives each host its key at most once, ${siteId} dying ${after ? 'right after' : 'before'} each step of a fetch`, async () => {
        await using mesh = await ThreeSites.open()
        await stocked(mesh)
        const saeIds = RECIPIENTS.filter(saeId => (HOSTS[siteId] as readonly string[]).includes(saeId))
        for (let step = 0; step < 3; step++) {
          const given = await ask(mesh)
          const taken = new Map<string, number>()
          for (const when of ['dying', 'again', 'once more']) {
            if (when === 'dying') mesh.sites[siteId].faults.failAt(step, { after })
            for (const saeId of saeIds) {
              const keys = await fetchOf(mesh, saeId, given)
              if (keys === undefined) continue
              taken.set(saeId, (taken.get(saeId) ?? 0) + 1)
              expect(keys.every(({ secret }, at) => secret.equals(given[at]!.secret))).to.equal(true)
            }
            await mesh.kill(siteId)
            await mesh.revive(siteId)
          }
          for (const saeId of saeIds) {
            expect(taken.get(saeId) ?? 0, `${saeId}, step ${step}`).to.be.at.most(1)
            // Where nothing was written, nothing is lost.
            if (!after) expect(taken.get(saeId), `${saeId}, step ${step}`).to.equal(1)
          }
          // The others have theirs, whatever became of these.
          for (const saeId of RECIPIENTS)
            if (!saeIds.includes(saeId)) expect(await fetchOf(mesh, saeId, given)).to.have.length(2)
        }
      })
    }
  }

  it('refuses the master when a site withholds its word, and lets nobody have the key', async () => {
    await using mesh = await ThreeSites.open()
    await stocked(mesh)
    const ids: string[] = []
    mesh.sites['site-c'].faults.failAt(0)
    const before = mesh.sites['site-a'].audit.length
    await rejectsWith(ask(mesh), 'ERR_QKD_STORE')
    for (const { keyIds = [] } of mesh.sites['site-a'].audit.slice(before)) ids.push(...keyIds)
    expect(ids).to.have.length(2)
    mesh.sites['site-c'].faults.mend()
    for (const saeId of RECIPIENTS) {
      for (const keyId of ids) {
        const outcome = await mesh
          .host(saeId)
          .getKeyWithIds('alice', [keyId])
          .catch((error: QkdError) => error.code)
        expect(outcome).to.be.oneOf(['ERR_QKD_KEY_NOT_FOUND', 'ERR_QKD_UNAUTHORIZED'])
      }
    }
  })
})

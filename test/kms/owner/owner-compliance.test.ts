import type { Closable } from '../../../lib/interface/lifecycle.ts'
import { type KmsFixture, kmsCompliance } from '../../compliance/kms.ts'
import { type KmsMulticastFixture, kmsMulticastCompliance } from '../../compliance/kms-multicast.ts'
import { createTestSites } from '../../helpers/test-sites.ts'
import { HOSTS, type SiteName, ThreeSites } from '../../helpers/three-sites.ts'
import { ownedBy } from './owner-pair.ts'

const open = new WeakMap<object, (() => PromiseLike<void>)[]>()
const teardown = async (fixture: object) => {
  for (const end of open.get(fixture) ?? []) await end()
}

kmsCompliance({
  backend: 'behind the owner of the pools',
  setup: async () => {
    const sites = await createTestSites({ pool: { targetBlocks: 2, maxWaitMs: 200 } })
    const saeIds = ['alice', 'bob', 'carol']
    const [a, b] = [await ownedBy(sites.sites[0], { saeIds }), await ownedBy(sites.sites[1], { saeIds })]
    const opened: Closable[] = []
    const kms = (saeId: string) => {
      const one = (saeId === 'alice' ? a : b).directory.kmsFor(saeId)
      opened.push(one)
      return one
    }
    const fixture: KmsFixture = {
      alice: kms('alice'),
      bob: kms('bob'),
      carol: kms('carol'),
      unknownSaeId: 'mallory',
      deniedLevel: 'post-quantum',
      openAlice: async () => kms('alice'),
      stopGeneration: async () => sites.cutLink(),
      startGeneration: async () => sites.mendLink(),
    }
    open.set(fixture, [
      ...opened.map(each => () => each.close()),
      () => a[Symbol.asyncDispose](),
      () => b[Symbol.asyncDispose](),
      () => sites[Symbol.asyncDispose](),
    ])
    // The first key of each lane takes longer than these pools have patience.
    for (const [master, slave] of [
      ['alice', 'bob'],
      ['bob', 'alice'],
    ] as const) {
      while ((await fixture[master].getStatus(slave)).storedKeyCount === 0)
        await fixture[master].getKey(slave).catch(() => {})
    }
    return fixture
  },
  teardown,
})

kmsMulticastCompliance({
  backend: 'behind the owner of the pools',
  setup: async () => {
    const mesh = await ThreeSites.open()
    const names = Object.keys(HOSTS) as SiteName[]
    const owned = await Promise.all(names.map(name => ownedBy(mesh.sites[name].kms, { saeIds: HOSTS[name] })))
    const hosts = names.flatMap((name, at) =>
      HOSTS[name].map(saeId => [saeId, owned[at]!.directory.kmsFor(saeId)] as const),
    )
    const fixture = Object.fromEntries(hosts) as unknown as KmsMulticastFixture
    open.set(fixture, [
      ...hosts.map(
        ([, kms]) =>
          () =>
            kms.close(),
      ),
      ...owned.map(each => () => each[Symbol.asyncDispose]()),
      () => mesh[Symbol.asyncDispose](),
    ])
    return fixture
  },
  teardown,
})

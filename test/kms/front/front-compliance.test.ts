import type { Kms } from '../../../lib/interface/kms.ts'
import { type KmsFixture, kmsCompliance } from '../../compliance/kms.ts'
import { createFrontPair, type FrontPair } from './front-pair.ts'

const behind = new WeakMap<KmsFixture, { pair: FrontPair; opened: Kms[] }>()

function fixtureOf(pair: FrontPair, open: (saeId: string) => Kms): KmsFixture {
  const opened: Kms[] = []
  const host = (saeId: string) => {
    const kms = open(saeId)
    opened.push(kms)
    return kms
  }
  const fixture: KmsFixture = {
    alice: host('alice'),
    bob: host('bob'),
    carol: host('carol'),
    unknownSaeId: 'mallory',
    deniedLevel: 'post-quantum',
    openAlice: async () => host('alice'),
    stopGeneration: async () => pair.foreign.stop(),
    startGeneration: async () => pair.foreign.start(),
  }
  behind.set(fixture, { pair, opened })
  return fixture
}

async function teardown(fixture: KmsFixture): Promise<void> {
  const { pair, opened } = behind.get(fixture)!
  for (const kms of opened) await kms.close()
  await pair[Symbol.asyncDispose]()
}

kmsCompliance({
  backend: "another vendor's KMEs, front in process",
  setup: async () => {
    const pair = await createFrontPair()
    return fixtureOf(pair, saeId => pair.fronts[saeId === 'alice' ? 0 : 1].kmsFor(saeId))
  },
  teardown,
})

kmsCompliance({
  backend: "another vendor's KMEs, front over mutual TLS",
  setup: async () => {
    const pair = await createFrontPair()
    return fixtureOf(pair, saeId => pair.remote(saeId))
  },
  teardown,
})

import assert from 'node:assert/strict'
import type { SlotStore } from '../../lib/interface/pool-store.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { runSuite, type TestSetup } from './suite.ts'

const context = Buffer.from('block 1')
const isStoreError = (error: unknown) => (error as { code?: string }).code === 'ERR_QKD_STORE'

/** What every place for wrapped keys holds to. */
export function slotStoreCompliance(setup: TestSetup<{ slots: SlotStore }>): void {
  runSuite('SlotStore', setup, [
    [
      'gives back what was put, each in a place of its own',
      async ({ slots }) => {
        const secrets = [1, 32, 64, 78].map(sizeBytes => SecretKey.random(sizeBytes))
        const places = await Promise.all(secrets.map(secret => slots.put(secret, context)))
        assert.equal(new Set(places).size, secrets.length)
        for (const [i, place] of places.entries()) assert.ok((await slots.read(place, context)).equals(secrets[i]!))
      },
    ],
    [
      'leaves the secret to its owner, and gives copies',
      async ({ slots }) => {
        const secret = SecretKey.random(32)
        const place = await slots.put(secret, context)
        assert.equal(secret.wiped, false)
        const one = await slots.read(place, context)
        one.wipe()
        assert.ok((await slots.read(place, context)).equals(secret))
      },
    ],
    [
      'opens only in the context it was put in',
      async ({ slots }) => {
        const place = await slots.put(SecretKey.random(32), context)
        await assert.rejects(slots.read(place, Buffer.from('block 2')), isStoreError)
      },
    ],
    [
      'gives nothing from a place that was erased, also twice, or never used',
      async ({ slots }) => {
        const place = await slots.put(SecretKey.random(32), context)
        await slots.erase(place)
        await slots.erase(place)
        await assert.rejects(slots.read(place, context), isStoreError)
        await assert.rejects(slots.read(100_000, context), isStoreError)
        await slots.erase(100_000)
        await slots.erase(-1)
      },
    ],
    [
      'erases by a context only what was put in it',
      async ({ slots }) => {
        const secret = SecretKey.random(32)
        const place = await slots.put(secret, context)
        // At the same moment as others, too: what is none of theirs must not stand for what is.
        await slots.erase(place, Buffer.from('block 2'))
        assert.ok((await slots.read(place, context)).equals(secret))
        await Promise.all([slots.erase(place, Buffer.from('block 2')), slots.erase(place, context)])
        await assert.rejects(slots.read(place, context), isStoreError)
        const next = await Promise.all([1, 2].map(() => slots.put(secret, context)))
        assert.equal(new Set(next).size, 2)
        await slots.erase(next[0]!, Buffer.from('block 2'))
        for (const one of next) assert.ok((await slots.read(one, context)).equals(secret))
      },
    ],
    [
      'erases all but what is named as live',
      async ({ slots }) => {
        const [live, dead] = await Promise.all([
          slots.put(SecretKey.random(32), context),
          slots.put(SecretKey.random(32), context),
        ])
        await slots.eraseAllBut(new Set([live]))
        await slots.read(live, context)
        await assert.rejects(slots.read(dead, context), isStoreError)
      },
    ],
    [
      'refuses a secret that does not fit',
      async ({ slots }) => {
        await assert.rejects(slots.put(SecretKey.random(200), context), isStoreError)
      },
    ],
  ])
}

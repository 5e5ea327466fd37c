import { fork } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import { LmdbPoolStore } from '../../../lib/kms/store/lmdb-store.ts'
import { MemoryPoolStore } from '../../../lib/kms/store/memory-store.ts'
import { POOL_STORE_REOPEN_CASE, type PoolStoreFixture, poolStoreCompliance } from '../../compliance/pool-store.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

poolStoreCompliance({
  backend: 'memory',
  setup: async () => ({ store: new MemoryPoolStore(), reopen: async () => new MemoryPoolStore() }),
  teardown: ({ store }) => store.close(),
  skip: { [POOL_STORE_REOPEN_CASE]: 'a memory store ends with its process' },
})

poolStoreCompliance({
  backend: 'lmdb',
  setup: async () => {
    const dir = await createTempDir()
    const fixture: PoolStoreFixture & { dir: typeof dir } = {
      dir,
      store: await LmdbPoolStore.open(dir.path),
      reopen: async () => {
        await fixture.store.close()
        return LmdbPoolStore.open(dir.path)
      },
    }
    return fixture
  },
  teardown: async fixture => {
    await fixture.store.close()
    await (fixture as PoolStoreFixture & { dir: AsyncDisposable }).dir[Symbol.asyncDispose]()
  },
})

describe('LmdbPoolStore', () => {
  it('refuses a directory that this process has open, until it is closed', async () => {
    await using dir = await createTempDir()
    const store = await LmdbPoolStore.open(dir.path)
    await rejectsWith(LmdbPoolStore.open(dir.path), 'ERR_QKD_STORE')
    await store.close()
    await (await LmdbPoolStore.open(dir.path)).close()
  })

  it('refuses a directory that a living process uses, and takes over from a dead one', async () => {
    await using dir = await createTempDir()
    const holder = fork(new URL('../../helpers/store-holder.ts', import.meta.url), [dir.path], {
      execArgv: ['--import', 'tsx'],
    })
    try {
      await once(holder, 'message')
      const error = await rejectsWith(LmdbPoolStore.open(dir.path), 'ERR_QKD_STORE')
      expect(error.message).to.contain(String(holder.pid))
    } finally {
      holder.kill('SIGKILL')
      await once(holder, 'exit')
    }
    await (await LmdbPoolStore.open(dir.path)).close()
  })

  it('lets another process have a store that this one has closed', async () => {
    await using dir = await createTempDir()
    await (await LmdbPoolStore.open(dir.path)).close()
    const next = fork(new URL('../../helpers/store-holder.ts', import.meta.url), [dir.path], {
      execArgv: ['--import', 'tsx'],
    })
    try {
      expect(await Promise.race([once(next, 'message'), once(next, 'exit')])).to.include('open')
    } finally {
      next.kill('SIGKILL')
    }
  })
})

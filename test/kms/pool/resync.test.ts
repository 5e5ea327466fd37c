import { existsSync as exists } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { QkdError } from '../../../lib/errors.ts'
import type { Key } from '../../../lib/interface/kms.ts'
import type { LinkBlock } from '../../../lib/interface/link.ts'
import type { MessageChannel } from '../../../lib/interface/message-channel.ts'
import type { BlockRecord } from '../../../lib/interface/pool-store.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { STORE_BITS } from '../../../lib/kms/pool/peer-wire.ts'
import { alteredChannel } from '../../helpers/altered-channel.ts'
import { PoolPair, type PoolPairOptions, type PoolSite } from '../../helpers/pool-pair.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const NAMES = ['site-a', 'site-b'] as const

/** Two pools on disks whose directories a test copies and puts back. */
class RestoredPair implements AsyncDisposable {
  readonly pair: PoolPair
  readonly #dir: { path: string } & AsyncDisposable
  /** Everything that was ever handed out, at each site: a key_ID or bytes that come again are a breach. */
  readonly #seen = [new Set<string>(), new Set<string>()] as const

  private constructor(pair: PoolPair, dir: { path: string } & AsyncDisposable) {
    this.pair = pair
    this.#dir = dir
  }

  static async open(options: PoolPairOptions = {}): Promise<RestoredPair> {
    const dir = await createTempDir('qkdkit-resync-')
    const pair = await PoolPair.open({ ...options, directory: dir.path })
    pair.connect()
    return new RestoredPair(pair, dir)
  }

  get path(): string {
    return this.#dir.path
  }

  site(i: 0 | 1): PoolSite {
    return this.pair.sites[i]
  }

  /** Stops a site, copies its directory, and starts it again. */
  async copy(i: 0 | 1): Promise<void> {
    const path = join(this.#dir.path, NAMES[i])
    await this.pair.restart(i, { between: () => cp(path, `${path}.copy`, { recursive: true }) })
    this.pair.connect()
    await this.met()
  }

  /** Ends a site as by a crash, and starts it from its copy; with `everything` the commit numbers beside it go back as well. */
  async putBack(i: 0 | 1, { markless = false, afterRestore = false } = {}): Promise<void> {
    const path = join(this.#dir.path, NAMES[i])
    const between = async () => {
      await rm(path, { recursive: true })
      await cp(`${path}.copy`, path, { recursive: true })
      if (markless) await rm(`${path}.commits`, { force: true })
    }
    await this.pair.restart(i, { between, afterRestore })
  }

  /** Removes the commit numbers beside a store, and so what vouches for it. */
  forgetMarks(i: 0 | 1): Promise<void> {
    return rm(join(this.#dir.path, `${NAMES[i]}.commits`))
  }

  /**
   * Copies all there is, of both sites, while they run, the commit numbers first, which are never ahead of their store. It is
   * one moment of both only while neither hears from the other what is not in the other's copy.
   */
  async copyAll(): Promise<void> {
    await this.pair.disconnect()
    await this.copyMarks()
    for (const name of NAMES)
      await cp(join(this.#dir.path, name), join(this.#dir.path, `${name}.copy`), { recursive: true })
    this.pair.connect()
    await this.met()
  }

  async copyMarks(): Promise<void> {
    for (const name of NAMES)
      await cp(join(this.#dir.path, `${name}.commits`), join(this.#dir.path, `${name}.commits.copy`))
  }

  async putAllBack(): Promise<void> {
    for (const i of [0, 1] as const) {
      const path = join(this.#dir.path, NAMES[i])
      await this.pair.restart(i, {
        between: async () => {
          await rm(path, { recursive: true })
          await cp(`${path}.copy`, path, { recursive: true })
          await cp(`${path}.commits.copy`, `${path}.commits`)
        },
      })
    }
    this.pair.connect()
  }

  async met(): Promise<void> {
    await until(() => this.pair.sites.every(({ pool }) => pool.connected), 'the sites have met')
  }

  async issue(from: 0 | 1, number = 20): Promise<Key[]> {
    const sae = from === 0 ? { masterSaeId: 'alice', slaveSaeId: 'bob' } : { masterSaeId: 'bob', slaveSaeId: 'alice' }
    const keys = await this.site(from).pool.issue({ pair: sae, number, sizeBytes: 32, suite: 2, waitMs: 8000 })
    this.#note(from, keys)
    return keys
  }

  async fetch(by: 0 | 1, keys: readonly Key[]): Promise<void> {
    const sae = by === 1 ? { masterSaeId: 'alice', slaveSaeId: 'bob' } : { masterSaeId: 'bob', slaveSaeId: 'alice' }
    const keyIds = keys.map(({ keyId }) => keyId)
    const got = await this.site(by).pool.retrieve(sae, keyIds, { waitMs: 8000 })
    this.#note(by, got)
    expect(got.every(({ secret }, at) => secret.equals(keys[at]!.secret))).to.equal(true)
  }

  /** How a fetch of each key ends: a code, or `delivered`. */
  async outcomes(by: 0 | 1, keys: readonly Key[]): Promise<Set<string>> {
    const outcomes = keys.map(key =>
      this.fetch(by, [key]).then(
        () => 'delivered',
        (error: QkdError) => error.code ?? error.message,
      ),
    )
    return new Set(await Promise.all(outcomes))
  }

  async exchangeBothWays(): Promise<void> {
    await this.fetch(1, await this.issue(0))
    await this.fetch(0, await this.issue(1))
  }

  /** Names of what became of both pools: `pool-reset` and `pool-resync`, without first contact. */
  cures(i: 0 | 1): string[] {
    return this.site(i).events.flatMap(event => {
      if (event.type === 'pool-resync') return [`resync ${event.side}`]
      return event.type === 'pool-reset' && event.reason !== 'first contact' ? ['reset'] : []
    })
  }

  async snapshot(i: 0 | 1) {
    const { store } = this.site(i)
    return store.snapshot((await store.poolIds())[0]!)
  }

  /** Blocks, with grant and whether their cells were spent for tags, of which nothing was ever leased, by what both sites have. */
  async unused(): Promise<Set<string>> {
    const isUnused = ({ state, lease, horizon }: BlockRecord) =>
      (state === 'active' || state === 'ready') && lease === 0 && horizon === 0
    const [near, far] = await Promise.all(
      ([0, 1] as const).map(async i => {
        const { blocks } = await this.snapshot(i)
        return new Set(blocks.filter(isUnused).map(({ number, grant, macSpent }) => `${number}/${grant}/${macSpent}`))
      }),
    )
    return new Set([...near!].filter(block => far!.has(block)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pair[Symbol.asyncDispose]()
    await this.#dir[Symbol.asyncDispose]()
  }

  #note(side: 0 | 1, keys: readonly Key[]): void {
    for (const { keyId, secret } of keys) {
      const bytes = secret.expose('application', value => Buffer.from(value).toString('hex'))
      for (const mark of [keyId, bytes]) {
        expect(this.#seen[side].has(mark), `${mark} came twice to ${NAMES[side]}`).to.equal(false)
        this.#seen[side].add(mark)
      }
    }
  }
}

const sides = [
  [0, 'of the first site'],
  [1, 'of the second'],
] as const

describe('RESYNC', function () {
  this.timeout(60_000)

  for (const [i, whose] of sides) {
    it(`gives the store ${whose} back what it forgot: nothing comes twice, and unused blocks go on`, async () => {
      await using sites = await RestoredPair.open({ limits: { targetBlocks: 16 } })
      const other = (1 - i) as 0 | 1
      await sites.exchangeBothWays()
      await until(async () => (await sites.unused()).size > 4, 'there are blocks of which nothing was used')
      const copied = await sites.unused()
      await sites.copy(i)
      // In both lanes: delivered since the copy, and issued since and not fetched.
      await sites.exchangeBothWays()
      const forgotten = await sites.issue(other)
      const owed = await sites.issue(i)
      await sites.pair.disconnect()
      const unused = [...(await sites.unused())].filter(block => copied.has(block))
      await sites.putBack(i)
      sites.pair.connect()
      await sites.met()
      expect(sites.cures(i)).to.deep.equal(['resync local'])
      expect(sites.cures(other)).to.deep.equal(['resync peer'])
      // What the sound side holds for its hosts is still theirs; what the other forgot is burned.
      await sites.fetch(other, owed)
      expect(await sites.outcomes(i, forgotten)).to.deep.equal(new Set(['ERR_QKD_KEY_NOT_FOUND']))
      await sites.exchangeBothWays()
      const { blocks, pool } = await sites.snapshot(i)
      expect(pool.rolledBack).to.equal(false)
      const live = blocks.filter(({ state }) => state === 'active' || state === 'ready').map(({ number }) => number)
      const told = sites.site(i).events.find(event => event.type === 'pool-resync')
      expect(told).to.include({ side: 'local' }).and.have.property('blocksKept').that.is.above(0)
      // Under load both lanes may have changed hands since.
      expect(live).to.include.members(unused.map(block => BigInt(block.split('/')[0]!)))
      const losses = sites.site(i).pool.status().losses
      expect(losses).to.include({ count: 1, lastCause: 'this store was put back' })
      expect(losses!.cells).to.be.above(0)
    })
  }

  it('is asked for by who was told that the store was put back', async () => {
    await using sites = await RestoredPair.open()
    await sites.exchangeBothWays()
    await sites.copy(1)
    const keys = await sites.issue(0)
    await sites.putBack(1, { afterRestore: true, markless: true })
    sites.pair.connect()
    await sites.met()
    expect(sites.cures(1)).to.deep.equal(['resync local'])
    expect(await sites.outcomes(1, keys)).to.deep.equal(new Set(['ERR_QKD_KEY_NOT_FOUND']))
  })

  it('is answered by who was put back before and made good', async () => {
    await using sites = await RestoredPair.open()
    await sites.exchangeBothWays()
    await sites.copy(0)
    await sites.copy(1)
    await sites.exchangeBothWays()
    for (const i of [0, 1] as const) {
      await sites.putBack(i)
      sites.pair.connect()
      await sites.met()
      await sites.exchangeBothWays()
    }
    expect(sites.cures(0)).to.deep.equal(['resync local', 'resync peer'])
    await sites.exchangeBothWays()
  })

  it('is found out again where the same copy is put back again, and a later one of the time before', async () => {
    await using sites = await RestoredPair.open()
    await sites.exchangeBothWays()
    await sites.copy(1)
    await sites.exchangeBothWays()
    for (let round = 1; round <= 3; round++) {
      await sites.putBack(1, { markless: true })
      sites.pair.connect()
      await sites.met()
      expect(sites.cures(1)).to.deep.equal(Array.from({ length: round }, () => 'resync local'))
      await sites.exchangeBothWays()
    }
  })

  it('begins the pool anew where both stores were put back (rule R5)', async () => {
    await using sites = await RestoredPair.open()
    await sites.exchangeBothWays()
    await sites.copy(0)
    await sites.copy(1)
    await sites.exchangeBothWays()
    const [toBob, toAlice] = [await sites.issue(0), await sites.issue(1)]
    await sites.putBack(0)
    await sites.putBack(1)
    sites.pair.connect()
    await sites.met()
    for (const i of [0, 1] as const) {
      expect(sites.cures(i)).to.deep.equal(['reset'])
      expect(sites.site(i).pool.status().losses!.cells).to.be.above(0)
    }
    expect(await sites.outcomes(1, toBob)).to.deep.equal(new Set(['ERR_QKD_KEY_NOT_FOUND']))
    expect(await sites.outcomes(0, toAlice)).to.deep.equal(new Set(['ERR_QKD_KEY_NOT_FOUND']))
    await sites.exchangeBothWays()
  })

  it('begins the pool anew where both went back to before they started last, and ended with their first keys', async () => {
    await using sites = await RestoredPair.open()
    await sites.exchangeBothWays()
    await sites.copy(0)
    await sites.copy(1)
    // As a crash leaves them that comes now.
    await sites.copyMarks()
    await sites.exchangeBothWays()
    await sites.putAllBack()
    await sites.met()
    for (const i of [0, 1] as const) expect(sites.cures(i)).to.deep.equal(['reset'])
    await sites.exchangeBothWays()
  })

  it('begins the pool anew where the peer cannot tell whether it was put back itself', async () => {
    await using sites = await RestoredPair.open()
    await sites.copy(0)
    await sites.copy(1)
    await sites.exchangeBothWays()
    await sites.putBack(0)
    // The store of the other goes on, but what vouched for it is gone.
    await sites.pair.restart(1, { between: () => sites.forgetMarks(1) })
    sites.pair.connect()
    await sites.met()
    expect(sites.cures(0)).to.deep.equal(['reset'])
    await sites.exchangeBothWays()
  })

  it('survives a crash at any of its steps, and is asked for again', async () => {
    await using sites = await RestoredPair.open({ limits: { targetBlocks: 4 } })
    await sites.exchangeBothWays()
    await sites.copy(1)
    const keys = await sites.issue(0)
    await sites.putBack(1)
    let step = 0
    let isDone = false
    for (; !isDone; step++) {
      const { faults } = sites.site(1)
      faults.failAt(step, { after: step % 2 === 1 })
      sites.pair.connect()
      await until(() => faults.isDead || sites.site(1).pool.connected, `step ${step} is come by`)
      isDone = !faults.isDead
      await sites.pair.restart(1)
    }
    expect(step).to.be.above(2)
    sites.pair.connect()
    await sites.met()
    expect(sites.cures(1).filter(cure => cure === 'reset')).to.deep.equal([])
    expect(await sites.outcomes(1, keys)).to.deep.equal(new Set(['ERR_QKD_KEY_NOT_FOUND']))
    await sites.exchangeBothWays()
  })

  it('burns the leases of who answers, so that no host is given a key that the other will refuse', async () => {
    await using sites = await RestoredPair.open()
    await sites.exchangeBothWays()
    await sites.copy(1)
    await sites.issue(0, 100)
    const { leasedCells } = sites.site(0).pool.status()
    expect(leasedCells).to.be.above(0)
    await sites.putBack(1)
    sites.pair.connect()
    await sites.met()
    const burned = sites.site(0).events.flatMap(event => {
      return event.type === 'cells-burned' && /put back/.test(event.reason) ? [event.cells] : []
    })
    expect(burned).to.not.be.empty
    await sites.fetch(1, await sites.issue(0, 100))
  })

  it('is waited for by a running process that learns that its store was put back: it gives nothing out', async () => {
    await using sites = await RestoredPair.open()
    const [key] = await sites.issue(0, 1)
    await sites.pair.disconnect()
    // The peer says that it knows more of this store than it holds, and nothing comes of what it is asked then.
    sites.pair.connect(channel =>
      channel.peerId !== 'kme-b'
        ? channel
        : alteredChannel(channel, message => {
            if (message.name === 'hello') return { ...message, heardCommits: message.heardCommits + 100_000 }
            return message.name === 'state' ? { name: 'mark' } : message
          }),
    )
    await until(async () => (await sites.snapshot(1)).pool.rolledBack, 'the store counts as put back')
    // Who reads the store is ahead of the process that writes it, until its next commit is through.
    await sites.site(1).store.commit('site-a|site-b', [])
    const terms = { waitMs: 500 }
    const refusal = sites.site(1).pool.retrieve({ masterSaeId: 'alice', slaveSaeId: 'bob' }, [key!.keyId], terms)
    await rejectsWith(refusal, 'ERR_QKD_POOL_DESYNC')
  })

  it('suspends the pool of a peer that asks again and again within an hour, with an alarm', async () => {
    await using sites = await RestoredPair.open({ limits: { restoresPerHour: 3 } })
    await sites.copy(1)
    const suspended = () => sites.site(0).pool.status().suspendedMs
    for (let round = 1; round <= 3; round++) {
      await sites.exchangeBothWays()
      await sites.putBack(1)
      sites.pair.connect()
      await sites.met()
    }
    expect(suspended()).to.be.above(3_000_000)
    const alarms = () =>
      sites.site(0).events.flatMap(event => (event.type === 'alarm' ? `${event.id} ${event.state}` : []))
    expect(alarms()).to.include('pool-suspended:site-a|site-b raised')
    await sites.pair.disconnect()
    const sessions = () =>
      sites.site(0).events.filter(event => event.type === 'peer' && event.state === 'disconnected').length
    const before = sessions()
    sites.pair.connect()
    await until(() => sessions() > before, 'the session is refused')
    expect(sites.site(0).pool.connected).to.equal(false)
    sites.pair.advance(3_600_000)
    sites.pair.connect()
    await sites.met()
    expect(alarms()).to.include('pool-suspended:site-a|site-b cleared')
    await sites.exchangeBothWays()
  })

  it('suspends the pool of a peer that says again and again that this store was put back', async () => {
    await using sites = await RestoredPair.open({ limits: { restoresPerHour: 3 } })
    await sites.exchangeBothWays()
    let claimed = 0
    const claims = (channel: MessageChannel) =>
      alteredChannel(channel, message =>
        message.name === 'hello' && message.siteId === 'site-b'
          ? { ...message, store: STORE_BITS.vouched, heardCommits: ++claimed * 2 ** 40 }
          : message,
      )
    // At either: who has to make good asks for it each time, which is trouble as well.
    const suspended = () => sites.pair.sites.some(({ pool }) => pool.status().suspendedMs > 0)
    const sessions = () => sites.site(0).events.filter(({ type }) => type === 'peer').length
    let over = Promise.resolve()
    for (let round = 1; round <= 12 && !suspended(); round++) {
      await sites.pair.disconnect()
      await over
      const before = sessions()
      over = sites.pair.session(claims)
      await until(() => sessions() > before, 'the session has come to something')
    }
    expect(suspended()).to.equal(true)
  })

  it('suspends the pool of a peer whose blocks differ too often', async () => {
    const tamper = (block: LinkBlock) => ({ ...block, secret: SecretKey.random(32_000) })
    await using sites = await RestoredPair.open({ tamper, limits: { mismatchesPerHour: 3 } })
    const isSuspended = ({ pool, events }: PoolSite) =>
      pool.status().suspendedMs > 0 && events.some(event => event.type === 'peer' && event.state === 'suspended')
    await until(() => sites.pair.sites.some(isSuspended), 'the pool is suspended')
    await until(() => sites.pair.sites.every(({ pool }) => !pool.connected), 'its session ends')
  })

  it('cannot see that everything was put back: both stores and their commit numbers, to one moment (known)', async () => {
    await using sites = await RestoredPair.open()
    await sites.exchangeBothWays()
    const keys = await sites.issue(0, 1)
    const { path } = sites
    await until(() => exists(`${path}/site-a.commits`) && exists(`${path}/site-b.commits`), 'the numbers are written')
    await sites.copyAll()
    await sites.fetch(1, keys)
    await sites.putAllBack()
    await sites.met()
    expect(sites.cures(0)).to.deep.equal([])
    // SECURITY.md, "Restores and snapshots": Bob's host could be given the key that it had before.
    const [key] = keys
    const again = await sites
      .site(1)
      .pool.retrieve({ masterSaeId: 'alice', slaveSaeId: 'bob' }, [key!.keyId], { waitMs: 8000 })
    expect(again[0]!.secret.equals(key!.secret)).to.equal(true)
  })
})

import { expect } from 'chai'
import type { Key } from '../../../lib/interface/kms.ts'
import type { MessageChannel } from '../../../lib/interface/message-channel.ts'
import { lp } from '../../../lib/key/lp.ts'
import { createMlDsaAuthority, issueMlDsaCertificate } from '../../../lib/key/ml-dsa-issue.ts'
import { SiteIdentity, siteUri } from '../../../lib/key/site-identity.ts'
import type { PoolLimits } from '../../../lib/kms/pool/key-pool.ts'
import { decodeMessage, encodeMessage, type PeerMessage } from '../../../lib/kms/pool/peer-wire.ts'
import { PoolPair, type PoolSite } from '../../helpers/pool-pair.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const authority = createMlDsaAuthority({ commonName: 'test', days: 1 })
const OVERLAP_MS = 70_000
const poolId = 'site-a|site-b'

function identityOf(siteId: string, ca = authority): SiteIdentity {
  const own = issueMlDsaCertificate(ca, { commonName: siteId, uris: [siteUri(siteId)], days: 1 })
  return new SiteIdentity({ cert: own.certificatePem, key: own.privateKeyPem, ca: authority.certificatePem })
}
const identities = [identityOf('site-a'), identityOf('site-b')] as const

const issue = ({ pool }: PoolSite, number = 1) => pool.issue({ pair, number, sizeBytes: 32, suite: 3, waitMs: 8000 })
const epochsOf = ({ sites }: PoolPair) => sites.map(({ pool }) => pool.status().secret?.epoch)
const refusedOf = ({ sites }: PoolPair) => sites.map(({ pool }) => pool.status().secret?.refused)
const resets = ({ events }: PoolSite) => events.filter(({ type }) => type === 'pool-reset').length

async function expectFetched(site: PoolSite, given: readonly Key[]): Promise<void> {
  const same = await site.pool.retrieve(
    pair,
    given.map(({ keyId }) => keyId),
    { waitMs: 8000 },
  )
  given.forEach(({ secret }, at) => {
    expect(secret.equals(same[at]!.secret)).to.equal(true)
  })
}

/** Both sites issue, and have each other's. */
async function expectWorking({ sites }: PoolPair): Promise<void> {
  await expectFetched(sites[1], await issue(sites[0], 3))
  await expectFetched(sites[0], await issue(sites[1], 3))
}

async function refreshed(mesh: PoolPair, epoch: number): Promise<void> {
  await until(() => epochsOf(mesh).every(at => at === epoch), `both sites come to epoch ${epoch}`)
}

/** The next session of the pair, which ends at a new secret that a site refuses. */
async function refusedSession(
  mesh: PoolPair,
  { by, session, wrap }: { by: 0 | 1; session: number; wrap?: (channel: MessageChannel) => MessageChannel },
): Promise<void> {
  const { events, pool } = mesh.sites[by]
  const refusals = () => events.filter(event => event.type === 'pair-secret' && event.outcome === 'refused').length
  const ends = () => events.filter(event => event.type === 'peer' && event.state === 'disconnected').length
  const before = ends()
  mesh.connect(wrap)
  await until(() => pool.connected || ends() > before, `session ${session} comes to its end`)
  expect([pool.connected, refusals()]).to.deep.equal([false, session])
  await mesh.disconnect()
}

async function opened(limits: Partial<PoolLimits> = {}, more = {}): Promise<PoolPair> {
  const mesh = await PoolPair.open({ limits, ...more })
  mesh.connect()
  await expectWorking(mesh)
  return mesh
}

/** What each message becomes on its way; an empty list loses it. */
function altered(channel: MessageChannel, change: (message: PeerMessage) => PeerMessage[]): MessageChannel {
  let sent = 0
  const send: MessageChannel['send'] = async (bytes, options) => {
    const { envelope, message } = decodeMessage(bytes)
    for (const one of change(message))
      await channel.send(encodeMessage({ ...envelope, sequence: ++sent }, one), options)
  }
  return new Proxy(channel, {
    get: (target, property) => {
      if (property === 'send') return send
      const value = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('the pair secret', function () {
  this.timeout(60_000)

  it('goes on to an epoch of its own at both sites, under which keys are issued; those from before are fetched', async () => {
    await using mesh = await opened({}, { identities })
    const [a, b] = mesh.sites
    const before = [await issue(a, 5), await issue(b, 5)] as const
    a.pool.refreshSecret()
    await refreshed(mesh, 1)
    const after = await issue(a, 5)
    await expectFetched(b, before[0])
    await expectFetched(b, after)
    await expectFetched(a, before[1])
    await expectWorking(mesh)
    for (const { pool } of mesh.sites)
      expect(pool.status().secret).to.include({
        epoch: 1,
        kem: 'ML-KEM-1024',
        isSigned: true,
        isPreviousAlive: true,
        refused: 0,
      })
  })

  it('keeps the sealing keys of the epoch before as long as its keys live, and lets a third epoch wait', async () => {
    await using mesh = await opened()
    const [a, b] = mesh.sites
    const kept = await issue(a, 2)
    b.pool.refreshSecret()
    await refreshed(mesh, 1)
    a.pool.refreshSecret()
    mesh.advance(30_000)
    await expectWorking(mesh)
    expect(epochsOf(mesh)).to.deep.equal([1, 1])
    await expectFetched(b, [kept[0]!])
    mesh.advance(OVERLAP_MS - 30_000)
    await refreshed(mesh, 2)
    await rejectsWith(b.pool.retrieve(pair, [kept[1]!.keyId], { waitMs: 1000 }), 'ERR_QKD_KEY_NOT_FOUND')
  })

  it('is erased from the slots when it is over', async () => {
    await using mesh = await opened()
    const [{ store, slots, pool }] = mesh.sites
    const { rootSlot } = (await store.snapshot(poolId)).pool
    pool.refreshSecret()
    await refreshed(mesh, 1)
    const { pool: record, notes } = await store.snapshot(poolId)
    expect(record.sealEpoch).to.equal(1)
    expect(record.rootSlot).to.not.equal(rootSlot)
    // The place is empty, or another secret's by now.
    const oldRoot = await slots
      .read(rootSlot, lp('qkdkit/1 slot', 'root', poolId))
      .catch((error: Error) => error.message)
    expect(oldRoot).to.match(/empty|altered/)
    expect([...notes.keys()].filter(name => !name.startsWith('way '))).to.deep.equal(['pair secret'])
  })

  it('is refreshed when it is old enough, or after so many keys, at the word of either site', async () => {
    await using byTime = await opened({ refreshMs: 3_600_000 })
    byTime.advance(3_500_000)
    await expectWorking(byTime)
    expect(epochsOf(byTime)).to.deep.equal([0, 0])
    byTime.advance(100_000)
    await refreshed(byTime, 1)
    await expectWorking(byTime)
    await using byKeys = await opened({ refreshKeys: 20 })
    expect(epochsOf(byKeys)).to.deep.equal([0, 0])
    await issue(byKeys.sites[1], 17)
    await refreshed(byKeys, 1)
    await expectWorking(byKeys)
  })

  it('survives restarts of both sites, with what was sealed in both epochs', async () => {
    await using mesh = await opened({}, { identities })
    const [a, b] = mesh.sites
    const old = await issue(a, 2)
    a.pool.refreshSecret()
    await refreshed(mesh, 1)
    const young = await issue(a, 2)
    for (const site of [0, 1] as const) {
      await mesh.restart(site)
      mesh.connect()
      await until(() => mesh.sites.every(({ pool }) => pool.connected), 'they meet again')
    }
    await expectFetched(b, [old[0]!, young[0]!])
    await expectFetched(b, [young[1]!, old[1]!])
    expect(mesh.sites.map(resets)).to.deep.equal([1, 1])
  })

  describe('is not refreshed, and that is counted,', () => {
    type Attack = (message: PeerMessage) => PeerMessage[]
    const attacks: [string, 0 | 1, Attack][] = [
      [
        'without the signature of the site that asks',
        0,
        m => [m.name === 'ratchetProof' ? { ...m, signature: new Uint8Array(0) } : m],
      ],
      [
        'without the signature of the site that answers',
        1,
        m => [m.name === 'ratchetAnswer' ? { ...m, signature: new Uint8Array(0) } : m],
      ],
      [
        'without the certificate of the site that asks',
        0,
        m => [m.name === 'ratchetOffer' ? { ...m, certificate: new Uint8Array(0) } : m],
      ],
      [
        'without the certificate of the site that answers',
        1,
        m => [m.name === 'ratchetAnswer' ? { ...m, certificate: new Uint8Array(0) } : m],
      ],
      [
        'with a signature that was altered',
        0,
        m => [m.name === 'ratchetProof' ? { ...m, signature: flipped(m.signature) } : m],
      ],
      ['with fewer parameter sets than the site has', 0, m => [m.name === 'ratchetOffer' ? { ...m, offered: 1 } : m]],
      ['with fewer parameter sets in the answer', 1, m => [m.name === 'ratchetAnswer' ? { ...m, offered: 1 } : m]],
      ['with a weaker set than both have', 0, m => [m.name === 'ratchetOffer' ? { ...m, kem: 0 } : m]],
      ['with another key than was signed', 0, m => [m.name === 'ratchetOffer' ? { ...m, key: flipped(m.key) } : m]],
      ['for an epoch that has been', 0, m => [m.name === 'ratchetOffer' ? { ...m, epoch: 0 } : m]],
      ['for an epoch that is not the next', 0, m => [m.name === 'ratchetOffer' ? { ...m, epoch: 9 } : m]],
      [
        'after another transcript than the last',
        0,
        m => [m.name === 'ratchetOffer' ? { ...m, before: Buffer.alloc(32, 1) } : m],
      ],
      ['with a proof that was altered', 0, m => [m.name === 'ratchetProof' ? { ...m, mac: flipped(m.mac) } : m]],
      ['with a confirmation that was altered', 1, m => [m.name === 'ratchetDone' ? { ...m, mac: flipped(m.mac) } : m]],
      [
        'by a proof out of the blue',
        0,
        m =>
          m.name === 'ratchetOffer'
            ? [{ name: 'ratchetProof', epoch: 1, signature: Buffer.alloc(3309), mac: Buffer.alloc(32) }]
            : [m],
      ],
    ]
    for (const [what, from, attack] of attacks) {
      it(what, async () => {
        await using mesh = await PoolPair.open({ identities })
        mesh.connect(channel => (channel.peerId === ['kme-b', 'kme-a'][from] ? altered(channel, attack) : channel))
        await expectWorking(mesh)
        mesh.sites[0].pool.refreshSecret()
        await until(() => refusedOf(mesh).some(count => count! > 0), 'it is refused and counted')
        // Whatever the attack left open is settled by the next session, and the pool goes on with one secret.
        await mesh.disconnect()
        mesh.connect()
        await until(() => mesh.sites.every(({ pool }) => pool.connected), 'they meet again')
        await expectWorking(mesh)
        expect(new Set(epochsOf(mesh)).size).to.equal(1)
        expect(mesh.sites.map(resets)).to.deep.equal([1, 1])
      })
    }

    it('when a recorded refresh is said again', async () => {
      await using mesh = await PoolPair.open({ identities })
      const recorded: PeerMessage[] = []
      let replay = false
      mesh.connect(channel =>
        altered(channel, message => {
          if (message.name !== 'ratchetOffer') return [message]
          recorded.push(message)
          return replay ? [recorded[0]!] : [message]
        }),
      )
      await expectWorking(mesh)
      mesh.sites[0].pool.refreshSecret()
      await refreshed(mesh, 1)
      mesh.advance(OVERLAP_MS + 10_000)
      replay = true
      mesh.sites[0].pool.refreshSecret()
      await until(() => refusedOf(mesh)[1]! > 0, 'the replay is refused')
      expect(epochsOf(mesh)).to.deep.equal([1, 1])
      await expectWorking(mesh)
    })

    it('by a peer without an identity, with one of another authority, or with that of another site, however often it comes', async () => {
      const stranger = createMlDsaAuthority({ commonName: 'other', days: 1 })
      for (const other of [undefined, identityOf('site-a', stranger), identityOf('site-c')]) {
        await using mesh = await PoolPair.open({ identities: [other, identities[1]] })
        for (let session = 1; session <= 3; session++) await refusedSession(mesh, { by: 1, session })
        const { pool } = await mesh.sites[1].store.snapshot(poolId)
        expect(pool).to.include({ poolEpoch: 0, rootSlot: -1 })
      }
    })

    it('by a peer that has lost the secret and does not sign, which takes nothing from the pool that is', async () => {
      await using mesh = await opened({}, { identities })
      const [a, b] = mesh.sites
      const lost = (await b.store.snapshot(poolId)).pool.rootSlot
      const { poolEpoch, rootSlot } = (await a.store.snapshot(poolId)).pool
      await mesh.restart(1, { between: () => b.slots.erase(lost) })
      const none = new Uint8Array(0)
      const attack: Attack = m => [m.name === 'confirm' ? { ...m, certificate: none, signature: none } : m]
      for (let session = 1; session <= 3; session++)
        await refusedSession(mesh, {
          by: 0,
          session,
          wrap: channel => (channel.peerId === 'kme-a' ? altered(channel, attack) : channel),
        })
      expect(a.pool.status().secret).to.include({ isSigned: true, refused: 3 })
      expect((await a.store.snapshot(poolId)).pool).to.include({ poolEpoch, rootSlot })
      expect(resets(a)).to.equal(1)
      // Where it signs, both begin anew.
      mesh.connect()
      await until(() => mesh.sites.every(({ pool }) => pool.connected), 'they meet again')
      await expectWorking(mesh)
      expect(resets(a)).to.equal(2)
    })

    it('where a signed one was lost and neither site can sign any more', async () => {
      const own: [SiteIdentity | undefined, SiteIdentity | undefined] = [...identities]
      await using mesh = await opened({}, { identities: own })
      const [{ events, pool }, b] = mesh.sites
      const lost = (await b.store.snapshot(poolId)).pool.rootSlot
      own.fill(undefined)
      await mesh.restart(0)
      await mesh.restart(1, { between: () => b.slots.erase(lost) })
      mesh.connect()
      await until(
        () => pool.connected || events.some(e => e.type === 'peer' && /lost its mlDsa/.test(`${e.reason}`)),
        'it ends',
      )
      expect(mesh.sites.map(resets)).to.deep.equal([1, 1])
    })

    it('with a weaker set than last time, whatever the peer has now', async () => {
      await using mesh = await PoolPair.open({ identities })
      mesh.connect()
      await expectWorking(mesh)
      mesh.sites[0].pool.refreshSecret()
      await refreshed(mesh, 1)
      await mesh.disconnect()
      mesh.connect(channel => altered(channel, m => [m.name === 'hello' ? { ...m, kems: 1 } : m]))
      await until(() => mesh.sites.every(({ pool }) => pool.connected), 'they meet again')
      mesh.advance(OVERLAP_MS + 10_000)
      mesh.sites[0].pool.refreshSecret()
      await until(() => refusedOf(mesh)[0]! > 0, 'it is refused')
      expect(epochsOf(mesh)).to.deep.equal([1, 1])
    })
  })

  it('is one again where one site dies in beginning anew, and the other has begun', async () => {
    let apart = 0
    for (const site of [0, 1] as const) {
      for (let step = 0; step < 3; step++) {
        await using mesh = await PoolPair.open({ identities })
        const { faults, pool } = mesh.sites[site]
        mesh.connect(channel =>
          altered(channel, message => {
            if (message.name === 'confirm' && channel.peerId !== ['kme-a', 'kme-b'][site]) faults.failAt(step)
            return [message]
          }),
        )
        await until(() => faults.isDead || pool.connected, 'it dies or is through')
        await until(() => mesh.sites[1 - site]!.pool.status().secret !== undefined, 'the other has begun')
        const epochs = await Promise.all(
          mesh.sites.map(async ({ store }) => (await store.snapshot(poolId)).pool.poolEpoch),
        )
        if (epochs[0] !== epochs[1]) apart++
        await mesh.restart(site)
        mesh.connect()
        await expectWorking(mesh)
      }
    }
    expect(apart).to.be.at.least(2)
  })

  for (const site of [0, 1] as const) {
    for (const after of [false, true]) {
      it(`is the same at both sites whichever step site ${site + 1} dies ${after ? 'right after' : 'before'}`, async () => {
        await using mesh = await opened({}, { identities })
        const { faults } = mesh.sites[site]
        let died = 0
        for (let step = 0; step < 7; step++) {
          const kept = [await issue(mesh.sites[0], 2), await issue(mesh.sites[1], 2)] as const
          const epoch = epochsOf(mesh)[0]!
          await mesh.disconnect()
          // The disk ends so many steps after the first word of the refresh.
          mesh.connect(channel =>
            altered(channel, message => {
              if (message.name === 'ratchetOffer') faults.failAt(step, { after })
              return [message]
            }),
          )
          mesh.sites[0].pool.refreshSecret()
          const isThrough = () => epochsOf(mesh).every(at => at === epoch + 1)
          await until(() => {
            // Blocks that the death of a disk left unverified are given up by the clock.
            mesh.advance(20)
            return faults.isDead || isThrough()
          }, 'it dies or is through')
          if (!isThrough()) died++
          await mesh.restart(site)
          mesh.connect()
          await until(() => mesh.sites.every(({ pool }) => pool.connected), `they meet again after step ${step}`)
          const now = epochsOf(mesh)
          expect(now[0]).to.equal(now[1])
          expect(now[0]).to.be.oneOf([epoch, epoch + 1])
          // What was lost with the disk is asked for again, and goes through.
          if (now[0] === epoch) mesh.sites[0].pool.refreshSecret()
          await until(() => {
            mesh.advance(20)
            return isThrough()
          }, 'the next try succeeds')
          await expectFetched(mesh.sites[1], kept[0])
          await expectFetched(mesh.sites[0], kept[1])
          await expectWorking(mesh)
          mesh.advance(OVERLAP_MS + 10_000)
        }
        expect(died, 'refreshes that were interrupted').to.be.at.least(2)
        expect(mesh.sites.map(resets)).to.deep.equal([1, 1])
      })
    }
  }
})

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[copy.length >> 1]! ^= 1
  return copy
}

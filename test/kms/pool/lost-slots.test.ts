import { expect } from 'chai'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import type { BlockLedger } from '../../../lib/kms/pool/block-ledger.ts'
import { PairSecrets } from '../../../lib/kms/pool/pair-secrets.ts'
import { decodeSecretNote, FIRST_TERMS } from '../../../lib/kms/pool/secret-note.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'
import { begin, LedgerDisk, takeIn } from './ledger-disk.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const POOL = 'site-a|site-b'

describe('a place that a row of another pool still names', () => {
  it('keeps its pair secret, two starts after a kill between a row and its key', async () => {
    const disk = new LedgerDisk()
    const { slot } = await takeIn(await disk.ledger('site-b'), 10n)
    await disk.store.commit(POOL, [{ kind: 'move', number: 10n, grant: 0, from: ['received'], to: 'dropped' }])
    const away = await disk.ledger('site-b')
    expect(await disk.hasKey({ number: 10n, slot })).to.equal(false)
    expect(away.block(10n)!.slot, 'the peer stays away, and the row as it is').to.equal(slot)
    const other = await disk.ledger('site-c')
    await begin(other)
    expect(other.pool.rootSlot).to.equal(slot)
    // Start after start.
    await disk.ledger('site-b')
    expect((await disk.ledger('site-c')).secret).to.not.equal(undefined)
    // And when that peer comes at last.
    await (await disk.ledger('site-b')).buryDead()
    expect((await disk.ledger('site-c')).secret).to.not.equal(undefined)
    expect(disk.alarms).to.deep.equal([])
  })

  it('keeps its block, where that row could not be written at its time', async () => {
    const disk = new LedgerDisk()
    const full = await disk.ledger('site-b')
    const block = await takeIn(full, 10n)
    disk.faults.failAt(2)
    await rejectsWith(full.move(7, block, { reason: 'in vain' }), 'ERR_QKD_STORE')
    disk.faults.mend()
    const other = await disk.ledger('site-c')
    const next = await takeIn(other, 7n)
    expect(next.slot).to.equal(block.slot)
    await disk.ledger('site-b')
    ;(await other.open(next)).wipe()
  })

  it('keeps its block when that pool begins anew, or forgets what it noted there', async () => {
    const disk = new LedgerDisk()
    const one = await disk.ledger('site-b')
    await begin(one)
    await (await secretsOf(one)).propose(SecretKey.random(32), FIRST_TERMS)
    const { pending } = decodeSecretNote(one.note('pair secret')!.value)
    // The file of the slots was lost, and begins anew.
    await disk.slots.eraseAllBut(new Set())
    const other = await disk.ledger('site-c')
    const blocks = [await takeIn(other, 7n), await takeIn(other, 8n)]
    expect(blocks.map(({ slot }) => slot)).to.include.members([one.pool.rootSlot, pending!.slot])
    await begin(await disk.ledger('site-b'))
    for (const block of blocks) (await other.open(block)).wipe()
  })
})

describe('a lost slot', function () {
  this.timeout(10_000)

  it('of the epoch before costs the keys of that epoch, and neither the start nor the next refresh', async () => {
    await using mesh = await PoolPair.open({ limits: { targetBlocks: 4 } })
    mesh.connect()
    const [a, b] = mesh.sites
    const request = { pair, number: 1, sizeBytes: 32, suite: 2, waitMs: 5000 } as const
    await a.pool.issue(request)
    const refresh = async (epoch: number) => {
      a.pool.refreshSecret()
      await until(() => mesh.sites.every(({ pool }) => pool.status().secret?.epoch === epoch), `epoch ${epoch}`)
    }
    await refresh(1)
    const { notes } = await a.store.snapshot(POOL)
    const { previous } = decodeSecretNote(notes.get('pair secret')!.value)
    await mesh.restart(0, { between: () => a.slots.erase(previous!.slot) })
    expect(a.events.some(event => event.type === 'alarm' && event.id === `seal-keys-lost:${POOL}`)).to.equal(true)
    mesh.connect()
    const [key] = await a.pool.issue(request)
    expect(await b.pool.retrieve(pair, [key!.keyId], { waitMs: 5000 })).to.have.length(1)
    // At the other site that epoch must end first.
    mesh.advance(120_000)
    await until(() => b.pool.status().secret?.isPreviousAlive === false, 'the epoch before is over')
    await refresh(2)
    await mesh.restart(0)
    expect(a.pool.status().secret?.epoch).to.equal(2)
    expect(mesh.sites.flatMap(({ events }) => events).filter(({ type }) => type === 'pool-reset')).to.have.length(2)
  })

  it('of the next pair secret leaves the one that holds', async () => {
    const disk = new LedgerDisk()
    const ledger = await disk.ledger('site-b')
    await begin(ledger)
    await (await secretsOf(ledger)).propose(SecretKey.random(32), FIRST_TERMS)
    const { pending } = decodeSecretNote(ledger.note('pair secret')!.value)
    await disk.slots.erase(pending!.slot)
    const again = await disk.ledger('site-b')
    const secrets = await secretsOf(again)
    expect(disk.alarms).to.deep.equal([`next-secret-lost:${POOL}`])
    expect(again.secret).to.not.equal(undefined)
    expect(secrets.pendingCheck(), 'none is shown to the peer').to.deep.equal(new Uint8Array(16))
    expect(secrets.isSettled).to.equal(true)
    await secrets.propose(SecretKey.random(32), FIRST_TERMS)
    expect((await secretsOf(await disk.ledger('site-b'))).isSettled).to.equal(false)
  })
})

function secretsOf(ledger: BlockLedger): Promise<PairSecrets> {
  return PairSecrets.open({ ledger, now: () => 0, lifetimeMs: () => 0 })
}

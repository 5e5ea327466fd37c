import { expect } from 'chai'
import { blockTags } from '../../../lib/key/block-tag.ts'
import { BLOCK_BYTES } from '../../../lib/key/cells.ts'
import { deriveBlockSecret, withBlockSecret } from '../../../lib/key/construct.ts'
import { joinSecrets } from '../../../lib/key/join.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import type { BlockLedger } from '../../../lib/kms/pool/block-ledger.ts'
import { BlockVerifier } from '../../../lib/kms/pool/block-verifier.ts'
import { PairSecrets } from '../../../lib/kms/pool/pair-secrets.ts'
import { FIRST_TERMS } from '../../../lib/kms/pool/secret-note.ts'
import { begin, LedgerDisk, takeIn } from './ledger-disk.ts'

const next = SecretKey.random(64)
const cells = SecretKey.random(BLOCK_BYTES)
const relays: string[] = []

async function opened() {
  const disk = new LedgerDisk()
  const ledger = await disk.ledger('site-b')
  const secrets = await PairSecrets.open({ ledger, now: () => 0, lifetimeMs: () => 1000 })
  await begin(ledger)
  const refresh = () => secrets.advance(joinSecrets([next]), FIRST_TERMS)
  return { disk, ledger, secrets, refresh }
}

/** What the peer says of its block `number`, in an epoch whose root is `root`. */
function tagOf({ poolId }: BlockLedger, number: bigint, { root, epoch }: { root: SecretKey; epoch: number }) {
  const [ownerSiteId, trustClass] = ['site-b', 'direct'] as const
  const material = withBlockSecret(cells, deriveBlockSecret(root, { poolId, block: number, trustClass, epoch }))
  const { owner } = blockTags(root, undefined, { poolId, number, trustClass, relays, ownerSiteId, epoch }, material)
  return { block: number, grant: 0, trustClass: 0, relays, owner: ownerSiteId, macBlock: 0n, epoch, tag: owner }
}

describe('PairSecrets', () => {
  // 0 to 2: the root, the sealing keys of the epoch before, the commit; then a block is buried, and the old root.
  for (const step of [3, 4, 5]) {
    it(`goes on to the next epoch although write ${step} of it fails, and has no other root than the store`, async () => {
      const { disk, ledger, secrets, refresh } = await opened()
      await takeIn(ledger, 2n)
      const { rootSlot } = ledger.pool
      ledger.onCommit(() => {
        expect(ledger.secret?.seal.number).to.equal(ledger.pool.sealEpoch)
        expect(secrets.note.previous?.epoch).to.equal(0)
      })
      disk.faults.failAt(step)
      expect(await refresh()).to.deep.equal([2n])
      expect(disk.faults.isDead).to.equal(true)
      expect(ledger.pool.sealEpoch).to.equal(1)
      expect(ledger.secret?.root.equals(next)).to.equal(true)
      disk.faults.mend()
      await secrets.sweep()
      const old = await ledger.vault.readRoot(rootSlot).catch((error: Error) => error.message)
      expect(old).to.match(/empty/)
    })
  }

  it('is refreshed while blocks come, of which none counts as differing', async () => {
    let verified = 0
    for (const epoch of [0, 1])
      for (let turns = 0; turns < 60; turns++) {
        const { ledger, refresh } = await opened()
        await takeIn(ledger, 2n)
        const verifier = new BlockVerifier({
          ledger,
          send: ({ name }) => void (name === 'ready' && verified++),
          drained: async () => {},
          verifyTimeoutMs: 1000,
          monotonicMs: () => 0,
          onActive: () => {},
          onMismatch: () => {},
        })
        const message = tagOf(ledger, 3n, { epoch, root: epoch === 0 ? ledger.secret!.root : next })
        await verifier.handlers.tag!(message)
        // The block comes so many turns after the refresh has begun.
        const refreshing = refresh()
        for (let turn = 0; turn < turns; turn++) await null
        const secret = joinSecrets([cells])
        await verifier.receive({ remoteSiteId: 'site-b', number: 3n, secret, trustClass: 'direct', relays })
        await refreshing
        expect([epoch, turns, verifier.mismatches]).to.deep.equal([epoch, turns, 0])
      }
    expect(verified).to.be.at.least(2)
  })
})

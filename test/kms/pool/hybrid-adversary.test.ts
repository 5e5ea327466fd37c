import { expect } from 'chai'
import type { Key } from '../../../lib/interface/kms.ts'
import { BLOCK_BYTES, readCells } from '../../../lib/key/cells.ts'
import {
  deriveBlockSecret,
  hybridByKdf,
  hybridByXor,
  type KeyContext,
  withBlockSecret,
} from '../../../lib/key/construct.ts'
import { exportKey } from '../../../lib/key/export-key.ts'
import { lowBlockBits, openKeyId } from '../../../lib/key/key-id.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { PairSecret, pairIdentity } from '../../../lib/kms/pool/pair-secret.ts'
import { BlockVault } from '../../../lib/kms/store/block-vault.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'

const saes = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const pairOfSites = pairIdentity('site-a', 'site-b')
const KEYS = 20

/** What an adversary may have come by: all that the quantum links ever gave, or the sites' ML-KEM secret. */
interface Knowledge {
  readonly blocks?: ReadonlyMap<bigint, SecretKey>
  readonly root?: SecretKey
}

/** Keys that a real pair of sites issued, everything public about them, and all there is to steal. */
interface Run {
  readonly keys: readonly Key[]
  readonly contexts: readonly KeyContext[]
  readonly epoch: number
  readonly everything: Required<Knowledge>
}

async function run(suite: 3 | 4): Promise<Run> {
  const blocks = new Map<bigint, SecretKey>()
  await using sites = await PoolPair.open({
    tamper: block => {
      blocks.set(block.number, SecretKey.copyOf(exportKey(block.secret)))
      return block
    },
  })
  sites.connect()
  const [{ pool, store, slots }, far] = sites.sites
  const keys = await pool.issue({ pair: saes, number: KEYS, sizeBytes: 32, suite, waitMs: 8000 })
  const ids = keys.map(({ keyId }) => keyId)
  const same = await far.pool.retrieve(saes, ids, { waitMs: 8000 })
  same.forEach((key, at) => {
    expect(key.secret.equals(keys[at]!.secret)).to.equal(true)
  })
  const { pool: record } = await store.snapshot(pairOfSites.name)
  const root = await new BlockVault({ store, slots, poolId: pairOfSites.name }).readRoot(record.rootSlot)
  // Which cells a key takes is sealed in its key_ID; the adversary is given that too.
  const sealKeys = new PairSecret(root, pairOfSites, { sealEpoch: record.sealEpoch }).seal.keysOf('site-a')
  const contexts = keys.map(({ keyId, trustClass }): KeyContext => {
    const { blockLow, offset, sizeBytes } = openKeyId(sealKeys, keyId)!
    const block = [...blocks.keys()].find(number => lowBlockBits(number) === blockLow)!
    const selection = { suite, block, offset, sizeBytes }
    return { poolId: pairOfSites.bytes, issuerSiteId: 'site-a', pair: saes, trustClass: trustClass!, selection }
  })
  return { keys, contexts, epoch: record.sealEpoch, everything: { blocks, root } }
}

/** The best that somebody can do who knows the construction: what is not known is guessed. */
function predict(context: KeyContext, epoch: number, { blocks, root }: Knowledge): SecretKey {
  const { poolId, trustClass, selection } = context
  const material = withBlockSecret(
    blocks?.get(selection.block) ?? SecretKey.random(BLOCK_BYTES),
    deriveBlockSecret(root ?? SecretKey.random(64), { poolId, block: selection.block, trustClass, epoch }),
  )
  const blockSecret = SecretKey.copyOf(exportKey(material).subarray(BLOCK_BYTES))
  const cells = readCells(material, selection.offset, selection.sizeBytes)
  return (selection.suite === 3 ? hybridByXor : hybridByKdf)(cells, blockSecret, context)
}

/** Bits of the real keys that a prediction gets right, of all. */
function rightShare({ keys, contexts, epoch }: Run, known: Knowledge): number {
  let wrong = 0
  keys.forEach(({ secret }, at) => {
    const [real, guess] = [exportKey(secret), exportKey(predict(contexts[at]!, epoch, known))]
    for (const [i, byte] of real.entries()) wrong += (byte ^ guess[i]!).toString(2).replaceAll('0', '').length
  })
  return 1 - wrong / (keys.length * 256)
}

describe('a hybrid key and an adversary', function () {
  this.timeout(30_000)

  for (const suite of [3, 4] as const) {
    describe(suite === 3 ? 'by XOR' : 'by KDF', () => {
      let real: Run
      before(async () => {
        real = await run(suite)
      })

      it('is predicted by who knows the quantum key and the ML-KEM secret: the adversary of this test is a real one', () => {
        expect(rightShare(real, real.everything)).to.equal(1)
      })

      // Of 5,120 bits a guess gets half right, give or take 36; a tenth of them more would be fourteen times that.
      it('is unpredictable to who knows all of the quantum key', () => {
        expect(rightShare(real, { blocks: real.everything.blocks })).to.be.within(0.4, 0.6)
      })

      it('is unpredictable to who knows the ML-KEM secret', () => {
        expect(rightShare(real, { root: real.everything.root })).to.be.within(0.4, 0.6)
      })

      it('tells no other key to who knows the quantum key and a session key', () => {
        const [first, ...others] = real.keys.map(({ secret }, at) => {
          const { block, offset } = real.contexts[at]!.selection
          const cells = exportKey(readCells(real.everything.blocks.get(block)!, offset, 32))
          // What hides the cells in this key: if it hid those of another, that key were lost with this one.
          return exportKey(secret).map((byte, i) => byte ^ cells[i]!)
        })
        for (const other of others) expect(Buffer.from(other).equals(Buffer.from(first!))).to.equal(false)
        expect(new Set([first!, ...others].map(mask => Buffer.from(mask).toString('hex'))).size).to.equal(KEYS)
      })
    })
  }
})

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import fc from 'fast-check'
import type { SecurityLevel, TrustClass } from '../../lib/interface/kms.ts'
import { BLOCK_BYTES, CELL_BYTES, cellsFor, PAYLOAD_CELLS } from '../../lib/key/cells.ts'
import { deriveBlockSecret, type KeyContext, keyOf, maxKeyBytes, withBlockSecret } from '../../lib/key/construct.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { lp } from '../../lib/key/lp.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { endOf, type Suite } from '../../lib/key/selection.ts'
import { blockKind, expandSeed, postQuantumCells, sequenceOf, virtualNumber } from '../../lib/key/virtual-block.ts'
import { meetsLevel } from '../../lib/util/security-level.ts'
import { peerProgram } from '../helpers/peer-program.ts'

const folder = new URL('../vectors/', import.meta.url)
const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))

interface Vectors {
  readonly root: string
  readonly siteIds: [string, string]
  readonly blocks: readonly {
    readonly kind: 'network' | 'expanded' | 'post-quantum'
    readonly block: string
    readonly bytes?: string
    readonly firstCell?: number
    readonly trustClass: TrustClass
    readonly cells: number
    readonly epoch: number
    readonly seed: { readonly block: string; readonly offset: number; readonly cell: string }
    readonly digest: string
    readonly keys: readonly { suite: Suite; offset: number; sizeBytes: number; key: string }[]
  }[]
}

const vectors: Vectors = read('level-keys.json')
const secret = (hex: string) => SecretKey.adopt(Buffer.from(hex, 'hex'))
const poolId = lp(...vectors.siteIds)

function cellsOf({ kind, block, bytes, firstCell = 0, seed, ...rest }: Vectors['blocks'][number]): SecretKey {
  const context = { ...rest, poolId, block: BigInt(block) }
  if (kind === 'expanded') return expandSeed(secret(seed.cell), { ...seed, block: BigInt(seed.block) }, context)
  if (kind === 'post-quantum') return postQuantumCells(secret(vectors.root), rest.epoch, context)
  const whole = Buffer.alloc(BLOCK_BYTES)
  whole.set(Buffer.from(bytes!, 'hex'), firstCell * CELL_BYTES)
  return SecretKey.adopt(whole)
}

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }

function contextOf(selection: KeyContext['selection'], trustClass: TrustClass): KeyContext {
  return { poolId, issuerSiteId: 'site-a', pair, trustClass, selection }
}

describe('the keys of each level', () => {
  for (const block of vectors.blocks) {
    it(`are the known ones of block ${block.block}, ${block.kind}`, () => {
      const cells = cellsOf(block)
      const digest = createHash('sha256')
        .update(block.kind === 'network' ? Buffer.from(block.bytes!, 'hex') : exportKey(cells))
        .digest('hex')
      expect(digest).to.equal(block.digest)
      expect(blockKind(BigInt(block.block))).to.equal(block.kind)
      const material = withBlockSecret(cells, SecretKey.random(64))
      for (const { key, ...selection } of block.keys) {
        const context = contextOf({ ...selection, block: BigInt(block.block) }, block.trustClass)
        expect(keyOf(material, context).equals(secret(key))).to.equal(true)
      }
    })
  }

  it('are those that a program in another language derives from the text', function () {
    const python = peerProgram(this, 'python3', 'python3')
    const out = execFileSync(python, [fileURLToPath(new URL('derive-keys.py', folder))], { maxBuffer: 1 << 24 })
    const derived = JSON.parse(out.toString('utf8'))
    for (const name of ['hybrid-keys.json', 'level-keys.json']) expect(derived[name]).to.deep.equal(read(name))
  })

  it('are never read outside the budget of a seed', () => {
    const block = vectors.blocks.find(({ kind, cells }) => kind === 'expanded' && cells === 128)!
    const material = withBlockSecret(cellsOf(block), SecretKey.random(64))
    const at = (offset: number) => contextOf({ suite: 5, block: 1n, offset, sizeBytes: 32 }, 'direct')
    expect(() => keyOf(material, at(869))).to.throw('was wiped before')
    expect(() => keyOf(material, at(998))).to.throw('was wiped before')
  })
})

/** The blocks of one pool as a site makes them; both sites have the same seeds, cells and root. */
class World {
  readonly blocks: readonly { number: bigint; trustClass: TrustClass; material: SecretKey; cells: number }[]

  constructor({ root, network }: { root: SecretKey; network: readonly SecretKey[] }) {
    const seed = (block: number, offset: number) =>
      SecretKey.copyOf(exportKey(network[block]!).subarray(offset * CELL_BYTES, (offset + 1) * CELL_BYTES))
    const withSecret = (cells: SecretKey, block: bigint, trustClass: TrustClass) =>
      withBlockSecret(cells, deriveBlockSecret(root, { poolId, block, trustClass, epoch: 0 }))
    const direct = 'direct' as const
    const virtual = [
      ...[0, 1].map(lane => ({ kind: 'expanded' as const, lane: lane as 0 | 1, trustClass: direct, offset: 0 })),
      // The second cell of the first block too: its keys must be others.
      { kind: 'expanded' as const, lane: 0 as const, trustClass: direct, offset: 1 },
      ...[0, 1].map(lane => ({
        kind: 'post-quantum' as const,
        lane: lane as 0 | 1,
        trustClass: 'post-quantum' as const,
      })),
    ].map((what, at) => {
      const number = virtualNumber(what.kind, what.lane, BigInt(at + 1))
      const context = { poolId, block: number, trustClass: what.trustClass, cells: 20 }
      const cells =
        what.kind === 'expanded'
          ? expandSeed(seed(what.lane, what.offset), { block: BigInt(what.lane), offset: what.offset }, context)
          : postQuantumCells(root, 0, context)
      return { number, trustClass: what.trustClass, material: withSecret(cells, number, what.trustClass), cells: 20 }
    })
    // The seeds are burned: what is issued of these begins behind them.
    const fresh = network.map((cells, at) => {
      const number = BigInt(at)
      return { number, trustClass: direct, material: withSecret(cells, number, direct), cells: PAYLOAD_CELLS - 2 }
    })
    this.blocks = [...fresh, ...virtual]
  }

  key(selection: KeyContext['selection']): SecretKey {
    const { material, trustClass } = this.blocks.find(({ number }) => number === selection.block)!
    return keyOf(material, contextOf(selection, trustClass))
  }
}

describe('key construction as a whole', function () {
  this.timeout(30_000)

  it('gives both sides the same, and no two selections shared material', () => {
    const shared = { root: SecretKey.random(64), network: [0, 1].map(() => SecretKey.random(BLOCK_BYTES)) }
    const [alice, bob] = [new World(shared), new World(shared)]
    const wish = fc.record({
      block: fc.nat(alice.blocks.length - 1),
      suite: fc.constantFrom<Suite>(1, 2, 3, 4),
      sizeBytes: fc.oneof(fc.integer({ min: 32, max: 64 }), fc.integer({ min: 32, max: 320 })),
    })
    fc.assert(
      fc.property(fc.array(wish, { minLength: 20, maxLength: 40 }), wishes => {
        const next = alice.blocks.map(({ cells }) => PAYLOAD_CELLS - cells)
        const seen = new Set<string>()
        for (const { block: at, suite: asked, sizeBytes } of wishes) {
          const { number } = alice.blocks[at]!
          const kind = blockKind(number)
          const suite = kind === 'network' ? asked : kind === 'expanded' ? 5 : 6
          const size = Math.min(sizeBytes, maxKeyBytes(suite))
          const selection = { suite, block: number, offset: next[at]!, sizeBytes: size }
          if (endOf(selection) > PAYLOAD_CELLS) continue
          next[at] = selection.offset + cellsFor(size)
          const key = alice.key(selection)
          expect(bob.key(selection).equals(key)).to.equal(true)
          const bytes = Buffer.from(exportKey(key))
          for (let from = 0; from + 16 <= bytes.length; from += 16) {
            const piece = bytes.toString('hex', from, from + 16)
            expect(seen.has(piece), 'two selections share 16 bytes').to.equal(false)
            seen.add(piece)
          }
        }
      }),
      { numRuns: 100 },
    )
  })

  it('numbers virtual blocks so that no two have one number, nor that of a block of the network', () => {
    const origin = fc.record({
      kind: fc.constantFrom('expanded' as const, 'post-quantum' as const),
      lane: fc.constantFrom<0 | 1>(0, 1),
      sequence: fc.bigInt({ min: 1n, max: (1n << 60n) - 1n }),
    })
    fc.assert(
      fc.property(origin, origin, fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }), (one, other, network) => {
        const [a, b] = [one, other].map(({ kind, lane, sequence }) => virtualNumber(kind, lane, sequence)) as [
          bigint,
          bigint,
        ]
        const same = one.kind === other.kind && one.lane === other.lane && one.sequence === other.sequence
        expect(a === b).to.equal(same)
        expect([blockKind(a), sequenceOf(a), Number(a & 1n)]).to.deep.equal([one.kind, one.sequence, one.lane])
        expect(blockKind(network)).to.equal('network')
        expect(a < 1n << 64n).to.equal(true)
      }),
    )
  })
})

describe('meetsLevel', () => {
  const LEVELS: readonly SecurityLevel[] = ['one-time-pad', 'hybrid', 'quantum', 'expanded', 'post-quantum']

  it('is met by each level itself, and by nothing that is unknown', () => {
    for (const level of LEVELS) {
      expect(meetsLevel(level, level)).to.equal(true)
      expect(meetsLevel(undefined, level)).to.equal(false)
    }
  })

  it('is an order: what meets a level meets all that the level meets', () => {
    for (const a of LEVELS)
      for (const b of LEVELS)
        for (const c of LEVELS) if (meetsLevel(a, b) && meetsLevel(b, c)) expect(meetsLevel(a, c)).to.equal(true)
    expect(meetsLevel('expanded', 'quantum')).to.equal(false)
    expect(meetsLevel('post-quantum', 'expanded')).to.equal(false)
    expect(meetsLevel('quantum', 'hybrid')).to.equal(false)
  })
})

import { expect } from 'chai'
import fc from 'fast-check'
import { cellsFor, PAYLOAD_CELLS } from '../../lib/key/cells.ts'
import {
  canonicalKeyId,
  deriveSealKeys,
  lowBlockBits,
  openKeyId,
  type SealKeys,
  sealKeyId,
  verifyKeyId,
} from '../../lib/key/key-id.ts'
import { lp } from '../../lib/key/lp.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import type { Selection, Suite } from '../../lib/key/selection.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }

function keysOf(rootByte: number, issuerSiteId = 'site-a', epoch = 0): SealKeys {
  const root = SecretKey.copyOf(Buffer.alloc(32, rootByte))
  return deriveSealKeys(root, { poolId: lp('site-a', 'site-b'), issuerSiteId, epoch })
}

const selections: fc.Arbitrary<Selection> = fc
  .record({
    suite: fc.constantFrom<Suite>(1, 2, 3, 4, 5, 6),
    block: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    offset: fc.nat(PAYLOAD_CELLS - 1),
    fill: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ suite, block, offset, fill }) => {
    const sizeBytes = 1 + Math.floor(fill * ((PAYLOAD_CELLS - offset) * 32 - 1))
    return { suite, block, offset, sizeBytes }
  })

describe('key_ID', () => {
  it('is a lower-case version-4 UUID from which the same keys and SAEs get the selection back', () => {
    const keys = keysOf(1)
    const property = fc.property(selections, selection => {
      const keyId = sealKeyId(keys, pair, selection)
      expect(canonicalKeyId(keyId.toUpperCase())).to.equal(keyId)
      const opened = openKeyId(keys, keyId)!
      expect(opened).to.include({ suite: selection.suite, offset: selection.offset, sizeBytes: selection.sizeBytes })
      expect(opened.blockLow).to.equal(lowBlockBits(selection.block))
      expect(verifyKeyId(keys, pair, opened, selection.block)).to.equal(true)
    })
    fc.assert(property, { numRuns: 500 })
  })

  it('keeps to the layout: the same inputs give the same ID for ever', () => {
    const selection: Selection = { suite: 2, block: 0x123456789an, offset: 517, sizeBytes: 32 }
    expect(sealKeyId(keysOf(7), pair, selection)).to.equal('cbfb6bdc-d8f1-40b3-b68c-953a2f7cacd8')
  })

  it('is bound to both SAEs, the issuing site, the epoch, the root and the full block number', () => {
    const keys = keysOf(1)
    const selection: Selection = { suite: 2, block: 5n, offset: 3, sizeBytes: 32 }
    const opened = openKeyId(keys, sealKeyId(keys, pair, selection))!
    expect(verifyKeyId(keys, { ...pair, slaveSaeId: 'carol' }, opened, 5n)).to.equal(false)
    expect(verifyKeyId(keys, { ...pair, masterSaeId: 'carol' }, opened, 5n)).to.equal(false)
    expect(verifyKeyId(keys, { masterSaeId: 'bob', slaveSaeId: 'alice' }, opened, 5n)).to.equal(false)
    expect(verifyKeyId(keys, pair, opened, 5n + (1n << 20n))).to.equal(false)
    for (const other of [keysOf(2), keysOf(1, 'site-b'), keysOf(1, 'site-a', 1)]) {
      const foreign = openKeyId(other, sealKeyId(keys, pair, selection))
      expect(foreign !== undefined && verifyKeyId(other, pair, foreign, 5n)).to.equal(false)
    }
  })

  it('refuses every change of a single bit', () => {
    const keys = keysOf(1)
    const selection: Selection = { suite: 2, block: 77n, offset: 100, sizeBytes: 64 }
    const bytes = Buffer.from(sealKeyId(keys, pair, selection).replaceAll('-', ''), 'hex')
    for (let bit = 0; bit < 128; bit++) {
      const altered = Buffer.from(bytes)
      altered[bit >> 3]! ^= 0x80 >> (bit & 7)
      const hex = altered.toString('hex')
      const dashed = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
      const canonical = canonicalKeyId(dashed)
      const opened = canonical === undefined ? undefined : openKeyId(keys, canonical)
      expect(opened !== undefined && verifyKeyId(keys, pair, opened, 77n), `bit ${bit}`).to.equal(false)
    }
  })

  it('shows nothing: neighbouring indexes give IDs that differ in about half of the free bits', () => {
    const keys = keysOf(9)
    let differing = 0
    const count = 2000
    for (let i = 0; i < count; i++) {
      const one = sealKeyId(keys, pair, { suite: 2, block: 1n, offset: i % 900, sizeBytes: 32 + (i % 7) })
      const two = sealKeyId(keys, pair, { suite: 2, block: 1n, offset: (i % 900) + 1, sizeBytes: 32 + (i % 7) })
      const [a, b] = [one, two].map(id => BigInt(`0x${id.replaceAll('-', '')}`))
      differing += (a! ^ b!).toString(2).replaceAll('0', '').length
    }
    expect(differing / count).to.be.within(59, 63)
  })

  it('knows only the exact form: version 4, variant 10, dashes in place', () => {
    for (const keyId of [
      'not-a-uuid',
      '00000000-0000-1000-8000-000000000000',
      '00000000-0000-4000-c000-000000000000',
      '00000000000040008000000000000000',
      '00000000-0000-4000-8000-0000000000000',
      '{00000000-0000-4000-8000-000000000000}',
      '',
    ]) {
      expect(canonicalKeyId(keyId), keyId).to.equal(undefined)
    }
    expect(cellsFor(33)).to.equal(2)
  })
})

import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { exportKey } from '../../../lib/key/export-key.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { FileLinkStock } from '../../../lib/qnl/relay/file-link-stock.ts'
import { PLACE_BYTES } from '../../../lib/qnl/relay/stock-place.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

describe('FileLinkStock', () => {
  const kek = SecretKey.random(32)
  const put = (number: bigint, secret: SecretKey) => ({ kind: 'put', number, secret }) as const

  it('keeps blocks and marks over a restart, encrypted, in a file that its owner alone reads', async () => {
    await using dir = await createTempDir()
    const secret = SecretKey.random(32_000)
    const first = await FileLinkStock.open(dir.path, { kek })
    await first.commit('a-b', [put(5n, secret), put(9n, secret), { kind: 'floor', number: 9n }])
    await first.commit('a-b', [{ kind: 'hear', commits: 41 }])
    await first.close()
    const [name] = await readdir(dir.path)
    expect((await stat(join(dir.path, name!))).mode & 0o077).to.equal(0)
    expect((await readFile(join(dir.path, name!))).includes(exportKey(secret).subarray(0, 16))).to.equal(false)
    await using again = await FileLinkStock.open(dir.path, { kek })
    const { marks, numbers } = await again.snapshot('a-b')
    expect(marks).to.deep.equal({ commits: 2, heardCommits: 41, floor: 9n })
    expect(numbers).to.deep.equal([5n, 9n])
    expect((await again.read('a-b', 5n)).equals(secret)).to.equal(true)
  })

  it('destroys the key of a block where it lies, so that its bytes open no more', async () => {
    await using dir = await createTempDir()
    const stock = await FileLinkStock.open(dir.path, { kek })
    await stock.commit('a-b', [put(1n, SecretKey.random(32_000)), put(2n, SecretKey.random(32_000))])
    const [name] = await readdir(dir.path)
    const before = await readFile(join(dir.path, name!))
    await stock.commit('a-b', [{ kind: 'remove', number: 1n }])
    const after = await readFile(join(dir.path, name!))
    const head = (bytes: Buffer) => bytes.subarray(4096, 4096 + 512)
    expect(head(before).every(byte => byte === 0)).to.equal(false)
    expect(head(after).every(byte => byte === 0)).to.equal(true)
    await rejectsWith(stock.read('a-b', 1n), 'ERR_QKD_STORE')
    await stock.commit('a-b', [put(3n, SecretKey.random(32_000))])
    expect((await stat(join(dir.path, name!))).size).to.equal(4096 + 2 * PLACE_BYTES)
    await stock.close()
  })

  it('opens no block under another key, of another link, or that was altered', async () => {
    await using dir = await createTempDir()
    const stock = await FileLinkStock.open(dir.path, { kek })
    await stock.commit('a-b', [put(1n, SecretKey.random(32_000)), put(2n, SecretKey.random(32_000))])
    await stock.close()
    const [name] = await readdir(dir.path)
    const file = await open(join(dir.path, name!), 'r+')
    await file.write(Buffer.from([1]), 0, 1, 4096 + 512 + 20_000)
    await file.close()
    await using altered = await FileLinkStock.open(dir.path, { kek })
    await rejectsWith(altered.read('a-b', 1n), 'ERR_QKD_STORE')
    await using foreign = await FileLinkStock.open(dir.path, { kek: SecretKey.random(32) })
    await rejectsWith(foreign.read('a-b', 2n), 'ERR_QKD_STORE')
  })

  it('takes the other copy of its marks where one was written in part', async () => {
    await using dir = await createTempDir()
    const stock = await FileLinkStock.open(dir.path, { kek })
    for (let i = 1; i <= 3; i += 1) await stock.commit('a-b', [{ kind: 'floor', number: BigInt(i) }])
    await stock.close()
    const [name] = await readdir(dir.path)
    const file = await open(join(dir.path, name!), 'r+')
    await file.write(Buffer.from([255]), 0, 1, 512 + 3)
    await file.close()
    await using again = await FileLinkStock.open(dir.path, { kek })
    expect((await again.snapshot('a-b')).marks).to.deep.equal({ commits: 2, heardCommits: 0, floor: 2n })
  })
})

import { randomBytes } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { exportKey } from '../../../lib/key/export-key.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { feedRecording } from '../../../lib/qll/replay/feed-recording.ts'
import { REPLAY_BLOCK_BYTES } from '../../../lib/qll/replay/recording.ts'
import { createReplayLink } from '../../../lib/qll/replay/replay-link.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const RATE_BPS = 1_000_000_000
const blocksOf = (count: number) => randomBytes(count * REPLAY_BLOCK_BYTES)

/** Two copies of one recording, as two sites have them. */
async function createCopies(bytes: Buffer) {
  const [a, b] = [await createTempDir(), await createTempDir()]
  for (const { path } of [a, b]) await feedRecording(path, [SecretKey.copyOf(bytes)])
  const openAt = (end: 0 | 1, siteId = end === 0 ? 'site-a' : 'site-b') => {
    const remoteSiteId = siteId === 'site-a' ? 'site-b' : 'site-a'
    const directory = [a, b][end]!.path
    return createReplayLink({
      linkId: 'a-b',
      localSiteId: siteId,
      remoteSiteId,
      directory,
      rateBps: RATE_BPS,
      pollMs: 20,
    })
  }
  const dispose = async () => {
    await a[Symbol.asyncDispose]()
    await b[Symbol.asyncDispose]()
  }
  return { paths: [a.path, b.path] as const, openAt, [Symbol.asyncDispose]: dispose }
}

describe('ReplayLink', function () {
  this.timeout(30_000)

  it('gives both ends the recorded bytes under the same numbers, in order', async () => {
    const bytes = blocksOf(5)
    await using copies = await createCopies(bytes)
    await using a = await copies.openAt(0)
    await using b = await copies.openAt(1)
    expect(a.status()).to.include({ kind: 'device', simulated: false, secrecy: 'quantum', state: 'up' })
    for (let at = 0; at < 5; at += 1) {
      const [near, far] = await Promise.all([a.nextBlock(), b.nextBlock()])
      expect(near.number).to.equal(far.number)
      const wanted = bytes.subarray(at * REPLAY_BLOCK_BYTES, (at + 1) * REPLAY_BLOCK_BYTES)
      expect(exportKey(near.secret).equals(wanted)).to.equal(true)
      expect(far.secret.equals(near.secret)).to.equal(true)
    }
  })

  it('never gives a block twice, however it ended, and loses only what waited', async () => {
    await using copies = await createCopies(blocksOf(12))
    const seen = new Set<string>()
    for (let start = 0; start < 3; start += 1) {
      await using link = await copies.openAt(0)
      const { number, secret } = await link.nextBlock()
      expect(seen.has(String(number)), `block ${number}`).to.equal(false)
      expect(seen.has(exportKey(secret).toString('hex'))).to.equal(false)
      seen.add(String(number)).add(exportKey(secret).toString('hex'))
    }
    expect(seen.size).to.equal(6)
  })

  it('marks a block as used before it is given', async () => {
    await using copies = await createCopies(blocksOf(3))
    await using link = await copies.openAt(0)
    const { number } = await link.nextBlock()
    const mark = JSON.parse(await readFile(join(copies.paths[0], 'spent.json'), 'utf8'))
    expect(mark).to.include({ siteId: 'site-a', linkId: 'a-b' })
    expect(BigInt(mark.number) >= number).to.equal(true)
  })

  it('gives nothing where the mark of used key is broken', async () => {
    await using copies = await createCopies(blocksOf(3))
    await writeFile(join(copies.paths[0], 'spent.json'), '{')
    await rejectsWith(copies.openAt(0), 'ERR_QKD_STORE')
  })

  it('passes over what the taker has spent', async () => {
    await using copies = await createCopies(blocksOf(8))
    const numbers: bigint[] = []
    {
      await using b = await copies.openAt(1)
      for (let at = 0; at < 8; at += 1) numbers.push((await b.nextBlock()).number)
    }
    await using a = await copies.openAt(0)
    expect((await a.nextBlock({ after: numbers[4]! })).number).to.equal(numbers[5])
  })

  it('removes a file that is used up, and never takes its number again', async () => {
    await using copies = await createCopies(blocksOf(2))
    await using link = await copies.openAt(0)
    const [first, second] = [await link.nextBlock(), await link.nextBlock()]
    await until(() => link.status().state === 'down', 'the end of the recording')
    expect(link.status().reason).to.include('qkd link replay')
    await until(async () => !(await readdir(copies.paths[0])).some(name => name.endsWith('.key')), 'the file is gone')
    const fed = await feedRecording(copies.paths[0], [SecretKey.random(REPLAY_BLOCK_BYTES)])
    expect(fed).to.deep.equal({ file: '00000002.key', blocks: 1, restBytes: 0 })
    const third = await link.nextBlock()
    expect(first.number < second.number && second.number < third.number).to.equal(true)
    expect(link.status().state).to.equal('up')
  })

  it('keeps what does not make up a block for the next feeding', async () => {
    await using dir = await createTempDir()
    const bytes = randomBytes(REPLAY_BLOCK_BYTES + 10)
    const [head, tail] = [bytes.subarray(0, 20_000), bytes.subarray(20_000)]
    expect(await feedRecording(dir.path, [SecretKey.copyOf(head)])).to.deep.equal({
      file: undefined,
      blocks: 0,
      restBytes: 20_000,
    })
    const fed = await feedRecording(dir.path, [SecretKey.copyOf(tail)])
    expect(fed).to.deep.equal({ file: '00000001.key', blocks: 1, restBytes: 10 })
    const file = await readFile(join(dir.path, '00000001.key'))
    expect(file.equals(bytes.subarray(0, REPLAY_BLOCK_BYTES))).to.equal(true)
  })

  it('takes the same keys once, whole blocks or less', async () => {
    await using dir = await createTempDir()
    for (const bytes of [randomBytes(10), blocksOf(1), randomBytes(REPLAY_BLOCK_BYTES + 20)]) {
      await feedRecording(dir.path, [SecretKey.copyOf(bytes)])
    }
    const before = await readdir(dir.path)
    const twice = randomBytes(20)
    await feedRecording(dir.path, [SecretKey.copyOf(twice)])
    await rejectsWith(feedRecording(dir.path, [SecretKey.copyOf(twice)]), 'ERR_QKD_INVALID_ARGUMENT')
    expect(await readdir(dir.path)).to.deep.equal(before)
  })

  it('takes up after a crash between the two files of a feeding', async () => {
    await using dir = await createTempDir()
    const [head, tail] = [randomBytes(20_000), randomBytes(20_000)]
    await feedRecording(dir.path, [SecretKey.copyOf(head)])
    const state = 'rest-00000001.part'
    const old = await readFile(join(dir.path, state))
    await feedRecording(dir.path, [SecretKey.copyOf(tail)])
    // The crash came after the new file, before the old state was removed.
    await writeFile(join(dir.path, state), old)
    await rejectsWith(feedRecording(dir.path, [SecretKey.copyOf(tail)]), 'ERR_QKD_INVALID_ARGUMENT')
    const more = randomBytes(24_000)
    expect((await feedRecording(dir.path, [SecretKey.copyOf(more)])).restBytes).to.equal(0)
    const files = await Promise.all(['1', '2'].map(n => readFile(join(dir.path, `0000000${n}.key`))))
    expect(Buffer.concat(files).equals(Buffer.concat([head, tail, more]))).to.equal(true)
  })

  it('takes a feeding again of which a crash left nothing but its state', async () => {
    await using dir = await createTempDir()
    const [head, tail] = [randomBytes(20_000), randomBytes(20_000)]
    await feedRecording(dir.path, [SecretKey.copyOf(head)])
    const state = 'rest-00000001.part'
    const old = await readFile(join(dir.path, state))
    await feedRecording(dir.path, [SecretKey.copyOf(tail)])
    await writeFile(join(dir.path, state), old)
    await rm(join(dir.path, '00000001.key'))
    expect(await feedRecording(dir.path, [SecretKey.copyOf(tail)])).to.deep.include({ blocks: 1, restBytes: 8_000 })
    const file = await readFile(join(dir.path, '00000001.key'))
    expect(file.equals(Buffer.concat([head, tail]).subarray(0, REPLAY_BLOCK_BYTES))).to.equal(true)
  })

  it('says how far it is used before it removes a file that was passed over', async () => {
    await using copies = await createCopies(blocksOf(2))
    await using link = await copies.openAt(0)
    const { number } = await link.nextBlock()
    const stopped = link.nextBlock({ after: number + 5n, signal: AbortSignal.timeout(5_000) }).catch(() => {})
    await until(async () => !(await readdir(copies.paths[0])).some(name => name.endsWith('.key')), 'the file is gone')
    const mark = JSON.parse(await readFile(join(copies.paths[0], 'spent.json'), 'utf8'))
    expect(BigInt(mark.number) >= number + 1n).to.equal(true)
    await link.close()
    await stopped
  })

  it('feeds one end alone from one copy', async () => {
    await using copies = await createCopies(blocksOf(3))
    {
      await using a = await copies.openAt(0)
      await a.nextBlock()
    }
    await rejectsWith(copies.openAt(0, 'site-b'), 'ERR_QKD_CONFIG')
  })

  it('ends a wait with the link, and at a signal', async () => {
    await using copies = await createCopies(randomBytes(10))
    const link = await copies.openAt(0)
    const stopped = await link.nextBlock({ signal: AbortSignal.timeout(30) }).catch(error => error)
    expect(stopped.name).to.equal('TimeoutError')
    const waiting = rejectsWith(link.nextBlock(), 'ERR_QKD_CLOSED')
    await link.close()
    await waiting
  })
})

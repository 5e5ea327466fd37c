import { chmod, type FileHandle, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { exportKey } from '../../../lib/key/export-key.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { loadKeyEncryptionKey } from '../../../lib/kms/store/key-encryption-key.ts'
import { SLOT_BYTES } from '../../../lib/kms/store/slot-codec.ts'
import { SlotFile } from '../../../lib/kms/store/slot-file.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const context = Buffer.from('block 1')

describe('SlotFile', () => {
  it('gives back what was put, also after it was opened again, and only in the same context', async () => {
    await using dir = await createTempDir()
    const kek = SecretKey.random(32)
    const path = join(dir.path, 'slots')
    const secret = SecretKey.random(32)
    const file = await SlotFile.open(path, { kek })
    const slot = await file.put(secret, context)
    await file.close()
    await using again = await SlotFile.open(path, { kek })
    expect((await again.read(slot, context)).equals(secret)).to.equal(true)
    await rejectsWith(again.read(slot, Buffer.from('block 2')), 'ERR_QKD_STORE')
    await using foreign = await SlotFile.open(path, { kek: SecretKey.random(32) })
    await rejectsWith(foreign.read(slot, context), 'ERR_QKD_STORE')
  })

  it('overwrites an erased place where it lies, and uses it again', async () => {
    await using dir = await createTempDir()
    const kek = SecretKey.random(32)
    const path = join(dir.path, 'slots')
    await using file = await SlotFile.open(path, { kek })
    const slots = await Promise.all(Array.from({ length: 20 }, () => file.put(SecretKey.random(32), context)))
    expect(new Set(slots).size).to.equal(20)
    const before = await readFile(path)
    await file.erase(slots[7]!)
    await file.erase(slots[7]!)
    const after = await readFile(path)
    const at = slots[7]! * SLOT_BYTES
    expect(after.subarray(at, at + SLOT_BYTES).every(byte => byte === 0)).to.equal(true)
    expect(after.indexOf(before.subarray(at + 2, at + 34))).to.equal(-1)
    await rejectsWith(file.read(slots[7]!, context), 'ERR_QKD_STORE')
    expect(await file.put(SecretKey.random(32), context)).to.equal(slots[7])
    await file.eraseAllBut(new Set([slots[3]!]))
    await file.read(slots[3]!, context)
    await rejectsWith(file.read(slots[4]!, context), 'ERR_QKD_STORE')
  })

  it('gives a place away once, however often it was erased at the same moment', async () => {
    await using dir = await createTempDir()
    await using file = await SlotFile.open(join(dir.path, 'slots'), { kek: SecretKey.random(32) })
    const slot = await file.put(SecretKey.random(32), context)
    const first = file.erase(slot)
    await Promise.all([first, file.erase(slot), file.erase(slot)])
    const places = await Promise.all([file.put(SecretKey.random(32), context), file.put(SecretKey.random(32), context)])
    expect(new Set(places).size).to.equal(2)
  })

  it('loses no place where the disk fails for a while, and gives none away twice', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'slots')
    await using file = await SlotFile.open(path, { kek: SecretKey.random(32) })
    const slot = await file.put(SecretKey.random(32), context)
    const mend = await failingSync(path)
    try {
      for (let i = 0; i < 3; i++) await rejectsWith(file.put(SecretKey.random(32), context), 'ERR_QKD_STORE')
      await rejectsWith(file.erase(slot, context), 'ERR_QKD_STORE')
      await rejectsWith(file.erase(slot, context), 'ERR_QKD_STORE')
    } finally {
      mend()
    }
    expect(await file.put(SecretKey.random(32), context)).to.equal(slot + 1)
    await file.erase(slot, context)
    await file.erase(slot, context)
    const places = await Promise.all([1, 2].map(() => file.put(SecretKey.random(32), context)))
    expect(places.sort()).to.deep.equal([slot, slot + 2])
  })

  it('detects every altered byte of a place', async () => {
    await using dir = await createTempDir()
    const kek = SecretKey.random(32)
    const path = join(dir.path, 'slots')
    const file = await SlotFile.open(path, { kek })
    const slot = await file.put(SecretKey.random(32), context)
    await file.close()
    const bytes = await readFile(path)
    const sealedEnd = 22 + bytes[1]!
    for (let at = 0; at < sealedEnd; at++) {
      const altered = Buffer.from(bytes)
      altered[at]! ^= 1
      await writeFile(path, altered)
      await using damaged = await SlotFile.open(path, { kek })
      await rejectsWith(damaged.read(slot, context), 'ERR_QKD_STORE')
    }
  })
})

describe('loadKeyEncryptionKey', () => {
  it('creates a missing file for its owner alone, and reads the same key again', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'kek')
    await rejectsWith(loadKeyEncryptionKey(path, { create: false }), 'ERR_QKD_STORE')
    const key = await loadKeyEncryptionKey(path, { create: true })
    expect((await loadKeyEncryptionKey(path, { create: true })).equals(key)).to.equal(true)
    expect(exportKey(key).equals(await readFile(path))).to.equal(true)
  })

  it('refuses a file that others may read, or of another length', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'kek')
    await writeFile(path, Buffer.alloc(32, 1), { mode: 0o600 })
    await chmod(path, 0o640)
    expect((await rejectsWith(loadKeyEncryptionKey(path, { create: false }), 'ERR_QKD_STORE')).message).to.contain(
      'chmod 600',
    )
    await chmod(path, 0o600)
    await writeFile(path, Buffer.alloc(31, 1))
    expect((await rejectsWith(loadKeyEncryptionKey(path, { create: false }), 'ERR_QKD_STORE')).message).to.contain('31')
  })
})

/** No file gets to the disk from now on, until the result is called. */
async function failingSync(path: string): Promise<() => void> {
  const handle = await open(path)
  const shared: Pick<FileHandle, 'datasync'> = Object.getPrototypeOf(handle)
  await handle.close()
  const { datasync } = shared
  shared.datasync = () => Promise.reject(new Error('EIO: i/o error, fdatasync'))
  return () => {
    shared.datasync = datasync
  }
}

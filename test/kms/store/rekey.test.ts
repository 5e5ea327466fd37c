import { randomBytes } from 'node:crypto'
import { copyFile, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { createKeyFile, loadKek, loadKeyEncryptionKey } from '../../../lib/kms/store/key-encryption-key.ts'
import { hasNextKek, nextKekPath, proposeNextKek, takeNextKek, watchNextKek } from '../../../lib/kms/store/next-kek.ts'
import { openStore } from '../../../lib/kms/store/open-store.ts'
import { SLOT_BYTES } from '../../../lib/kms/store/slot-codec.ts'
import { SlotFile } from '../../../lib/kms/store/slot-file.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const contextOf = (at: number) => Buffer.from(`block ${at}`)

async function filled(path: string, { kek, count }: { kek: SecretKey; count: number }) {
  const file = await SlotFile.open(path, { kek })
  const secrets = Array.from({ length: count }, () => SecretKey.random(32))
  const places = await Promise.all(secrets.map((secret, at) => file.put(secret, contextOf(at))))
  return { file, secrets, places }
}

describe('SlotFile.rekey', () => {
  it('leaves every secret readable, and nothing that the old key opens', async () => {
    await using dir = await createTempDir()
    const [path, keyFile] = [join(dir.path, 'slots'), join(dir.path, 'kek')]
    await createKeyFile(keyFile)
    const load = () => loadKeyEncryptionKey(keyFile, { create: false })
    const { file, secrets, places } = await filled(path, { kek: await load(), count: 600 })
    const next = SecretKey.random(32)
    expect(await file.rekey(next)).to.deep.equal({ renewed: 600, damaged: 0 })
    for (const [at, secret] of secrets.entries())
      expect((await file.read(places[at]!, contextOf(at))).equals(secret)).to.equal(true)
    await file.close()
    await using old = await SlotFile.open(path, { kek: await load() })
    for (const [at, place] of places.entries()) await rejectsWith(old.read(place, contextOf(at)), 'ERR_QKD_STORE')
  })

  it('loses no write and brings no erased place back while others go on', async () => {
    await using dir = await createTempDir()
    const { file, places } = await filled(join(dir.path, 'slots'), { kek: SecretKey.random(32), count: 400 })
    const rekeyed = file.rekey(SecretKey.random(32))
    const fresh = SecretKey.random(32)
    const [erased, put] = await Promise.all([
      Promise.all(places.slice(100, 300).map(place => file.erase(place))),
      Promise.all(Array.from({ length: 50 }, () => file.put(fresh, Buffer.from('fresh')))),
    ])
    await rekeyed
    expect(erased).to.have.length(200)
    for (const place of put) expect((await file.read(place, Buffer.from('fresh'))).equals(fresh)).to.equal(true)
    const bytes = await readFile(join(dir.path, 'slots'))
    for (const place of places.slice(100, 300).filter(place => !put.includes(place)))
      expect(bytes.subarray(place * SLOT_BYTES, (place + 1) * SLOT_BYTES).every(byte => byte === 0)).to.equal(true)
    await file.close()
  })

  it('passes over a damaged place and counts it', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'slots')
    const kek = SecretKey.random(32)
    const { file, places } = await filled(path, { kek, count: 3 })
    await file.close()
    const bytes = await readFile(path)
    bytes[places[1]! * SLOT_BYTES + 40]! ^= 1
    await writeFile(path, bytes)
    await using again = await SlotFile.open(path, { kek })
    expect(await again.rekey(SecretKey.random(32))).to.deep.equal({ renewed: 2, damaged: 1 })
  })
})

describe('a change of key encryption keys', () => {
  it('is finished by the next start, wherever a crash has cut it short', async () => {
    await using dir = await createTempDir()
    const place = { path: join(dir.path, 'store'), kek: { file: join(dir.path, 'kek') } }
    const secret = SecretKey.random(32)
    let slot = 0
    {
      const { store, slots } = await openStore(place)
      slot = await slots.put(secret, contextOf(0))
      await slots.close()
      await store.close()
    }
    const reopen = async () => {
      const { store, slots, rekeyed } = await openStore(place)
      expect((await slots.read(slot, contextOf(0))).equals(secret)).to.equal(true)
      const name = slots.kekName
      await slots.close()
      await store.close()
      return { rekeyed, name }
    }
    const before = await reopen()
    // Proposed, and nothing sealed anew: the secret, and the key of the store's rows.
    await proposeNextKek(place.kek.file)
    const first = await reopen()
    expect(first.rekeyed).to.deep.equal({ renewed: 2, damaged: 0 })
    expect(first.name).to.not.equal(before.name)
    expect(await hasNextKek(place.kek.file)).to.equal(false)
    // All sealed anew, and the file in use still the old one.
    await copyFile(place.kek.file, join(dir.path, 'old'))
    await proposeNextKek(place.kek.file)
    const next = await readFile(nextKekPath(place.kek.file))
    const second = await reopen()
    await copyFile(join(dir.path, 'old'), place.kek.file)
    await writeFile(nextKekPath(place.kek.file), next, { mode: 0o600 })
    expect((await reopen()).name).to.equal(second.name)
    // The file in use is the new one already, and the other still there.
    await writeFile(nextKekPath(place.kek.file), await readFile(place.kek.file), { mode: 0o600 })
    expect((await reopen()).name).to.equal(second.name)
    expect(await hasNextKek(place.kek.file)).to.equal(false)
    // The old one opens nothing.
    await copyFile(join(dir.path, 'old'), place.kek.file)
    const error = await rejectsWith(openStore(place), 'ERR_QKD_STORE')
    expect(error.message).to.include(second.name)
  })

  it('is taken by a site that runs', async () => {
    await using dir = await createTempDir()
    const file = join(dir.path, 'kek')
    await createKeyFile(file)
    const kek = await loadKeyEncryptionKey(file, { create: false })
    await using slots = await SlotFile.open(join(dir.path, 'slots'), { kek })
    const slot = await slots.put(SecretKey.random(32), contextOf(0))
    await using _ = watchNextKek(file, { slots })
    const name = slots.kekName
    expect(await proposeNextKek(file)).to.equal(true)
    await until(async () => !(await hasNextKek(file)), 'the key is taken')
    expect(slots.kekName).to.not.equal(name)
    await slots.read(slot, contextOf(0))
    expect(await takeNextKek(file, slots)).to.equal(undefined)
  })

  it('happens at the start where the configuration names the key before', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'store')
    const secret = SecretKey.random(32)
    const passphraseFile = join(dir.path, 'passphrase')
    await writeFile(passphraseFile, 'a long passphrase\n', { mode: 0o600 })
    const file = join(dir.path, 'kek')
    const first = await openStore({ path, kek: { file } })
    await first.store.snapshot('a-b')
    await first.store.commit('a-b', [{ kind: 'note', name: 'n', from: 0, value: randomBytes(4) }])
    const slot = await first.slots.put(secret, contextOf(0))
    await first.slots.close()
    await first.store.close()
    await writeFile(join(path, 'kek-salt.json'), JSON.stringify({ salt: 'c2FsdA==', n: 1024, r: 8, p: 1 }))
    const second = await openStore({ path, kek: { passphraseFile, previous: { file } } })
    expect(second.rekeyed).to.deep.equal({ renewed: 2, damaged: 0 })
    await second.slots.close()
    await second.store.close()
    const third = await openStore({ path, kek: { passphraseFile } })
    expect((await third.slots.read(slot, contextOf(0))).equals(secret)).to.equal(true)
    await third.slots.close()
    await third.store.close()
  })
})

describe('loadKek', () => {
  it('stretches a passphrase with a salt that is made with the store, and refuses to do without it', async () => {
    await using dir = await createTempDir()
    const passphraseFile = join(dir.path, 'passphrase')
    await writeFile(passphraseFile, 'correct horse battery\nsecond line\n', { mode: 0o600 })
    await rejectsWith(loadKek({ passphraseFile }, { create: false, directory: dir.path }), 'ERR_QKD_STORE')
    const first = await loadKek({ passphraseFile }, { create: true, directory: dir.path })
    const again = await loadKek({ passphraseFile }, { create: false, directory: dir.path })
    expect((first as SecretKey).equals(again as SecretKey)).to.equal(true)
    expect((await stat(join(dir.path, 'kek-salt.json'))).mode & 0o777).to.equal(0o600)
    await writeFile(passphraseFile, 'short\n', { mode: 0o600 })
    await rejectsWith(loadKek({ passphraseFile }, { create: false, directory: dir.path }), 'ERR_QKD_STORE')
  })

  it('takes a credential as it is, and makes none', async () => {
    await using dir = await createTempDir()
    const credential = join(dir.path, 'qkd-kek')
    await rejectsWith(loadKek({ credential }, { create: true, directory: dir.path }), 'ERR_QKD_STORE')
    await writeFile(credential, randomBytes(32), { mode: 0o400 })
    const kek = await loadKek({ credential }, { create: true, directory: dir.path })
    expect((kek as SecretKey).sizeBytes).to.equal(32)
  })
})

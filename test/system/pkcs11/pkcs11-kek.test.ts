import { randomBytes } from 'node:crypto'
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { loadKek } from '../../../lib/kms/store/key-encryption-key.ts'
import { openStore } from '../../../lib/kms/store/open-store.ts'
import type { Pkcs11Source } from '../../../lib/kms/store/pkcs11-key.ts'
import type { WrappingKey } from '../../../lib/kms/store/wrapping-key.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { startSiteProcesses } from '../../helpers/site-process.ts'
import { requireSoftHsm, type SoftHsm } from '../../helpers/soft-hsm.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const CONTEXT = Buffer.from('block 1')

describe('a key encryption key in a device, by PKCS#11', function () {
  this.timeout(180_000)
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let hsm: SoftHsm

  before(async function () {
    dir = await createTempDir()
    hsm = await requireSoftHsm(this, dir.path)
  })

  after(() => dir?.[Symbol.asyncDispose]())

  const load = async (more: Partial<Pkcs11Source> = {}, create = false) => {
    const source = { pkcs11: { ...hsm.source, ...more } }
    return (await loadKek(source, { create, directory: dir.path })) as WrappingKey
  }

  it('is made with the store, wraps what only it opens, and does not leave', async () => {
    await rejectsWith(load(), 'ERR_QKD_STORE')
    const kek = await load({}, true)
    const secret = SecretKey.random(32)
    const sealed = kek.seal(secret, CONTEXT)
    expect(sealed).to.have.length(32 + 28)
    expect(kek.open(sealed, CONTEXT).equals(secret)).to.equal(true)
    expect(() => kek.open(sealed, Buffer.from('block 2')))
      .to.throw()
      .with.property('code', 'ERR_QKD_STORE')
    sealed[20]! ^= 1
    expect(() => kek.open(sealed, CONTEXT))
      .to.throw()
      .with.property('code', 'ERR_QKD_STORE')
    const again = await load()
    expect(again.name.equals(kek.name)).to.equal(true)
    sealed[20]! ^= 1
    expect(again.open(sealed, CONTEXT).equals(secret)).to.equal(true)
    const other = await load({ key: 'another' }, true)
    expect(other.name.equals(kek.name)).to.equal(false)
    expect(() => other.open(sealed, CONTEXT))
      .to.throw()
      .with.property('code', 'ERR_QKD_STORE')
    for (const key of [kek, again, other]) key.close()
  })

  it('says what is missing, or wrong', async () => {
    const wrongPin = join(dir.path, 'wrong-pin')
    await writeFile(wrongPin, '0000\n', { mode: 0o600 })
    const open = join(dir.path, 'open-pin')
    await writeFile(open, `${hsm.pin}\n`)
    await chmod(open, 0o644)
    const faults: [Partial<Pkcs11Source>, string][] = [
      [{ module: join(dir.path, 'nothing.so') }, 'nothing.so cannot be loaded'],
      [{ token: 'elsewhere' }, 'No token is labelled "elsewhere"; there is "qkd"'],
      [{ pinFile: wrongPin }, 'The PIN is not the right one for token "qkd"'],
      [{ pinFile: open }, 'is readable by others; run chmod 600'],
      [{ pinFile: join(dir.path, 'none') }, 'Cannot read the PIN'],
      [{ key: 'nobody' }, 'No AES key is labelled "nobody" in token "qkd"; make one: pkcs11-tool'],
    ]
    for (const [more, words] of faults) {
      const error = await rejectsWith(load(more), 'ERR_QKD_STORE')
      expect(error.message).to.include(words)
      expect(error.message).to.not.include(hsm.pin)
    }
  })

  it('keeps a store that its device alone opens', async () => {
    const place = { path: join(dir.path, 'store'), kek: { pkcs11: { ...hsm.source, key: 'of-a-store' } } }
    const secret = SecretKey.random(32)
    const first = await openStore(place)
    const slot = await first.slots.put(secret, CONTEXT)
    await close(first)
    const second = await openStore(place)
    expect((await second.slots.read(slot, CONTEXT)).equals(secret)).to.equal(true)
    await close(second)
    ;(await load({ key: 'of-another-store' }, true)).close()
    const other = { pkcs11: { ...hsm.source, key: 'of-another-store' } }
    const error = await rejectsWith(openStore({ ...place, kek: other }), 'ERR_QKD_STORE')
    expect(error.message).to.include('A slot is sealed under key encryption key')
    expect(await readdir(place.path)).to.not.include('kek')
  })

  it('takes over the slots of a file, and gives them back to one', async () => {
    const path = join(dir.path, 'moved')
    const [first, last] = [{ file: join(dir.path, 'first') }, { file: join(dir.path, 'last') }]
    await writeFile(last.file, randomBytes(32), { mode: 0o600 })
    ;(await load({ key: 'of-slots' }, true)).close()
    const device = { pkcs11: { ...hsm.source, key: 'of-slots' } }
    const secret = SecretKey.random(32)
    const made = await openStore({ path, kek: first })
    const slot = await made.slots.put(secret, CONTEXT)
    await close(made)
    for (const [kek, previous] of [
      [device, first],
      [last, device],
    ] as const) {
      const moved = await openStore({ path, kek: { ...kek, previous } })
      expect(moved.rekeyed).to.deep.equal({ renewed: 2, damaged: 0 })
      await close(moved)
      const again = await openStore({ path, kek })
      expect((await again.slots.read(slot, CONTEXT)).equals(secret)).to.equal(true)
      await close(again)
      const error = await rejectsWith(openStore({ path, kek: previous }), 'ERR_QKD_STORE')
      expect(error.message).to.include('A slot is sealed under key encryption key')
    }
  })

  it('wraps for a site that has live keys, and its PIN is in its file alone', async () => {
    await using sites = await startSiteProcesses({
      built: process.env.QKD_TEST_BUILT === '1',
      env: siteId => (siteId === 'site-a' ? hsm.env : {}),
    })
    const [siteA] = sites.processes
    const [alice, bob] = [sites.kms('alice'), sites.kms('bob')]
    const config = join(sites.directory, 'site-a.json')
    const drawn = await once(() => alice.getKey('bob', { number: 3 }))
    expect(await siteA.stop()).to.equal(0)
    const { store, ...rest } = JSON.parse(await readFile(config, 'utf8'))
    ;(await load({ key: 'of-site-a' }, true)).close()
    const kek = { pkcs11: { ...hsm.source, key: 'of-site-a' }, previous: store.kek }
    await writeFile(config, JSON.stringify({ ...rest, store: { ...store, kek } }))
    await siteA.start()
    const fresh = await once(() => alice.getKey('bob'))
    for (const { keyId, secret } of [...drawn, ...fresh]) {
      const [fetched] = await once(() => bob.getKeyWithIds('alice', [keyId]))
      expect(fetched!.secret.equals(secret)).to.equal(true)
    }
    expect(siteA.stderr).to.not.include(hsm.pin)
    for (const part of ['cmdline', 'environ'])
      expect(await readFile(`/proc/${siteA.pid}/${part}`, 'utf8')).to.not.include(hsm.pin)
    // Its store is not recounted at the end: that would want the key file.
    expect(await siteA.stop()).to.equal(0)
  })
})

/** Asks until there is an answer: sites that have begun must meet first. */
async function once<T>(ask: () => Promise<T>): Promise<T> {
  let answer: { readonly value: T } | undefined
  await until(
    async () => {
      answer = await ask().then(
        value => ({ value }),
        () => undefined,
      )
      return answer !== undefined
    },
    'there is an answer',
    { timeoutMs: 30_000 },
  )
  return answer!.value
}

async function close({ store, slots, marks }: Awaited<ReturnType<typeof openStore>>): Promise<void> {
  await slots.close()
  await store.close()
  await marks.close()
}

import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import {
  checkStore,
  inDatabase,
  readStorePassword,
  resolveStore,
  type StoreConfigFile,
} from '../../lib/config/store-config.ts'
import type { SchemaFault } from '../../lib/util/json-schema.ts'
import { createTempDir } from '../helpers/temp-dir.ts'

const STORE = {
  kind: 'postgresql',
  url: 'postgres://qkd@db-1,db-2/pools',
  path: 'replica',
  kek: { file: 'replica.kek' },
} as const
const messages = (store: StoreConfigFile) => checkStore({ store }).map(({ message }) => message)

describe('a store in PostgreSQL, as it is configured', () => {
  it('needs a URL, a directory and a key encryption key', () => {
    expect(messages(STORE)).to.deep.equal([])
    const { url: _, path: __, ...rest } = STORE
    expect(messages(rest)).to.have.length(2)
    expect(messages(rest).join()).to.contain('field "url" is missing').and.to.contain('field "path" is missing')
  })

  it('is refused where a field goes with another kind, or the URL is none', () => {
    expect(messages({ ...STORE, kind: 'lmdb' }).join()).to.contain('"url" goes with kind "postgresql"')
    expect(messages({ kind: 'memory', path: 'a' }).join()).to.contain('"path" goes with kind "lmdb" and "postgresql"')
    expect(messages({ ...STORE, url: 'http://db/pools' }).join()).to.contain('postgres://')
  })

  it('gets whole paths and defaults; a password must be private, wherever it stands', async () => {
    await using dir = await createTempDir()
    const file = join(dir.path, 'site.json')
    for (const path of [file, join(dir.path, 'password')]) await writeFile(path, 'secret\nmore', { mode: 0o644 })
    const faults: SchemaFault[] = []
    const place = { file, baseDir: dir.path }
    const resolved = await resolveStore({ ...STORE, replica: { id: 'one', port: 8018 } }, place, faults)
    expect(faults).to.deep.equal([])
    expect(resolved).to.deep.equal({
      ...STORE,
      path: join(dir.path, 'replica'),
      kek: { file: join(dir.path, 'replica.kek') },
      leaseMs: 5_000,
      replica: { id: 'one', host: '127.0.0.1', port: 8018 },
    })
    await resolveStore({ ...STORE, url: 'postgres://qkd:secret@db/pools' }, place, faults)
    await resolveStore({ ...STORE, passwordFile: 'password' }, place, faults)
    expect(faults.map(({ path }) => path)).to.deep.equal(['/store/url', '/store/passwordFile'])
    expect(faults.map(({ message }) => message).join())
      .to.contain('chmod 600')
      .and.to.not.contain('secret')
    await chmod(join(dir.path, 'password'), 0o600)
    const safe: SchemaFault[] = []
    const store = await resolveStore({ ...STORE, passwordFile: 'password' }, place, safe)
    expect(safe).to.deep.equal([])
    expect(await readStorePassword(store as { passwordFile: string })).to.equal('secret')
  })

  it('takes its URL from a command line, and no password there', () => {
    const kek = { file: '/kek' }
    const lmdb = { kind: 'lmdb', path: '/store', kek } as const
    expect(inDatabase(lmdb, 'postgres://qkd@db/pools')).to.deep.equal({
      kind: 'postgresql',
      url: 'postgres://qkd@db/pools',
      path: '/store',
      kek,
      leaseMs: 5_000,
    })
    for (const url of ['postgres://qkd:secret@db/pools', 'postgres://qkd@db/pools?password=secret'])
      expect(() => inDatabase(lmdb, url))
        .to.throw(/PGPASSFILE/)
        .with.property('code', 'ERR_QKD_INVALID_ARGUMENT')
    expect(() => inDatabase({ kind: 'memory' }, 'postgres://qkd@db/pools')).to.throw(/path and kek/)
  })
})

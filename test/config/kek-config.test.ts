import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { resolveStoreKek, type StoreKekConfig } from '../../lib/config/kek-config.ts'
import type { SchemaFault } from '../../lib/util/json-schema.ts'
import { createTempDir } from '../helpers/temp-dir.ts'

async function resolved(kek: StoreKekConfig, baseDir: string, credentialsDirectory?: string) {
  const faults: SchemaFault[] = []
  const place = { baseDir, pointer: '/store/kek', ...(credentialsDirectory && { credentialsDirectory }) }
  return { kek: await resolveStoreKek(kek, place, faults), faults }
}

describe('resolveStoreKek', () => {
  it('finds each kind of key, the one before it too', async () => {
    await using dir = await createTempDir()
    const credentials = join(dir.path, 'credentials')
    await mkdir(credentials)
    await writeFile(join(credentials, 'qkd-kek'), Buffer.alloc(32), { mode: 0o400 })
    await writeFile(join(dir.path, 'words'), 'a long passphrase\n', { mode: 0o600 })
    const previous = { passphraseFile: 'words' }
    expect(await resolved({ credential: 'qkd-kek', previous }, dir.path, credentials)).to.deep.equal({
      kek: { credential: join(credentials, 'qkd-kek'), previous: { passphraseFile: join(dir.path, 'words') } },
      faults: [],
    })
    expect(await resolved({ file: 'a.kek' }, dir.path)).to.deep.equal({
      kek: { file: join(dir.path, 'a.kek') },
      faults: [],
    })
  })

  it('says what is wrong, and where', async () => {
    await using dir = await createTempDir()
    await writeFile(join(dir.path, 'short'), Buffer.alloc(31), { mode: 0o600 })
    await writeFile(join(dir.path, 'open'), 'a long passphrase\n', { mode: 0o644 })
    const faultOf = async (kek: StoreKekConfig) => (await resolved(kek, dir.path)).faults[0]
    expect(await faultOf({ credential: 'qkd-kek' })).to.have.property('path', '/store/kek/credential')
    expect((await faultOf({ credential: 'qkd-kek' }))!.message).to.include('LoadCredential=qkd-kek')
    expect((await faultOf({ file: 'short' }))!.message).to.include('31 bytes')
    expect(await faultOf({ passphraseFile: 'open' })).to.have.property('path', '/store/kek/passphraseFile')
    expect((await faultOf({ passphraseFile: 'none' }))!.path).to.equal('/store/kek/passphraseFile')
    const two = { file: 'a', credential: 'b' } as unknown as StoreKekConfig
    expect((await faultOf(two))!.message).to.include('exactly one of file, credential, passphraseFile')
    expect(await faultOf({ file: 'a', previous: { file: 'short' } })).to.have.property(
      'path',
      '/store/kek/previous/file',
    )
  })
})

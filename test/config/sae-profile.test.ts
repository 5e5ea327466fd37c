import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadSaeProfile } from '../../lib/config.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { pems, writeSite } from './site-fixture.ts'

const tls = { cert: 'pki/kme.pem', key: 'pki/kme-key.pem', ca: 'pki/ca.pem' }

async function write(dir: string, profile: unknown): Promise<string> {
  await writeSite(dir, '')
  const path = join(dir, 'sae.json')
  await writeFile(path, JSON.stringify(profile))
  return path
}

describe('loadSaeProfile', () => {
  it('reads a profile, with TLS files as text', async () => {
    await using dir = await createTempDir()
    const path = await write(dir.path, { saeId: 'alice', kme: 'https://localhost:8014/prefix', kmeId: 'kme-a', tls })
    const { profile, warnings } = await loadSaeProfile(path)
    expect(profile).to.deep.equal({ saeId: 'alice', kme: 'https://localhost:8014/prefix', kmeId: 'kme-a', tls: pems })
    expect(warnings).to.deep.equal([])
  })

  for (const [what, fields, path] of [
    ['a KME without TLS', { kme: 'http://localhost:8014' }, '/kme'],
    ['a KME URL with a query', { kme: 'https://localhost:8014?a=b' }, '/kme'],
    ['a KME URL that is none', { kme: 'https://local host' }, '/kme'],
    ['a port that is none', { kme: 'https://localhost:99999' }, '/kme'],
    ['a missing key', { tls: { ...tls, key: 'pki/no.pem' } }, '/tls/key'],
    ['an unknown field', { sae: 'x' }, '/'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      await using dir = await createTempDir()
      const file = await write(dir.path, { saeId: 'alice', kme: 'https://localhost:8014', tls, ...fields })
      const error = await rejectsWith(loadSaeProfile(file), 'ERR_QKD_CONFIG')
      expect(error.details.map(detail => detail.path)).to.deep.equal([path])
      expect(error.message).to.include(file)
    })
  }
})

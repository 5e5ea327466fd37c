import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadSiteConfig } from '../../lib/config.ts'
import type { ConfigError } from '../../lib/errors.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { pems, siteFile, writeSite } from './site-fixture.ts'

const PSK = 'ab'.repeat(32)
const DOMAIN = { kmeId: 'kme-x', url: 'https://10.0.0.2:8020', saes: ['xenia'] }

async function load(fields: Record<string, unknown>, files: Record<string, string> = { 'router.psk': `${PSK}\n` }) {
  await using dir = await createTempDir()
  const path = await writeSite(dir.path, siteFile(fields))
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir.path, name), text, { mode: 0o600 })
  return { dir: dir.path, config: (await loadSiteConfig(path)).config }
}

/** The faults of a configuration, as `pointer: message`. */
async function faultsOf(fields: Record<string, unknown>, files?: Record<string, string>): Promise<string[]> {
  const error: ConfigError = await load(fields, files).then(
    () => expect.fail('it was taken'),
    thrown => thrown,
  )
  expect(error.code).to.equal('ERR_QKD_CONFIG')
  return error.details.map(({ path, message }) => `${path}: ${message}`)
}

const skip = (more: object = {}) => ({ '/skip': { listen: { port: 8016 }, ...more } })
const border = (more: object = {}) => ({ '/border': { listen: { port: 8020 }, domains: [DOMAIN], ...more } })

describe('configuration of equipment', () => {
  it('has pre-shared keys of encryptors from files of their own', async () => {
    const psk = { identity: 'router', saeId: 'alice', file: 'router.psk' }
    const { config } = await load(skip({ psks: [psk], systems: [{ systemId: 'KP_B*', saeId: 'bob' }] }))
    expect(config.skip).to.deep.equal({
      listen: { host: '127.0.0.1', port: 8016 },
      systems: [{ systemId: 'KP_B*', saeId: 'bob' }],
      psks: [{ identity: 'router', saeId: 'alice', key: Buffer.from(PSK, 'hex') }],
    })
    expect((await load(skip())).config.skip).to.deep.include({ systems: [], psks: [] })
  })

  it('names what is wrong with encryptors', async () => {
    const psk = (saeId: string) => ({ identity: 'router', saeId, file: 'router.psk' })
    const system = (systemId: string, saeId: string) => ({ systemId, saeId })
    expect(await faultsOf(skip({ psks: [psk('bob'), psk('alice')] }))).to.have.length(2)
    expect((await faultsOf(skip({ psks: [psk('alice')] }), { 'router.psk': 'secret' }))[0]).to.include('hex digits')
    expect((await faultsOf(skip({ psks: [psk('alice')] }), {}))[0]).to.include('no such file')
    expect((await faultsOf(skip({ systems: [system('*', 'alice')] })))[0]).to.include('not a pattern')
    expect((await faultsOf(skip({ systems: [system('a', 'zoe')] })))[0]).to.include('"zoe"')
    expect((await faultsOf(skip({ systems: [system('a', 'bob'), system('a', 'bob')] })))[0]).to.include('already')
  })

  it('refuses a pre-shared key that others may read', async () => {
    await using dir = await createTempDir()
    const psks = [{ identity: 'router', saeId: 'alice', file: 'router.psk' }]
    const path = await writeSite(dir.path, siteFile(skip({ psks })))
    await writeFile(join(dir.path, 'router.psk'), PSK)
    await chmod(join(dir.path, 'router.psk'), 0o644)
    const error = await loadSiteConfig(path).catch(thrown => thrown)
    expect(error.message).to.include('/skip/psks/0/file').and.include('chmod 600').and.not.include(PSK)
  })

  it('has the border to other domains, and hosts of those behind a peer', async () => {
    const tls = { cert: 'pki/kme.pem', key: 'pki/kme-key.pem', ca: 'pki/ca.pem' }
    const { config } = await load({ ...border({ tls }), '/peers/0/foreignSaes': ['yara'] })
    expect(config.border).to.deep.equal({
      listen: { host: '127.0.0.1', port: 8020 },
      mode: 'asynchronous',
      tls: pems,
      domains: [{ ...DOMAIN, level: 'quantum' }],
    })
    expect(config.peers[0]!.foreignSaes).to.deep.equal(['yara'])
  })

  it('names what stands in two places at a border', async () => {
    expect((await faultsOf(border({ domains: [{ ...DOMAIN, saes: ['bob'] }] })))[0]).to.include('"bob"')
    expect((await faultsOf(border({ domains: [{ ...DOMAIN, kmeId: 'kme-b' }] })))[0]).to.include('"kme-b"')
    expect((await faultsOf({ '/peers/0/foreignSaes': ['alice'] }))[0]).to.include('"alice"')
    expect((await faultsOf(border({ domains: [{ ...DOMAIN, url: 'http://10.0.0.2' }] })))[0]).to.include(
      '/border/domains/0/url',
    )
  })

  it('has links of recorded key, without an address', async () => {
    const link = { linkId: 'a-b', peerSiteId: 'site-b', kind: 'replay', directory: 'recording' }
    const { config, dir } = await load({ '/links': [link] })
    expect(config.links[0]).to.include({ kind: 'replay', directory: join(dir, 'recording'), rateBps: 10_000_000 })
    expect((await faultsOf({ '/links': [{ ...link, directory: undefined }] }))[0]).to.include('"directory" is missing')
    expect((await faultsOf({ '/links/0/host': undefined }))[0]).to.include('"host" is missing')
    expect((await faultsOf({ '/links/0/directory': 'x' }))[0]).to.include('goes with kind "replay"')
  })
})

import { join } from 'node:path'
import { expect } from 'chai'
import { siteConfigSchema } from '../../lib/config/site-config.ts'
import { type LoadedSiteConfig, loadSiteConfig } from '../../lib/config.ts'
import type { QkdError } from '../../lib/errors.ts'
import { compileSchema, type JsonSchema } from '../../lib/util/json-schema.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { mlDsaPems, pems, siteFile, writeSite } from './site-fixture.ts'

type Fields = Readonly<Record<string, unknown>>

async function load(fields: Fields = {}): Promise<LoadedSiteConfig & { dir: string }> {
  await using dir = await createTempDir()
  return { dir: dir.path, ...(await loadSiteConfig(await writeSite(dir.path, siteFile(fields)))) }
}

async function refusal(content: unknown): Promise<QkdError> {
  await using dir = await createTempDir()
  return await rejectsWith(loadSiteConfig(await writeSite(dir.path, content)), 'ERR_QKD_CONFIG')
}

const link = { linkId: 'a-b', peerSiteId: 'site-b', kind: 'simulated', rateBps: 1, host: 'b', port: 1 }

const bb84 = { linkId: 'a-b', peerSiteId: 'site-b', host: 'b', port: 1 }
const mlDsa = (cert = 'pki/ml-dsa.pem') => ({ cert, key: 'pki/ml-dsa-key.pem', ca: 'pki/ml-dsa-ca.pem' })

describe('loadSiteConfig', () => {
  it('reads a configuration, with TLS files as text and every default filled in', async () => {
    const { config, warnings } = await load()
    expect(warnings).to.deep.equal([])
    expect(config.tls).to.deep.equal(pems)
    expect(config.listen).to.deep.equal({ host: '127.0.0.1', port: 8014 })
    expect(config.peerListen).to.deep.equal({ host: '0.0.0.0', port: 0 })
    expect(config.store).to.deep.equal({ kind: 'memory' })
    expect(config.keys).to.deep.equal({
      keySizeBits: 256,
      minKeySizeBits: 64,
      maxKeySizeBits: 4_096,
      maxKeyPerRequest: 128,
      maxSaeIdCount: 32,
    })
    expect(config.pool).to.deep.equal({
      lifetimeMs: 300_000,
      targetBlocks: 8,
      maxWaitMs: 2_000,
      shredMs: 60_000,
      refreshMs: 3_600_000,
      refreshKeys: 268_435_456,
      kem: 'ML-KEM-768',
      restoresPerHour: 10,
      mismatchesPerHour: 100,
    })
  })

  it('lets the site that sorts first connect, and the other listen', async () => {
    expect((await load()).config.links[0]).to.have.property('role', 'connect')
    const other = await load({
      '/siteId': 'site-c',
      '/peers/0': { siteId: 'site-b', kmeId: 'kme-b', saes: ['bob'] },
    })
    expect(other.config.links[0]).to.have.property('role', 'listen')
    const turned = await load({ '/links/0/role': 'listen' })
    expect(turned.config.links[0]).to.have.property('role', 'listen')
  })

  it('takes a link for a BB84 one by default, proved by the ML-DSA certificate of the site', async () => {
    const { config } = await load({ '/mlDsa': mlDsa(), '/links/0': bb84 })
    const defaults = { kind: 'bb84', role: 'connect', preset: 'yuan-2018', distanceKm: 10, keyBits: 262_144 }
    expect(config.links).to.deep.equal([{ ...bb84, ...defaults }])
    expect(config.mlDsa).to.deep.equal(mlDsaPems)
  })

  it('gives links of every kind the defaults of that kind', async () => {
    const of = async (fields: object) =>
      (await load({ '/links/0': { ...bb84, psk: 'link.psk', ...fields } })).config.links[0]
    expect(await of({ kind: 'free-space' })).to.include({ kind: 'free-space', preset: 'roofs-night', distanceKm: 1 })
    const passes = [{ time: '22:10', maximumElevationDeg: 70 }]
    expect(await of({ kind: 'satellite', passes })).to.deep.include({ preset: 'leo-fast', keyBits: 262_144, passes })
    expect(await of({ kind: 'post-quantum', rateBps: 5 })).to.include({ kind: 'post-quantum', rateBps: 5 })
    expect(await of({ classicalDbm: -3 })).to.include({ kind: 'bb84', classicalDbm: -3 })
  })

  it('takes the path of a pre-shared key relative to the file, and needs no certificate then', async () => {
    const { config, dir } = await load({ '/links/0': { ...bb84, psk: 'link.psk', distanceKm: 25.5, preset: 't12' } })
    expect(config.links[0]).to.include({ psk: join(dir, 'link.psk'), distanceKm: 25.5, preset: 't12' })
    expect(config).not.to.have.property('mlDsa')
  })

  it('takes store paths relative to the file, and a key that the first start will make', async () => {
    const { config, dir } = await load({ '/store': { kind: 'lmdb', path: 'pools', kek: { file: 'new-kek' } } })
    expect(config.store).to.deep.equal({
      kind: 'lmdb',
      path: join(dir, 'pools'),
      kek: { file: join(dir, 'new-kek') },
    })
  })

  it('warns of a private key that others may read', async () => {
    const { warnings } = await load({ '/tls/key': 'pki/open-key.pem' })
    expect(warnings).to.have.length(1)
    expect(warnings[0]).to.match(/site\.json: \/tls\/key: .*open-key\.pem \(mode 0644\); run: chmod 600 /)
  })

  it('names every fault at once, in details as well', async () => {
    const error = await refusal(siteFile({ '/siteId': 7, '/saes': 'alice' }))
    expect(error.details.map(detail => detail.path)).to.deep.equal(['/siteId', '/saes'])
    expect(error.message.split('\n')).to.have.length(2)
  })

  const faults: [what: string, fields: Fields, path: string, message: RegExp][] = [
    ['a missing field', { '/kmeId': undefined }, '/', /field "kmeId" is missing/],
    ['an unknown field', { '/listen/prot': 1 }, '/listen', /field "prot" is not known/],
    ['a port out of range', { '/listen/port': 65_536 }, '/listen/port', /<= 65535 \(TCP port/],
    ['a port in words', { '/listen/port': '8014' }, '/listen/port', /must be integer \(TCP port/],
    ['a site ID with a slash', { '/siteId': 'a/b' }, '/siteId', /letters, digits/],
    ['an SAE ID with a space', { '/saes/0/saeId': 'a b' }, '/saes/0/saeId', /without spaces/],
    ['an SAE ID that is too long', { '/saes/0/saeId': 'x'.repeat(292) }, '/saes/0/saeId', /1 to 291/],
    ['a fingerprint with colons', { '/saes/0/fingerprint256': 'AA:BB' }, '/saes/0/fingerprint256', /without colons/],
    ['an unknown kind of link', { '/links/0/kind': 'rope' }, '/links/0/kind', /must be one of \["bb84","simulated",/],
    ['a simulated link without rate', { '/links/0/rateBps': undefined }, '/links/0', /"rateBps" is missing/],
    [
      'a distance on a simulated link',
      { '/links/0/distanceKm': 5 },
      '/links/0',
      /goes with kind "bb84" or "free-space"; remove it/,
    ],
    [
      'a rate on a BB84 link',
      { '/links/0': { ...bb84, psk: 'p', rateBps: 1 } },
      '/links/0',
      /"rateBps" goes with kind "simulated" or "post-quantum"/,
    ],
    [
      'a satellite without passes',
      { '/links/0': { ...bb84, kind: 'satellite', psk: 'p' } },
      '/links/0',
      /"passes" is missing/,
    ],
    [
      'a pass at no time of day',
      { '/links/0': { ...bb84, kind: 'satellite', psk: 'p', passes: [{ time: '24:00', maximumElevationDeg: 80 }] } },
      '/links/0/passes/0/time',
      /HH:MM or HH:MM:SS, UTC/,
    ],
    [
      'a preset of another kind',
      { '/links/0': { ...bb84, kind: 'free-space', psk: 'p', preset: 't12' } },
      '/links/0/preset',
      /kind "free-space" has the presets roofs-night, roofs-day/,
    ],
    [
      'a post-quantum link that nothing proves',
      { '/links/0': { ...bb84, kind: 'post-quantum', rateBps: 1 } },
      '/links/0',
      /nothing proves/,
    ],
    ['a BB84 link that nothing proves', { '/links/0': bb84 }, '/links/0', /qkd pki init.*or the link a "psk"/],
    ['an unknown preset', { '/links/0': { ...bb84, preset: 'x' } }, '/links/0/preset', /gys, t12, yuan-2018/],
    ['an ML-DSA certificate that is none', { '/mlDsa': mlDsa('pki/kme.pem') }, '/mlDsa/cert', /ML-DSA-65/],
    ['an ML-DSA certificate that is not there', { '/mlDsa': mlDsa('pki/x.pem') }, '/mlDsa/cert', /no such file/],
    [
      "another ML-DSA certificate's key",
      { '/mlDsa': mlDsa('pki/other-ml-dsa.pem') },
      '/mlDsa/key',
      /not the private key/,
    ],
    ['a rate of nothing', { '/links/0/rateBps': 0 }, '/links/0/rateBps', />= 1/],
    ['an unknown kind of store', { '/store': { kind: 'sqlite' } }, '/store/kind', /memory/],
    ['a key size of no whole byte', { '/keys': { keySizeBits: 100 } }, '/keys/keySizeBits', /multiple of 8/],
    ['a default size above the largest', { '/keys': { keySizeBits: 8_192 } }, '/keys', /must hold/],
    ['a least stock above the most', { '/pool': { minBlocks: 9 } }, '/pool/minBlocks', /must hold/],
    ['an SAE listed twice', { '/saes/1': { saeId: 'alice' } }, '/saes/1/saeId', /stands at \/saes\/0\/saeId/],
    ['an SAE at two sites', { '/peers/0/saes/1': 'alice' }, '/peers/0/saes/1', /stands at \/saes\/0\/saeId/],
    ['the own site as a peer', { '/peers/0/siteId': 'site-a', '/links': [] }, '/peers/0/siteId', /this site itself/],
    [
      'a peer listed twice',
      { '/peers/1': { siteId: 'site-b', kmeId: 'kme-c', saes: [], host: 'b', port: 1 } },
      '/peers/1/siteId',
      /stands at \/peers\/0/,
    ],
    ["a peer under this site's KME ID", { '/peers/0/kmeId': 'kme-a' }, '/peers/0/kmeId', /stands at \/kmeId/],
    ['a peer to dial without a port', { '/peers/0/port': undefined }, '/peers/0', /"port" is missing.*sorts before/],
    ['a link to an unknown site', { '/links/0/peerSiteId': 'site-x' }, '/links/0/peerSiteId', /\(site-b\)/],
    ['a link listed twice', { '/links/1': link }, '/links/1/linkId', /stands at \/links\/0/],
    ['a link that connects to no port', { '/links/0/port': 0 }, '/links/0/port', /port of the other end/],
    ['a store without its path', { '/store': { kind: 'lmdb', kek: { file: 'k' } } }, '/store', /"path" is miss/],
    ['a path without a store', { '/store': { kind: 'memory', path: 'p' } }, '/store', /goes with kind "lmdb"/],
    ['a certificate that is not there', { '/tls/cert': 'pki/no.pem' }, '/tls/cert', /no such file.*pki init/],
    ['a directory in place of a file', { '/tls/ca': 'pki' }, '/tls/ca', /is a directory/],
    ['a certificate that is none', { '/tls/cert': 'pki/broken.pem' }, '/tls/cert', /not a certificate/],
    ["another certificate's key", { '/tls/key': 'pki/other-key.pem' }, '/tls/key', /not the private key of/],
    [
      'a key encryption key of the wrong length',
      { '/store': { kind: 'lmdb', path: 'pools', kek: { file: 'short-kek' } } },
      '/store/kek/file',
      /has 5 bytes; a key encryption key has 32/,
    ],
    [
      'a key encryption key that others may read',
      { '/store': { kind: 'lmdb', path: 'pools', kek: { file: 'open-kek' } } },
      '/store/kek/file',
      /chmod 600/,
    ],
  ]
  for (const [what, fields, path, message] of faults) {
    it(`refuses ${what}`, async () => {
      const error = await refusal(siteFile(fields))
      expect(error.details.map(detail => detail.path)).to.deep.equal([path])
      expect(error.message).to.match(message)
      expect(error.message).to.include('site.json: ')
    })
  }

  it('refuses a file that is not there, naming it', async () => {
    const error = await rejectsWith(loadSiteConfig('/nowhere/site.json'), 'ERR_QKD_CONFIG')
    expect(error.message).to.match(/no such file: \/nowhere\/site\.json/)
  })

  it('refuses broken JSON with line and column', async () => {
    const error = await refusal('{\n  "siteId": "a",\n}')
    expect(error.message).to.match(/site\.json:3:1: not valid JSON: a name in double quotes is missing, found "}"/)
  })

  it('stops when it is aborted', async () => {
    await using dir = await createTempDir()
    const path = await writeSite(dir.path, siteFile())
    const reason = new Error('enough')
    const outcome = await loadSiteConfig(path, { signal: AbortSignal.abort(reason) }).catch((error: unknown) => error)
    expect(outcome).to.equal(reason)
  })
})

describe('siteConfigSchema', () => {
  it('compiles, and says of every field what it takes', () => {
    compileSchema(siteConfigSchema)
    const undescribed: string[] = []
    const visit = (schema: JsonSchema, path: string) => {
      if (typeof schema.description !== 'string') undescribed.push(path)
      for (const [name, field] of Object.entries(schema.properties ?? {})) visit(field as JsonSchema, `${path}/${name}`)
      if (schema.items !== undefined) visit(schema.items as JsonSchema, `${path}/*`)
    }
    visit(siteConfigSchema, '')
    expect(undescribed).to.deep.equal([])
  })
})

import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { createSite, DEFAULT_KEYS, DEFAULT_POOL } from '../../lib/site.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { until } from '../helpers/until.ts'
import { runQkd } from './run-qkd.ts'

describe('qkd link replay', function () {
  this.timeout(60_000)

  it('takes every format for the bytes that it stands for', async () => {
    await using dir = await createTempDir()
    const bytes = randomBytes(64_000)
    const quarters = [0, 1, 2, 3].map(at => bytes.subarray(at * 16_000, (at + 1) * 16_000))
    const at = (name: string) => join(dir.path, name)
    const key = quarters[3]!.toString('base64')
    await writeFile(at('1.bin'), quarters[0]!)
    await writeFile(at('2.hex'), quarters[1]!.toString('hex').replaceAll(/.{64}/g, '$&\n').toUpperCase())
    await writeFile(at('3.b64'), quarters[2]!.toString('base64').replaceAll(/.{76}/g, '$&\r\n'))
    await writeFile(at('4.json'), `{"keys":[{"key_ID":"${'0'.repeat(8)}","key":"${key}"}]}\n`)
    const files = ['1.bin', '2.hex', '3.b64', '4.json'].map(at)
    const { exitCode, stdout, stderr } = await runQkd(['link', 'replay', ...files, '--into', at('copy'), '--json'])
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
    expect(JSON.parse(stdout)).to.deep.include({ blocks: 2, files: 2 })
    const written = await Promise.all(['1', '2'].map(n => readFile(at(`copy/0000000${n}.key`))))
    expect(Buffer.concat(written).equals(bytes)).to.equal(true)
    await writeFile(at('bad.hex'), 'abcg')
    const bad = await runQkd(['link', 'replay', at('bad.hex'), '--into', at('copy')])
    expect(bad.exitCode).to.equal(EXIT_CODES.config.code)
    expect(bad.stderr).to.include('bad.hex').and.not.include('abcg')
  })

  it('feeds two sites that share nothing else with keys', async () => {
    await using dir = await createTempDir()
    const recording = join(dir.path, 'device.bin')
    await writeFile(recording, randomBytes(32_000 * 40))
    const copies = ['a', 'b'].map(name => join(dir.path, `copy-${name}`))
    for (const copy of copies)
      expect((await runQkd(['link', 'replay', recording, '--into', copy])).exitCode).to.equal(0)
    const authority = createTestAuthority()
    const listen = { host: '127.0.0.1', port: 0 }
    const common = {
      listen,
      peerListen: listen,
      store: { kind: 'memory' },
      pool: DEFAULT_POOL,
      keys: DEFAULT_KEYS,
    } as const
    const link = { linkId: 'a-b', kind: 'replay', ...listen, rateBps: 1_000_000_000 } as const
    await using siteB = await createSite({
      ...common,
      siteId: 'site-b',
      kmeId: 'kme-b',
      tls: authority.issue('kme-b'),
      saes: [{ saeId: 'bob' }],
      peers: [{ siteId: 'site-a', kmeId: 'kme-a', saes: ['alice'] }],
      links: [{ ...link, peerSiteId: 'site-a', role: 'listen', directory: copies[1]! }],
    })
    await using siteA = await createSite({
      ...common,
      siteId: 'site-a',
      kmeId: 'kme-a',
      tls: authority.issue('kme-a'),
      saes: [{ saeId: 'alice' }],
      peers: [{ siteId: 'site-b', kmeId: 'kme-b', saes: ['bob'], ...siteB.address.peer }],
      links: [{ ...link, peerSiteId: 'site-b', role: 'connect', directory: copies[0]! }],
    })
    const [alice, bob] = [siteA.kmsFor('alice'), siteB.kmsFor('bob')]
    await until(async () => (await alice.getStatus('bob')).storedKeyCount > 0, 'recorded key in the pool', {
      timeoutMs: 20_000,
    })
    const [key] = await alice.getKey('bob')
    expect(key).to.include({ level: 'quantum', trustClass: 'direct' })
    const [same] = await bob.getKeyWithIds('alice', [key!.keyId])
    expect(same!.secret.equals(key!.secret)).to.equal(true)
  })
})

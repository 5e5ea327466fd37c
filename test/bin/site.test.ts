import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { initPki } from '../../bin/pki-directory.ts'
import { loadSiteConfig } from '../../lib/config.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { firstLine, runQkd, startQkd } from './run-qkd.ts'
import { type ReadyLine, stop } from './served-sites.ts'

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url))

/** A site without peers in `dir`, its ports free ones unless given. */
async function writeLoneSite(dir: string, { port = 0 } = {}): Promise<string> {
  await initPki({
    ...{ dir: join(dir, 'pki'), siteId: 'site-a', kmeId: 'kme-a', saeIds: [], kmeUrl: 'https://localhost:8014' },
    ...{ hosts: { dnsNames: [], ipAddresses: [] }, days: 30, force: false },
  })
  const path = join(dir, 'site.json')
  await writeFile(
    path,
    JSON.stringify({
      ...{ siteId: 'site-a', kmeId: 'kme-a', listen: { port }, peerListen: { port: 0 } },
      tls: { cert: 'pki/site-a/kme.crt', key: 'pki/site-a/kme.key', ca: 'pki/ca.crt' },
      ...{ saes: [{ saeId: 'alice' }], peers: [], links: [] },
    }),
  )
  return path
}

describe('qkd site serve', function () {
  this.timeout(60_000)

  it('prints one line when it serves, and ends with 0 on SIGTERM', async () => {
    await using dir = await createTempDir()
    const child = startQkd(['site', 'serve', '--config', await writeLoneSite(dir.path)])
    try {
      expect(await firstLine(child)).to.match(
        /^site-a serves: ETSI 014 as kme-a at https:\/\/127\.0\.0\.1:\d+, other sites at 127\.0\.0\.1:\d+$/,
      )
    } finally {
      expect(await stop(child)).to.equal(0)
    }
  })

  it('gives its addresses as JSON, and ends with 0 on Ctrl-C', async () => {
    await using dir = await createTempDir()
    const child = startQkd(['site', 'serve', '--json', '--config', await writeLoneSite(dir.path)])
    try {
      const ready = JSON.parse(await firstLine(child)) as ReadyLine
      expect(ready).to.include({ ready: true, siteId: 'site-a', kmeId: 'kme-a', pid: child.pid })
      expect(ready.address.etsi014.port).to.be.above(0)
      expect(ready.address.peer.port).to.be.above(0)
      child.kill('SIGINT')
      expect(await once(child, 'exit')).to.deep.equal([0, null])
    } finally {
      await stop(child)
    }
  })

  it('says which port is in use, without a stack', async () => {
    await using dir = await createTempDir()
    const other = createServer()
    await once(other.listen(0, '127.0.0.1'), 'listening')
    try {
      const { port } = other.address() as AddressInfo
      const config = await writeLoneSite(dir.path, { port })
      const { exitCode, stdout, stderr } = await runQkd(['site', 'serve', '--config', config])
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.system.code, stdout: '' })
      expect(stderr).to.match(new RegExp(`^error: EADDRINUSE: .*127\\.0\\.0\\.1:${port}\\n$`))
    } finally {
      other.close()
    }
  })

  it('names file, field and fix of a wrong configuration', async () => {
    await using dir = await createTempDir()
    const path = await writeLoneSite(dir.path)
    const file = JSON.parse(await readFile(path, 'utf8')) as object
    await writeFile(path, JSON.stringify({ ...file, listen: { port: 'x' }, tls: { cert: 'a', key: 'b' } }))
    const { exitCode, stdout, stderr } = await runQkd(['site', 'serve', '--config', path])
    expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.config.code, stdout: '' })
    expect(stderr).to.match(/^error: ERR_QKD_CONFIG: .*site\.json: \/listen\/port: must be integer \(TCP port/)
    expect(stderr).to.match(/^.*site\.json: \/tls: field "ca" is missing$/m)
  })
})

describe('examples/site-a.json and site-b.json', () => {
  it('load with the certificates that qkd pki init makes', async () => {
    await using dir = await createTempDir()
    for (const name of ['a', 'b']) {
      await initPki({
        ...{ dir: join(dir.path, 'pki'), siteId: `site-${name}`, kmeId: `kme-${name}`, saeIds: [], days: 365 },
        ...{ hosts: { dnsNames: [], ipAddresses: [] }, kmeUrl: 'https://127.0.0.1:8014', force: false },
      })
    }
    const load = async (name: string) => {
      const path = join(dir.path, name)
      await writeFile(path, await readFile(join(EXAMPLES, name)))
      const { config, warnings } = await loadSiteConfig(path)
      expect(warnings).to.deep.equal([])
      return config
    }
    const [a, b] = [await load('site-a.json'), await load('site-b.json')]
    expect(a.peers[0]).to.deep.equal({ siteId: b.siteId, kmeId: b.kmeId, saes: ['bob'], ...b.peerListen })
    expect(b.peers[0]).to.deep.equal({ siteId: a.siteId, kmeId: a.kmeId, saes: ['alice'] })
    expect([a.links[0]!.role, b.links[0]!.role]).to.deep.equal(['connect', 'listen'])
    expect(a.links[0]!.port).to.equal(b.links[0]!.port)
  })
})

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { stateOf } from '../console/events-of.ts'
import { type ConsoleSites, openConsoleSites } from '../helpers/console-sites.ts'
import { firstLine, runQkd, startQkd } from './run-qkd.ts'
import { stop } from './served-sites.ts'

describe('qkd console', function () {
  this.timeout(90_000)
  let sites: ConsoleSites
  let address: string

  const identityFile = async (name: string) => {
    for (const [part, pem] of Object.entries(sites.authority.issue(name))) {
      await writeFile(join(sites.directory, `${name}.${part}`), pem, { mode: 0o600 })
    }
    const file = join(sites.directory, `${name}.json`)
    const tls = { cert: `${name}.cert`, key: `${name}.key`, ca: `${name}.ca` }
    await writeFile(file, JSON.stringify({ tls, controllers: [{ controllerId: 'c', host: '127.0.0.1', port: 1 }] }))
    return file
  }

  before(async () => {
    sites = await openConsoleSites({
      hosts: { a: ['alice'], b: ['bob'], c: ['carl'] },
      console: { host: '127.0.0.1', port: 0, viewers: ['operator'] },
    })
    address = new URL(sites.sites.a.address.console!.url).host
  })

  after(() => sites?.[Symbol.asyncDispose]())

  it('brings the console of a site to this machine, under the certificate of a viewer', async () => {
    const child = startQkd(['console', address, '--config', await identityFile('operator'), '--json'])
    try {
      const { ready, url } = JSON.parse(await firstLine(child)) as { ready: boolean; url: string }
      expect(ready).to.equal(true)
      expect(url).to.match(/^http:\/\/127\.0\.0\.1:\d+\/$/)
      const page = await fetch(url)
      expect(page.headers.get('content-security-policy')).to.include("default-src 'none'")
      expect(await page.text()).to.include('<title>qkdkit console</title>')
      expect((await stateOf(url)).sections.about).to.include({ kind: 'site', id: 'site-a' })
      expect((await fetch(url, { method: 'POST' })).status).to.equal(405)
      expect((await fetch(new URL('events', url), { headers: { 'sec-fetch-site': 'cross-site' } })).status).to.equal(
        403,
      )
    } finally {
      expect(await stop(child)).to.equal(0)
    }
  })

  it('says who is no viewer, and where nothing answers', async () => {
    const stranger = await runQkd(['console', address, '--config', await identityFile('alice')])
    expect(stranger.exitCode).to.equal(EXIT_CODES.unauthorized.code)
    expect(stranger.stderr).to.match(/The console at .* refuses: The certificate is not one of the console's viewers/)
    const nobody = await runQkd(['console', '127.0.0.1:1', '--timeout-ms', '2000'])
    expect(nobody.exitCode).to.equal(EXIT_CODES.unreachable.code)
    expect(nobody.stderr).to.match(/No console answers at 127\.0\.0\.1:1: .*ECONNREFUSED/)
    const open = await runQkd(['console', address, '--listen', '0.0.0.0:0'])
    expect(open.exitCode).to.equal(EXIT_CODES.usage.code)
    expect(open.stderr).to.include('would be open to the network at "0.0.0.0"')
  })
})

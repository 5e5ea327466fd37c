import { expect } from 'chai'
import { createSite } from '../../lib/site.ts'
import { createServedTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'

describe('the ops port of a site', () => {
  it('says that it runs, whether it serves, and what it counts', async () => {
    await using sites = await createServedTestSites()
    // A third site that has the first as its peer and nobody to dial it.
    const [config] = sites.configs
    const peers = [{ ...config.peers[0]!, siteId: 'site-0', host: '127.0.0.1', port: 9 }]
    const listen = { host: '127.0.0.1', port: 0 }
    await using lonely = await createSite({ ...config, peers, links: [], listen, peerListen: listen, ops: listen })
    const get = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${lonely.address.ops!.port}${path}`, { method })
      return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
    }
    expect(await get('/healthz')).to.include({ status: 200, text: 'ok\n' })
    const { status, text } = await get('/readyz')
    expect(status).to.equal(503)
    expect(JSON.parse(text)).to.deep.equal({
      ready: false,
      reasons: ['the KMS of site-0 is not connected', 'there is no key for site-0'],
    })
    await until(async () => (await get('/metrics')).text.includes('qkd_pool_stock_cells'), 'gauges are there')
    const page = await get('/metrics')
    expect(page.type).to.match(/^application\/openmetrics-text; version=1\.0\.0/)
    expect(page.text.endsWith('# EOF\n')).to.equal(true)
    expect((await get('/keys')).status).to.equal(404)
    expect((await get('/metrics', 'POST')).status).to.equal(405)
  })

  it('is ready once hosts can have keys', async () => {
    await using sites = await createServedTestSites({ ops: true })
    const port = sites.sites[0].address.ops!.port
    const ready = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200
    await until(ready, 'the site is ready')
  })
})

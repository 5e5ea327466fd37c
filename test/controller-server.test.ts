import { expect } from 'chai'
import { dialTlsChannel } from '../lib/channel/tls-dial.ts'
import { createControllerServer } from '../lib/controller-server.ts'
import { createTempDir } from './helpers/temp-dir.ts'
import { createTestAuthority } from './helpers/test-certificates.ts'

describe('createControllerServer', function () {
  this.timeout(60_000)

  it('serves many nodes without a listener each at one signal, and closes them all', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    try {
      await using dir = await createTempDir()
      const authority = createTestAuthority()
      const sites = Array.from({ length: 12 }, (_, at) => ({ siteId: `s${at}`, kmeId: `kme-s${at}` }))
      const server = await createControllerServer({
        controllerId: 'controller',
        listen: { host: '127.0.0.1', port: 0 },
        tls: authority.issue('controller'),
        sites,
        operators: ['ops'],
        state: { kind: 'file', path: `${dir.path}/state` },
        periodMs: 1000,
      })
      const tls = authority.issue('ops')
      const identify = () => 'controller'
      const dial = () => dialTlsChannel({ ...tls, ...server.address, expectedPeerId: 'controller', identify })
      const channels = await Promise.all(sites.map(dial))
      for (const channel of channels) expect((await channel.receive())?.byteLength).to.be.above(0)
      await server.close()
      for (const channel of channels) expect(await channel.receive()).to.equal(undefined)
      // Warnings are told in a turn of their own.
      await new Promise(resolve => setImmediate(resolve))
      expect(warnings).to.deep.equal([])
    } finally {
      process.off('warning', onWarning)
    }
  })
})

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { createServer } from '../../integrations/tls/index.ts'
import { runQkd } from '../bin/run-qkd.ts'
import { openServedSites, type ServedSites } from '../bin/served-sites.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { PeerProcess } from '../integrations/tls/peer-process.ts'

const SUITE = ['-tls1_3', '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256', '-quiet', '-no_ign_eof']

describe('a TLS session of openssl under a key from the command line', function () {
  this.timeout(60_000)
  let sites: ServedSites
  let port: number
  let close: () => void

  before(async () => {
    sites = await openServedSites()
    const kms = await sites.kmsFor('bob')
    const server = createServer(kms, { peers: [{ saeId: 'alice', binding: 'raw' }] }, socket => {
      socket.on('error', () => {})
      socket.on('data', chunk => socket.write(`bob heard ${chunk}`))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
    close = () => server.close()
  })

  after(async () => {
    close?.()
    await sites?.close()
  })

  /** The options that `qkd key get --format openssl` prints. */
  async function drawOptions(): Promise<string[]> {
    const { exitCode, stdout, stderr } = await runQkd([
      'key',
      'get',
      'bob',
      '--config',
      sites.profile('alice'),
      '--format',
      'openssl',
    ])
    expect(exitCode, stderr).to.equal(0)
    return stdout.trim().split(' ')
  }

  function client(path: string, options: readonly string[]): PeerProcess {
    return new PeerProcess(path, ['s_client', '-connect', `127.0.0.1:${port}`, ...SUITE, ...options])
  }

  it('carries data, and the key serves once', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    const options = await drawOptions()
    await using session = client(openssl, options)
    session.write('good day\n')
    await session.printed(/bob heard good day/)
    await using again = client(openssl, options)
    await again.printed(/alert decrypt error/)
  })

  it('is refused alike with a wrong key and with an unknown identity, and without a PSK', async function () {
    const openssl = peerProgram(this, 'openssl', 'openssl')
    const [flag, identity, pskFlag, psk] = (await drawOptions()) as [string, string, string, string]
    await using wrong = client(openssl, [flag, identity, pskFlag, 'ab'.repeat(32)])
    const wrongAlert = await wrong.printed(/alert ([a-z ]+)/)
    const unknownId = identity.replace(/.{4}$/, end => (end === '0000' ? '1111' : '0000'))
    await using unknown = client(openssl, [flag, unknownId, pskFlag, psk])
    const unknownAlert = await unknown.printed(/alert ([a-z ]+)/)
    expect(wrongAlert[1]).to.equal('decrypt error')
    expect(unknownAlert[1]).to.equal(wrongAlert[1])
    await using none = client(openssl, [])
    await none.printed(/alert handshake failure/)
    await using right = client(openssl, [flag, identity, pskFlag, psk])
    right.write('still mine\n')
    await right.printed(/bob heard still mine/)
  })
})

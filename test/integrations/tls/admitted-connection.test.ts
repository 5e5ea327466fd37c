import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { expect } from 'chai'
import { PskConnection } from '../../../integrations/tls/admitted-connection.ts'
import { QuarantinedKey } from '../../../integrations/tls/key-quarantine.ts'
import { SecretKey } from '../../../lib/index.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { createTlsPair, next, watchServer } from './tls-pair.ts'

describe('PskConnection', () => {
  it('gives its key to one socket, for its own identity, until it ends', async () => {
    await using pair = await createTlsPair()
    const client = await pair.connect()
    const [one, other] = [await next(pair.sessions), client]
    const connection = createConnection()
    expect(connection.pskFor(one, 'q1~alice~other')).to.equal(null)
    expect(connection.pskFor(one, 'q1~alice~id')).to.have.length(32)
    expect(connection.pskFor(other, 'q1~alice~id')).to.equal(null)
    connection.end()
    expect(connection.pskFor(one, 'q1~alice~id')).to.equal(null)
    client.destroy()
  })

  it('confirms no session but the one that took its key', async () => {
    await using pair = await createTlsPair()
    const client = await pair.connect()
    const session = await next(pair.sessions)
    const [never, another, ended] = [createConnection(), createConnection(), createConnection()]
    another.pskFor(client, 'q1~alice~id')
    ended.pskFor(session, 'q1~alice~id')
    ended.end()
    for (const connection of [never, another, ended]) {
      expect(() => connection.confirm(session)).to.throw('without the key')
      connection.end()
    }
    client.destroy()
  })

  it('confirms no session that does not stand on its key, though it took it', async () => {
    const credentials = createTestAuthority().issue('bob.example')
    await using watched = await watchServer(createTlsServer(credentials))
    const client = connectTls({ host: '127.0.0.1', port: watched.port, ca: credentials.ca })
    const session = await next(watched.sessions)
    const connection = createConnection()
    connection.pskFor(session, 'q1~alice~id')
    expect(() => connection.confirm(session)).to.throw('without the pre-shared key')
    connection.end()
    client.destroy()
  })
})

function createConnection(): PskConnection {
  const key = new QuarantinedKey({ psk: SecretKey.random(32), level: 'quantum' }, 10_000, () => {})
  key.claim()
  return new PskConnection({
    masterSaeId: 'alice',
    slaveSaeId: 'bob',
    keyId: 'id',
    binding: 'role',
    identity: 'q1~alice~id',
    group: undefined,
    key,
  })
}

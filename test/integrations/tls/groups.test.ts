import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { connect, createServer, qkdInfo, serverOptions } from '../../../integrations/tls/index.ts'
import { tlsGroups } from '../../../lib/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createKmsPair } from './kms-pair.ts'
import { drawTls12Options } from './plain-client.ts'
import { captureHello, sendRaw } from './raw-peer.ts'
import { createTlsPair, next, type TlsPair } from './tls-pair.ts'

/** Numbers of groups and extensions as they stand on the wire (IANA TLS parameters). */
const X25519 = 0x001d
const X25519_MLKEM768 = 0x11ec
const KEY_SHARE = 51
const PRE_SHARED_KEY = 41
const HELLO_RETRY_REQUEST = 'cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c'

const hasHybrid = tlsGroups().includes('MLKEM')

describe('the key exchange group', () => {
  it(`is ${hasHybrid ? 'X25519MLKEM768' : 'X25519'} on the wire, beside the key, with nothing to set`, async () => {
    await using pair = await createTlsPair()
    const { hello, serverHello } = await record(pair, port => pair.connect({ port }))
    const shares = keyShares(hello)
    const expected = hasHybrid ? X25519_MLKEM768 : X25519
    expect(serverHello.get(KEY_SHARE)!.readUInt16BE(0)).to.equal(expected)
    expect(serverHello.get(PRE_SHARED_KEY)!.toString('hex')).to.equal('0000')
    // An ML-KEM-768 ciphertext and an X25519 share; the client sends both, so that an older server costs no round trip.
    expect(serverHello.get(KEY_SHARE)!.readUInt16BE(2)).to.equal(hasHybrid ? 1088 + 32 : 32)
    expect(shares).to.deep.equal(hasHybrid ? [X25519_MLKEM768, X25519] : [X25519])
  })

  it('is the one that is required, on the wire too', async () => {
    for (const [requireGroup, number] of [
      ['P-384', 24],
      ...(hasHybrid ? [['X25519MLKEM768', X25519_MLKEM768] as const] : []),
    ] as const) {
      await using pair = await createTlsPair({ requireGroup })
      const { hello, serverHello, ...ends } = await record(pair, port => pair.connect({ port, requireGroup }))
      expect(keyShares(hello)).to.deep.equal([number])
      expect(serverHello.get(KEY_SHARE)!.readUInt16BE(0)).to.equal(number)
      for (const end of [ends.client, ends.server]) expect(qkdInfo(end)!.group).to.equal(requireGroup)
    }
  })

  it('is X25519 with a peer that has no ML-KEM', async () => {
    await using pair = await createTlsPair({ ecdhCurve: 'X25519' })
    const { serverHello, client } = await record(pair, port => pair.connect({ port }))
    expect(serverHello.get(KEY_SHARE)!.readUInt16BE(0)).to.equal(X25519)
    expect(qkdInfo(client)!.group).to.equal('X25519')
  })
})

describe('requireGroup', () => {
  const better = hasHybrid ? 'X25519MLKEM768' : 'P-384'

  it('fails at the client, with a typed error, where the server has not the group', async () => {
    await using pair = await createTlsPair({ ecdhCurve: 'X25519' })
    const error = await rejectsWith(pair.connect({ requireGroup: better }), 'ERR_QKD_PSK_HANDSHAKE')
    expect(error.details).to.deep.equal([{ alert: 40 }])
    expect(error.message).to.include(better)
    expect((await next(pair.refusals)).reason).to.equal('handshake')
  })

  it('fails at the server, with a typed error and no look-up, where the client does not offer the group', async () => {
    await using pair = await createTlsPair({ requireGroup: better })
    const error = await rejectsWith(pair.connect({ requireGroup: 'X25519' }), 'ERR_QKD_PSK_HANDSHAKE')
    expect(error.details).to.deep.equal([{ alert: 40 }])
    expect(await next(pair.refusals)).to.include({ code: 'ERR_QKD_PSK_HANDSHAKE', reason: 'unsuitable' })
    expect(pair.bob.fetches).to.equal(0)
  })

  it('is held to in TLS 1.2 as well', async () => {
    await using pair = await createTlsPair({ minVersion: 'TLSv1.2', requireGroup: 'P-384' })
    const { options } = await drawTls12Options(pair.alice)
    await captureAndRefuse(pair, { ...options, ecdhCurve: 'X25519' })
    expect(pair.bob.fetches).to.equal(0)
  })

  it('asks for nothing that can not be: an unknown group, or ML-KEM in TLS 1.2', async () => {
    const { alice, bob } = await createKmsPair()
    const cases: [object, string][] = [
      [{ requireGroup: 'no-such-group' }, 'not known'],
      [{ requireGroup: 'X25519MLKEM768', minVersion: 'TLSv1.2' }, hasHybrid ? 'TLS 1.2' : 'requireGroup'],
      ...(hasHybrid ? [] : ([[{ requireGroup: 'X25519MLKEM768' }, 'Node 24']] as [object, string][])),
    ]
    for (const [options, message] of cases) {
      const failed = await rejectsWith(
        connect(alice, { peerSaeId: 'bob', port: 1, ...options }),
        'ERR_QKD_INVALID_ARGUMENT',
      )
      expect(failed.message).to.include(message)
      expect(() => createServer(bob, { peers: [{ saeId: 'alice' }], ...options })).to.throw(message)
      expect(() => createTlsServer(serverOptions(options))).to.throw(message)
    }
  })
})

/** What a handshake through a recorder left. */
interface Recording {
  readonly client: TLSSocket
  readonly server: TLSSocket
  /** The ClientHello's extensions by their numbers. */
  readonly hello: ReadonlyMap<number, Buffer>
  /** The ServerHello's. */
  readonly serverHello: ReadonlyMap<number, Buffer>
}

/** Makes a connection with a recorder in its way, and reads what was said before encryption began. */
async function record(pair: TlsPair, dial: (port: number) => Promise<TLSSocket>): Promise<Recording> {
  const [up, down]: [Buffer[], Buffer[]] = [[], []]
  const recorder = createTcpServer(client => {
    const server = connectTcp({ port: pair.port, host: '127.0.0.1' })
    client.on('data', chunk => up.push(chunk)).pipe(server)
    server.on('data', chunk => down.push(chunk)).pipe(client)
    client.on('error', () => {}).on('close', () => server.destroy())
    server.on('error', () => {}).on('close', () => client.destroy())
  })
  recorder.listen(0, '127.0.0.1')
  await once(recorder, 'listening')
  const client = await dial((recorder.address() as AddressInfo).port)
  const server = await next(pair.sessions)
  client.on('error', () => {}).destroy()
  recorder.close()
  await once(recorder, 'close')
  return { client, server, hello: extensionsOf(firstRecord(up)), serverHello: extensionsOf(firstRecord(down)) }
}

function firstRecord(chunks: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(chunks)
  expect(bytes[0]).to.equal(22)
  return bytes.subarray(5, 5 + bytes.readUInt16BE(3))
}

/** The extensions of a ClientHello or ServerHello message. */
function extensionsOf(message: Buffer): Map<number, Buffer> {
  expect(message.toString('hex', 6, 38)).not.to.equal(HELLO_RETRY_REQUEST)
  let at = 4 + 2 + 32
  at += 1 + message[at]!
  if (message[0] === 1) {
    at += 2 + message.readUInt16BE(at)
    at += 1 + message[at]!
  } else {
    at += 3
  }
  const extensions = new Map<number, Buffer>()
  for (at += 2; at < message.byteLength; ) {
    const [type, size] = [message.readUInt16BE(at), message.readUInt16BE(at + 2)]
    extensions.set(type, message.subarray(at + 4, at + 4 + size))
    at += 4 + size
  }
  return extensions
}

/** The groups for which a client sends a share. */
function keyShares(hello: ReadonlyMap<number, Buffer>): number[] {
  const shares = hello.get(KEY_SHARE)!
  const groups: number[] = []
  for (let at = 2; at < shares.byteLength; at += 4 + shares.readUInt16BE(at + 2)) groups.push(shares.readUInt16BE(at))
  return groups
}

async function captureAndRefuse(pair: TlsPair, options: Parameters<typeof captureHello>[0]): Promise<void> {
  expect((await sendRaw(pair.port, await captureHello(options))).alert).to.equal(40)
  expect((await next(pair.refusals)).reason).to.equal('unsuitable')
}

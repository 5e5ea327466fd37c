import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { expect } from 'chai'
import {
  connect,
  createServer,
  createTunnelEntry,
  createTunnelExit,
  openTunnel,
} from '../../../../integrations/tls/index.ts'
import { resetSocket } from '../../../../integrations/tls/tunnel/reset-socket.ts'
import { TUNNEL_PROTOCOL } from '../../../../integrations/tls/tunnel/tunnel-stream.ts'
import { exportKey } from '../../../../lib/index.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { until } from '../../../helpers/until.ts'
import { createKmsPair } from '../kms-pair.ts'
import { drawTls12Options, tls12Options } from '../plain-client.ts'
import { next, readAll, watchServer } from '../tls-pair.ts'
import { WatchedKms } from '../watched-kms.ts'
import { createTarget, createTunnelPair, endingOf } from './tunnel-pair.ts'

describe('Tunnel', () => {
  it('carries 100 connections at once, each under a key of its own', async () => {
    const kms = await createKmsPair()
    const alice = new WatchedKms(kms.alice)
    await using pair = await createTunnelPair({ alice, exit: { maxPending: 256, maxPendingPerAddress: 256 } })
    pair.target.server.on('connection', socket => socket.pipe(socket))
    const echoes = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const socket = await pair.dial()
        socket.end(`connection ${i}`)
        return (await readAll(socket)).toString()
      }),
    )
    expect(echoes).to.deep.equal(Array.from({ length: 100 }, (_, i) => `connection ${i}`))
    expect(new Set(alice.keys.map(({ keyId }) => keyId)).size).to.equal(100)
    await until(() => pair.entry.counters().open + pair.exit.counters().open === 0, 'all are over')
    const bytes = echoes.join('').length
    const counters = { accepted: 100, open: 0, completed: 100, reset: 0, failed: 0, refused: 0 }
    expect(pair.entry.counters()).to.deep.equal({ ...counters, bytesIn: bytes, bytesOut: bytes })
    expect(pair.exit.counters()).to.deep.equal({ ...counters, bytesIn: bytes, bytesOut: bytes })
  })

  it('leaves the other direction open when the program ends its own, and when the target does', async () => {
    await using pair = await createTunnelPair()
    for (const order of [0, 1] as const) {
      const ends = await pair.open()
      const [first, second] = [ends[order], ends[1 - order]!]
      first.end('the question')
      expect((await readAll(second)).toString()).to.equal('the question')
      second.write('the answer')
      await turn()
      second.end(', late')
      expect((await readAll(first)).toString()).to.equal('the answer, late')
    }
    await until(() => pair.entry.counters().completed === 2 && pair.exit.counters().completed === 2, 'both ended')
  })

  it('carries 20 MB each way at once to readers that are slow, and holds little of it', async () => {
    await using pair = await createTunnelPair()
    const [program, target] = await pair.open()
    const [there, back] = [randomBytes(20_000_000), randomBytes(20_000_000)]
    // Nobody reads yet: what is taken in stays far below what was sent.
    program.end(there)
    target.end(back)
    const taken = () => pair.entry.counters().bytesIn + pair.exit.counters().bytesIn
    let before = -1
    while (before !== taken() || taken() === 0) {
      before = taken()
      for (let i = 0; i < 200; i += 1) await turn()
    }
    const [got, answered] = await Promise.all([readSlowly(target), readSlowly(program)])
    expect(got).to.equal(hashOf(there))
    expect(answered).to.equal(hashOf(back))
    expect(before).to.be.below(30_000_000)
    await until(() => pair.entry.counters().completed === 1 && pair.exit.counters().completed === 1, 'both ended')
  })

  it('resets one end when the other is reset in mid-stream, and never ends it', async () => {
    await using pair = await createTunnelPair()
    for (const order of [0, 1] as const) {
      const ends = await pair.open()
      const [first, second] = [ends[order], ends[1 - order]!]
      first.write('half a mess')
      await once(second, 'data')
      resetSocket(first)
      expect(await endingOf(second)).to.equal('ECONNRESET')
    }
    await until(() => pair.entry.counters().reset === 2 && pair.exit.counters().reset === 2, 'both count it')
  })

  it('takes data with a reset on its heels for no end', async () => {
    await using pair = await createTunnelPair()
    for (let i = 0; i < 20; i += 1) {
      const [program, target] = await pair.open()
      program.write('half a message')
      setImmediate(() => resetSocket(program))
      expect(await endingOf(target)).to.equal('ECONNRESET')
    }
    await until(() => pair.entry.counters().reset === 20 && pair.exit.counters().reset === 20, 'both count it')
  })

  it('resets both ends when the path between is cut with a FIN, which is how a killed process goes', async () => {
    const path: Socket[] = []
    let exitPort = 0
    const middle = createTcpServer(near => {
      const far = connectTcp({ host: '127.0.0.1', port: exitPort })
      for (const socket of [near, far]) path.push(socket.on('error', () => {}))
      near.pipe(far)
      far.pipe(near)
    })
    middle.listen(0, '127.0.0.1')
    await once(middle, 'listening')
    const { port } = middle.address() as AddressInfo
    await using pair = await createTunnelPair({ entry: { connect: { host: '127.0.0.1', port } } })
    exitPort = pair.exitPort
    const [program, target] = await pair.open()
    program.write('half a mess')
    await once(target, 'data')
    for (const socket of path) socket.unpipe().end()
    expect(await Promise.all([endingOf(program), endingOf(target)])).to.deep.equal(['ECONNRESET', 'ECONNRESET'])
    middle.close()
  })

  it('resets the program where the target is down, and works again when that is up', async () => {
    await using pair = await createTunnelPair()
    const { port } = pair.target
    await pair.target[Symbol.asyncDispose]()
    expect(await endingOf(await pair.dial())).to.equal('ECONNRESET')
    await until(() => pair.exit.counters().failed === 1, 'the exit counts it')
    await using again = await createTarget(port)
    const program = await pair.dial()
    const target = await next(again.sockets)
    program.end('hello')
    expect((await readAll(target)).toString()).to.equal('hello')
  })

  it('resets the program where there is no exit, and works again when there is', async () => {
    await using pair = await createTunnelPair()
    await pair.exit.close()
    expect(await endingOf(await pair.dial())).to.equal('ECONNRESET')
    expect(pair.entry.counters()).to.include({ accepted: 1, failed: 1 })
    const { bob } = await createKmsPair()
    await using again = createTunnelExit(bob, {
      listen: { port: pair.exitPort },
      connect: { host: '127.0.0.1', port: pair.target.port },
      peers: [{ saeId: 'alice' }],
      drainMs: 0,
    })
    await again.listen()
    const [program, target] = await pair.open()
    program.end('hello')
    expect((await readAll(target)).toString()).to.equal('hello')
  })

  it('lets nobody in who is not among the peers, and goes to nobody but its own', async () => {
    const { carol } = await createKmsPair()
    for (const options of [{ exit: { peers: [{ saeId: 'carol' }] } }, { bob: carol }]) {
      await using pair = await createTunnelPair(options)
      expect(await endingOf(await pair.dial())).to.equal('ECONNRESET')
      await until(() => pair.exit.counters().failed === 1, 'the exit counts it')
      expect(pair.entry.counters()).to.include({ failed: 1, completed: 0 })
      expect(pair.target.sockets.size).to.equal(0)
    }
  })

  it('refuses an end of its own SAE that speaks no frames', async () => {
    const { alice, bob } = await createKmsPair()
    await using pair = await createTunnelPair()
    const session = await connect(alice, { peerSaeId: 'bob', host: '127.0.0.1', port: pair.exitPort })
    session.on('error', () => {}).resume()
    await once(session, 'close')
    await using watched = await watchServer(createServer(bob, { peers: [{ saeId: 'alice' }] }))
    const opening = openTunnel(alice, { peerSaeId: 'bob', connect: { host: '127.0.0.1', port: watched.port } })
    await rejectsWith(opening, 'ERR_QKD_PROTOCOL')
  })

  it('cuts a peer that goes on after its end', async () => {
    const { alice } = await createKmsPair()
    await using pair = await createTunnelPair()
    const to = { host: '127.0.0.1', port: pair.exitPort, ALPNProtocols: [TUNNEL_PROTOCOL] }
    const session = await connect(alice, { peerSaeId: 'bob', ...to })
    session.on('error', () => {}).resume()
    session.write(Buffer.of(0, 0, 0, 2, 65, 66, 0, 0, 0, 0, 0))
    expect(await endingOf(await next(pair.target.sockets))).to.equal('ECONNRESET')
    await until(() => pair.exit.counters().reset === 1, 'the exit counts it')
  })

  it('reads frames that come byte by byte', async () => {
    const { alice } = await createKmsPair()
    await using pair = await createTunnelPair()
    const to = { host: '127.0.0.1', port: pair.exitPort, ALPNProtocols: [TUNNEL_PROTOCOL] }
    const session = await connect(alice, { peerSaeId: 'bob', ...to })
    session.on('error', () => {})
    for (const byte of Buffer.of(0, 0, 0, 2, 65, 66, 0, 0, 0, 1, 67, 0, 0, 0, 0)) session.write(Buffer.of(byte))
    const target = await next(pair.target.sockets)
    expect((await readAll(target)).toString()).to.equal('ABC')
    target.end('D')
    const [frames] = await Promise.all([readAll(session), once(session, 'end')])
    expect([...frames]).to.deep.equal([0, 0, 0, 1, 68, 0, 0, 0, 0])
    session.destroy()
  })

  it('speaks plain TLS with a foreign server, and with a foreign client', async () => {
    const { alice, bob } = await createKmsPair()
    const echo = createServer(bob, { peers: [{ saeId: 'alice', binding: 'raw' }] }, socket => socket.pipe(socket))
    await using watched = await watchServer(echo)
    await using pair = await createTunnelPair({
      entry: { binding: 'raw', connect: { host: '127.0.0.1', port: watched.port } },
      exit: { peers: [{ saeId: 'alice', binding: 'raw' }] },
    })
    const program = await pair.dial()
    program.end('to a foreign server')
    expect((await readAll(program)).toString()).to.equal('to a foreign server')
    const session = await connect(alice, { peerSaeId: 'bob', host: '127.0.0.1', port: pair.exitPort, binding: 'raw' })
    session.on('error', () => {}).end('from a foreign client')
    expect((await readAll(await next(pair.target.sockets))).toString()).to.equal('from a foreign client')
  })

  it('speaks TLS 1.2 where it is told to, at both ends', async () => {
    const { alice } = await createKmsPair()
    const tls12 = { minVersion: 'TLSv1.2' } as const
    await using pair = await createTunnelPair({
      entry: tls12,
      exit: { peers: [{ saeId: 'alice', binding: 'raw' }], ...tls12 },
    })
    const { key, identity } = await drawTls12Options(alice)
    const client = connectTls({
      host: '127.0.0.1',
      port: pair.exitPort,
      ...tls12Options(identity, exportKey(key.secret)),
    })
    client.on('error', () => {}).end('from a client of TLS 1.2')
    expect(String(await readAll(await next(pair.target.sockets)))).to.equal('from a client of TLS 1.2')
    client.destroy()
  })

  it('resets connections over its number at once, and takes others when one has ended', async () => {
    await using pair = await createTunnelPair({ entry: { maxConnections: 1 } })
    const [program, target] = await pair.open()
    expect(await endingOf(connectTcp({ host: '127.0.0.1', port: pair.entryPort }))).to.equal('ECONNRESET')
    expect(pair.entry.counters()).to.include({ accepted: 1, open: 1, refused: 1 })
    program.end()
    target.resume().end()
    program.resume()
    await until(() => pair.entry.counters().open === 0, 'the first has ended')
    await pair.open()
  })

  it('waits on close for connections to end, and takes no others', async () => {
    await using pair = await createTunnelPair({ entry: { drainMs: 60_000 }, exit: { drainMs: 60_000 } })
    const [program, target] = await pair.open()
    const closing = Promise.all([pair.entry.close(), pair.exit.close()])
    expect((await connectTcpError(pair.entryPort)).code).to.equal('ECONNREFUSED')
    program.end('the last words')
    expect((await readAll(target)).toString()).to.equal('the last words')
    target.end('heard')
    expect((await readAll(program)).toString()).to.equal('heard')
    await closing
    expect(pair.entry.counters()).to.include({ open: 0, completed: 1, reset: 0 })
    await rejectsWith(pair.entry.listen(), 'ERR_QKD_CLOSED')
  })

  it('waits for nobody who has left before the session stood', async () => {
    await using pair = await createTunnelPair({ entry: { drainMs: 60_000 }, exit: { drainMs: 60_000 } })
    pair.target.server.on('connection', socket => socket.pipe(socket))
    for (let i = 0; i < 20; i += 1) (await pair.dial()).destroy()
    await until(() => pair.entry.counters().accepted === 20, 'all were taken')
    await Promise.all([pair.entry.close(), pair.exit.close()])
    expect(pair.entry.counters()).to.include({ accepted: 20, open: 0 })
  })

  it('resets what is still open when the time to drain is over, and when the caller can wait no longer', async () => {
    for (const drainMs of [50, 60_000]) {
      await using pair = await createTunnelPair({ entry: { drainMs } })
      const [program, target] = await pair.open()
      const stop = new AbortController()
      const closing = pair.entry.close({ signal: stop.signal })
      if (drainMs > 50) stop.abort()
      expect(await Promise.all([endingOf(program), endingOf(target)])).to.deep.equal(['ECONNRESET', 'ECONNRESET'])
      await closing
      expect(pair.entry.counters()).to.include({ open: 0, reset: 1 })
    }
  })

  it('tells the target who connected, ahead of the first byte', async () => {
    await using pair = await createTunnelPair({ exit: { proxyProtocol: true } })
    const [program, target] = await pair.open()
    program.end('hello')
    const bytes = await readAll(target)
    expect(bytes.subarray(0, 24).toString('hex')).to.equal('0d0a0d0a000d0a515549540a2111000c7f0000017f000001')
    expect(bytes.readUInt16BE(26)).to.equal(pair.exitPort)
    expect(bytes.subarray(28).toString()).to.equal('hello')
  })

  it('resets at once what a reader who never reads keeps waiting', async () => {
    await using pair = await createTunnelPair()
    const [program, target] = await pair.open()
    target.pause()
    program.write(randomBytes(20_000_000))
    await until(() => pair.exit.counters().bytesOut > 0 && program.writableNeedDrain, 'the way is full')
    await Promise.all([pair.entry.close(), pair.exit.close()])
    expect(await endingOf(target)).to.equal('ECONNRESET')
  })

  it('draws keys ahead where it is asked to', async () => {
    const kms = await createKmsPair()
    const alice = new WatchedKms(kms.alice)
    await using pair = await createTunnelPair({ alice, entry: { prefetch: { keys: 2, maxAgeMs: 60_000 } } })
    await pair.open()
    await until(() => alice.keys.length === 3, 'two more wait')
    await pair.entry.close()
    expect(alice.keys.slice(1).map(({ secret }) => secret.wiped)).to.deep.equal([true, true])
  })

  it('names the option that is wrong, before it does anything', async () => {
    const { alice, bob } = await createKmsPair()
    const connectTo = { host: '127.0.0.1', port: 1 }
    const wrong = [
      { connect: { host: '127.0.0.1', port: 0 }, name: 'connect.port' },
      { connect: { host: '', port: 1 }, name: 'connect.host' },
      { listen: { port: 65_536 }, name: 'listen.port' },
      { maxConnections: 0, name: 'maxConnections' },
      { drainMs: -1, name: 'drainMs' },
    ]
    for (const { name, ...options } of wrong) {
      expect(() => createTunnelEntry(alice, { connect: connectTo, peerSaeId: 'bob', ...options })).to.throw(name)
      expect(() => createTunnelExit(bob, { connect: connectTo, peers: [{ saeId: 'alice' }], ...options })).to.throw(
        name,
      )
    }
    expect(() => createTunnelEntry(alice, { connect: connectTo, peerSaeId: 'alice' })).to.throw('peerSaeId')
    expect(() => createTunnelExit(bob, { connect: connectTo, peers: [] })).to.throw('peers')
  })
})

describe('openTunnel', () => {
  it('gives one connection without a port', async () => {
    const { alice } = await createKmsPair()
    await using pair = await createTunnelPair()
    const stream = await openTunnel(alice, { peerSaeId: 'bob', connect: { host: '127.0.0.1', port: pair.exitPort } })
    const target = await next(pair.target.sockets)
    stream.end('hello')
    expect((await readAll(target)).toString()).to.equal('hello')
    target.end('you')
    expect((await readAll(stream)).toString()).to.equal('you')
    if (!stream.closed) await once(stream, 'close')
  })

  it('fails where the connection is cut', async () => {
    const { alice } = await createKmsPair()
    await using pair = await createTunnelPair()
    const stream = await openTunnel(alice, { peerSaeId: 'bob', connect: { host: '127.0.0.1', port: pair.exitPort } })
    const failure = once(stream.resume(), 'end').catch(error => error)
    resetSocket(await next(pair.target.sockets))
    expect((await failure).code).to.be.oneOf(['ERR_QKD_CLOSED', 'ECONNRESET'])
  })
})

async function connectTcpError(port: number): Promise<NodeJS.ErrnoException> {
  const [error] = (await once(connectTcp({ host: '127.0.0.1', port }), 'error')) as [Error]
  return error
}

/** The hash of everything that comes, read in small bites with turns of the event loop between. */
async function readSlowly(socket: Socket): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of socket) {
    hash.update(chunk)
    await turn()
  }
  return hash.digest('hex')
}

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

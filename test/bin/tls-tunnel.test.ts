import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer, type Server } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { AsyncQueue } from '../../lib/util/async-queue.ts'
import { qkdCommandLine, runQkd } from './run-qkd.ts'
import { openServedSites, type ServedSites, stop } from './served-sites.ts'

/** `qkd tls tunnel` as a process, once it listens. */
interface RunningTunnel {
  readonly child: ChildProcessWithoutNullStreams
  readonly port: number
  /** The lines that it writes to standard output, after the first. */
  readonly lines: AsyncQueue<string>
}

describe('qkd tls tunnel', function () {
  // Each case starts several processes.
  this.timeout(120_000)

  let sites: ServedSites
  let target: Server
  let targetPort: number
  const children: ChildProcessWithoutNullStreams[] = []
  before(async () => {
    sites = await openServedSites()
    // Answers when it has heard everything, which only a half-closed connection can carry.
    target = createServer({ allowHalfOpen: true }, async socket => {
      socket.on('error', () => {})
      const chunks: Buffer[] = []
      for await (const chunk of socket.iterator({ destroyOnReturn: false })) chunks.push(chunk)
      socket.end(Buffer.concat(chunks).toString().toUpperCase())
    })
    target.listen(0, '127.0.0.1')
    await once(target, 'listening')
    targetPort = (target.address() as AddressInfo).port
  })
  afterEach(async () => {
    await Promise.all(children.splice(0).map(stop))
  })
  after(async () => {
    target?.close()
    await sites?.close()
  })

  function start(saeId: string, ...args: string[]): ChildProcessWithoutNullStreams {
    const [program, ...words] = qkdCommandLine(['tls', 'tunnel', '--config', sites.profile(saeId), ...args])
    const child = spawn(program, words)
    children.push(child)
    return child
  }

  async function listenAs(saeId: string, ...args: string[]): Promise<RunningTunnel> {
    const child = start(saeId, '--json', ...args)
    const lines = new AsyncQueue<string>()
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n')
      rest = parts.pop()!
      for (const part of parts) lines.push(part)
    })
    const ready = JSON.parse(await line(lines))
    expect(ready).to.include({ ready: true, pid: child.pid })
    return { child, port: ready.listening.port, lines }
  }
  const exitAsBob = (peer = 'alice') =>
    listenAs('bob', '--accept', '127.0.0.1:0', '--connect', `127.0.0.1:${targetPort}`, '--peer', peer)
  const entryAsAlice = ({ port }: { port: number }, ...args: string[]) =>
    listenAs('alice', '--listen', '127.0.0.1:0', '--connect', `127.0.0.1:${port}`, '--peer', 'bob', ...args)

  it('carries connections between two processes, and ends with its counters at SIGTERM', async () => {
    const exit = await exitAsBob()
    const entry = await entryAsAlice(exit)
    for (const word of ['one', 'two']) expect(await ask(entry.port, word)).to.equal(word.toUpperCase())
    for (const { child, lines } of [entry, exit]) {
      expect(await stop(child)).to.equal(0)
      expect(JSON.parse(await line(lines)).counters).to.deep.equal({
        ...{ accepted: 2, open: 0, completed: 2, reset: 0, failed: 0, refused: 0 },
        ...{ bytesIn: 6, bytesOut: 6 },
      })
    }
  })

  it('takes a foreign client of TLS 1.2 where it is told to', async () => {
    const address = ['--accept', '127.0.0.1:0', '--connect', `127.0.0.1:${targetPort}`, '--peer', 'alice']
    const suites = ['--min-version', 'TLSv1.2', '--tls12-suites', 'PSK-AES256-GCM-SHA384']
    const exit = await listenAs('bob', '--binding', 'raw', ...address, ...suites)
    const { stdout } = await runQkd(['key', 'get', 'bob', '--json', '--config', sites.profile('alice')])
    const [{ keyId, key }] = JSON.parse(stdout).keys
    const socket = connectTls({
      host: '127.0.0.1',
      port: exit.port,
      maxVersion: 'TLSv1.2',
      ciphers: 'PSK-AES256-GCM-SHA384',
      checkServerIdentity: () => undefined,
      pskCallback: () => ({ identity: `q1~alice~${keyId}`, psk: Buffer.from(key, 'base64') }),
    })
    await once(socket, 'secureConnect')
    socket.destroy()
  })

  it('lets what is open end after SIGTERM', async () => {
    const exit = await exitAsBob()
    const entry = await entryAsAlice(exit)
    const arrived = once(target, 'connection')
    const socket = connectTcp({ port: entry.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.write('before, ')
    await arrived
    const ended = [stop(entry.child), stop(exit.child)]
    await refused(entry.port)
    socket.end('after')
    expect((await socket.setEncoding('utf8').toArray()).join('')).to.equal('BEFORE, AFTER')
    expect(await Promise.all(ended)).to.deep.equal([0, 0])
  })

  it('resets its programs when the process at the other end is killed', async () => {
    const exit = await exitAsBob()
    const entry = await entryAsAlice(exit)
    const arrived = once(target, 'connection')
    const socket = connectTcp({ port: entry.port, host: '127.0.0.1' })
    socket.write('half a mess')
    await arrived
    exit.child.kill('SIGKILL')
    const outcome = await Promise.race([
      once(socket.resume(), 'end').then(
        () => 'end',
        error => error.code,
      ),
    ])
    expect(outcome).to.equal('ECONNRESET')
  })

  it('carries standard input and output, as ssh wants of a ProxyCommand', async () => {
    const exit = await exitAsBob()
    const child = start('alice', '--stdio', '--connect', `127.0.0.1:${exit.port}`, '--peer', 'bob')
    const closed = once(child, 'close')
    child.stdin.end('through a pipe')
    const [stdout, stderr] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()])
    expect(Buffer.concat(stdout).toString()).to.equal('THROUGH A PIPE')
    expect(Buffer.concat(stderr).toString()).to.equal('')
    expect((await closed)[0]).to.equal(0)
  })

  it('ends with standard input open when the server has ended', async () => {
    const greeter = createServer(socket => socket.end('not today'))
    greeter.listen(0, '127.0.0.1')
    await once(greeter, 'listening')
    const { port } = greeter.address() as AddressInfo
    const exit = await listenAs(
      ...(['bob', '--accept', '127.0.0.1:0', '--connect', `127.0.0.1:${port}`, '--peer', 'alice'] as const),
    )
    const child = start('alice', '--stdio', '--connect', `127.0.0.1:${exit.port}`, '--peer', 'bob')
    const closed = once(child, 'close')
    expect(Buffer.concat(await child.stdout.toArray()).toString()).to.equal('not today')
    expect((await closed)[0]).to.equal(0)
    greeter.close()
  })

  it('says why a connection failed, and fails with standard input where nothing came about', async () => {
    const exit = await exitAsBob('mallory')
    const child = start('alice', '--json', '--stdio', '--connect', `127.0.0.1:${exit.port}`, '--peer', 'bob')
    child.stdin.end()
    const [stderr, [exitCode]] = await Promise.all([child.stderr.toArray(), once(child, 'close')])
    expect(exitCode).to.equal(EXIT_CODES.handshake.code)
    expect(JSON.parse(Buffer.concat(stderr).toString()).error.code).to.equal('ERR_QKD_PSK_HANDSHAKE')
  })

  it('refuses a command line that is incomplete or contradicts itself', async () => {
    for (const args of [
      ['--peer', 'bob', '--connect', '127.0.0.1:1'],
      ['--peer', 'bob', '--connect', '127.0.0.1:0', '--listen', '127.0.0.1:0'],
      ['--peer', 'bob', '--connect', '127.0.0.1:1', '--listen', '127.0.0.1:0', '--accept', '127.0.0.1:0'],
      ['--peer', 'bob', '--connect', '127.0.0.1:1', '--listen', '127.0.0.1:0', '--stdio'],
      ['--peer', 'bob', '--peer', 'carol', '--connect', '127.0.0.1:1', '--listen', '127.0.0.1:0'],
      ['--peer', 'bob', '--connect', '127.0.0.1:1', '--listen', '127.0.0.1:0', '--proxy-protocol'],
      ['--peer', 'bob', '--connect', '127.0.0.1:1', '--accept', '127.0.0.1:0', '--level', 'quantum'],
      ['--peer', 'bob', '--connect', '127.0.0.1:1', '--listen', '127.0.0.1:0', '--max-connections', '0'],
      ['--peer', 'bob', '--connect', '127.0.0.1:1', '--listen', '127.0.0.1:0', '--tls12-suites', 'PSK-AES256-CCM'],
      ['--peer', 'bob', '--connect', 'nowhere', '--listen', '127.0.0.1:0'],
      ['--connect', '127.0.0.1:1', '--listen', '127.0.0.1:0'],
    ]) {
      const { exitCode, stdout } = await runQkd(['tls', 'tunnel', ...args, '--config', sites.profile('alice')])
      expect({ exitCode, stdout }, args.join(' ')).to.deep.equal({ exitCode: EXIT_CODES.usage.code, stdout: '' })
    }
  })
})

async function line(lines: AsyncQueue<string>): Promise<string> {
  return (await lines.take({ signal: AbortSignal.timeout(30_000) }))!
}

/** Sends `words`, ends, and gives the answer. */
async function ask(port: number, words: string): Promise<string> {
  const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end(words)
  return (await socket.setEncoding('utf8').toArray()).join('')
}

/** Resolves when nobody listens at the port any more. */
async function refused(port: number): Promise<void> {
  for (;;) {
    const socket = connectTcp({ port, host: '127.0.0.1' })
    try {
      await once(socket, 'connect')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return
    }
    socket.on('error', () => {}).destroy()
  }
}

import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { CommandSink } from '../../lib/alarms/sinks/command-sink.ts'
import { SinkQueue, type SinkQueueOptions } from '../../lib/alarms/sinks/sink-queue.ts'
import { syslogMessage } from '../../lib/alarms/sinks/syslog-message.ts'
import { SyslogSink } from '../../lib/alarms/sinks/syslog-sink.ts'
import { WebhookSink } from '../../lib/alarms/sinks/webhook-sink.ts'
import type { AlarmNotice, AlarmSink } from '../../lib/interface/alarm.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { debugLogger } from '../../lib/util/debug-logger.ts'
import { parseSyslog, receiveSyslogStream, receiveSyslogUdp } from '../helpers/syslog-receiver.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { until } from '../helpers/until.ts'

const notice: AlarmNotice = {
  siteId: 'site-a',
  id: 'link-down:"x]\\',
  severity: 'critical',
  state: 'active',
  text: 'Link "x" is down: größte Störung',
  raisedAtMs: 1_700_000_000_123,
  changedAtMs: 1_700_000_000_456,
  times: 2,
}

const numbered = (n: number): AlarmNotice => ({ ...notice, id: `a${n}` })

/** A queue that tries again at once, and what it counts. */
function createQueue(sink: AlarmSink, options: Partial<SinkQueueOptions> = {}) {
  const telemetry = new TelemetryHub()
  const counted: string[] = []
  telemetry.subscribe(event => {
    if (event.type === 'alarm-delivery') counted.push(event.outcome)
  })
  const pauseMs = { minMs: 1, maxMs: 5 }
  return { counted, queue: new SinkQueue({ sink, telemetry, logger: debugLogger('test'), pauseMs, ...options }) }
}

/** A sink that does what the test says. */
function createSink(deliver: AlarmSink['deliver']): AlarmSink {
  const close = async () => {}
  return { name: 'test', deliver, close, [Symbol.asyncDispose]: close }
}

describe('SinkQueue', () => {
  it('brings notices in order, and tries again what failed', async () => {
    const got: string[] = []
    let tries = 0
    const { queue, counted } = createQueue(
      createSink(async ({ id }) => {
        tries += 1
        if (tries % 3 !== 0) throw new Error('not now')
        got.push(id)
      }),
    )
    for (let n = 0; n < 5; n += 1) queue.take(numbered(n))
    await until(() => got.length === 5, 'all are delivered')
    expect(got).to.deep.equal(['a0', 'a1', 'a2', 'a3', 'a4'])
    expect(counted).to.deep.equal(Array(5).fill('delivered'))
    await queue.close()
  })

  it('waits for no sink that misses the end of its time, nor at the end', async () => {
    const { queue, counted } = createQueue(
      createSink(({ id }) => (id === 'a1' ? Promise.resolve() : new Promise(() => {}))),
      { attempts: 1, timeoutMs: 20, drainMs: 20 },
    )
    for (let n = 0; n < 2; n += 1) queue.take(numbered(n))
    await until(() => counted.length === 2, 'the next one has its turn')
    expect(counted).to.deep.equal(['failed', 'delivered'])
    queue.take(numbered(2))
    await queue.close()
    expect(counted.at(-1)).to.equal('failed')
  })

  it('gives one up that fails too often or takes too long, and goes on with the next', async () => {
    const { queue, counted } = createQueue(
      createSink(async ({ id }, { signal }) => {
        if (id === 'a0') throw new Error('never')
        if (id === 'a1') await once(signal, 'abort').then(() => Promise.reject(signal.reason))
      }),
      { attempts: 2, timeoutMs: 20 },
    )
    for (let n = 0; n < 3; n += 1) queue.take(numbered(n))
    await until(() => counted.length === 3, 'all have come to an end')
    expect(counted).to.deep.equal(['failed', 'failed', 'delivered'])
    await queue.close()
  })

  it('holds so many and no more, counts the oldest as dropped, and ends in time though a sink hangs', async () => {
    const { queue, counted } = createQueue(
      createSink((_, { signal }) => once(signal, 'abort').then(() => Promise.reject(signal.reason))),
      { maxQueued: 3, drainMs: 20, timeoutMs: 60_000 },
    )
    for (let n = 0; n < 10; n += 1) queue.take(numbered(n))
    expect(counted).to.deep.equal(Array(6).fill('dropped'))
    await queue.close()
    queue.take(numbered(11))
    expect(counted.slice(6)).to.deep.equal(['failed', 'dropped', 'dropped', 'dropped'])
  })
})

describe('WebhookSink', () => {
  const authority = createTestAuthority()

  /** An HTTPS server that keeps what it is posted and answers with the next status. */
  async function createReceiver(statuses: number[] = []) {
    const posts: { headers: Record<string, unknown>; body: string; method: string | undefined }[] = []
    const { cert, key } = authority.issue('hooks')
    const server = createServer({ cert, key }, (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', chunk => chunks.push(chunk))
      request.on('end', () => {
        posts.push({ headers: request.headers, body: Buffer.concat(chunks).toString(), method: request.method })
        response.writeHead(statuses.shift() ?? 204, { location: '/elsewhere' }).end()
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const close = async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
    return { posts, url: `https://localhost:${port}/alarms`, [Symbol.asyncDispose]: close }
  }

  const signal = () => new AbortController().signal

  it('posts a notice as JSON that its receiver can tell from others by the secret', async () => {
    await using receiver = await createReceiver()
    const secret = Buffer.from('a secret of the two')
    await using sink = new WebhookSink({
      name: 'hook',
      url: receiver.url,
      ca: authority.ca,
      secret,
      now: () => 1_700_000_001_999,
    })
    await sink.deliver({ ...notice, acknowledged: { by: 'olga', atMs: 1_700_000_000_456 } }, { signal: signal() })
    const [{ method, headers, body } = { method: '', headers: {}, body: '' }] = receiver.posts
    expect(method).to.equal('POST')
    expect(headers['content-type']).to.equal('application/json')
    expect(headers['x-qkd-timestamp']).to.equal('1700000001')
    const mac = createHmac('sha256', secret).update(`1700000001.${body}`).digest('hex')
    expect(headers['x-qkd-signature']).to.equal(`sha256=${mac}`)
    expect(JSON.parse(body)).to.deep.equal({
      siteId: 'site-a',
      id: notice.id,
      severity: 'critical',
      state: 'active',
      text: notice.text,
      times: 2,
      raisedAt: '2023-11-14T22:13:20.123Z',
      changedAt: '2023-11-14T22:13:20.456Z',
      acknowledged: { by: 'olga', at: '2023-11-14T22:13:20.456Z', note: null },
    })
  })

  it('takes a server that goes over to another protocol for one that took nothing', async () => {
    const server = createServer(authority.issue('hooks'), ({ socket }) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await using sink = new WebhookSink({ name: 'hook', url: `https://localhost:${port}/`, ca: authority.ca })
    const error = await sink.deliver(notice, { signal: signal() }).catch(error => error)
    expect(error.message).to.equal(`localhost:${port} has closed the connection`)
    server.close()
    server.closeAllConnections()
  })

  it('takes no other answer than 2xx for a delivery, and tries again', async () => {
    await using receiver = await createReceiver([500, 302, 404, 200])
    const { queue, counted } = createQueue(new WebhookSink({ name: 'hook', url: receiver.url, ca: authority.ca }))
    queue.take(notice)
    await until(() => counted.length === 1, 'it is delivered')
    expect(counted).to.deep.equal(['delivered'])
    expect(receiver.posts.map(({ body }) => body)).to.deep.equal(Array(4).fill(receiver.posts[0]!.body))
    expect(receiver.posts[0]!.headers).to.not.have.property('x-qkd-signature')
    await queue.close()
  })

  it('tells nothing to a server that its authority does not know', async () => {
    await using receiver = await createReceiver()
    const other = createTestAuthority('Another CA')
    await using sink = new WebhookSink({ name: 'hook', url: receiver.url, ca: other.ca })
    const error = await sink.deliver(notice, { signal: signal() }).catch((cause: Error) => cause)
    expect(error).to.be.instanceOf(Error)
    expect(receiver.posts).to.deep.equal([])
  })
})

describe('SyslogSink', () => {
  const signal = () => new AbortController().signal
  const expected = {
    facility: 10,
    severity: 2,
    timestamp: '2023-11-14T22:13:20.456Z',
    hostname: 'kme-a.example',
    appName: 'qkd',
    procId: String(process.pid),
    msgId: 'alarm',
    data: {
      'qkdAlarm@32473': {
        site: 'site-a',
        id: notice.id,
        severity: 'critical',
        state: 'active',
        raised: '2023-11-14T22:13:20.123Z',
        times: '2',
      },
    },
    text: notice.text,
  }

  it('sends a datagram of RFC 5424', async () => {
    await using receiver = await receiveSyslogUdp()
    const address = { transport: 'udp', host: '127.0.0.1', port: receiver.port } as const
    await using sink = new SyslogSink({ name: 'log', address, facility: 10, hostname: 'kme-a.example' })
    await sink.deliver(notice, { signal: signal() })
    await until(() => receiver.messages.length + receiver.faults.length > 0, 'a datagram came')
    expect(receiver.faults).to.deep.equal([])
    expect(receiver.messages).to.deep.equal([expected])
  })

  for (const transport of ['tcp', 'tls', 'unix'] as const) {
    it(`keeps one connection by ${transport}, and opens another when it is gone`, async () => {
      await using dir = await createTempDir()
      const path = join(dir.path, 'log')
      const authority = createTestAuthority()
      const { cert, key, ca } = authority.issue('site-a')
      await using receiver = await receiveSyslogStream(
        transport === 'unix' ? { path } : { port: 0 },
        transport === 'tls' ? authority.issue('log') : undefined,
      )
      const { port } = receiver
      const address =
        transport === 'unix'
          ? ({ transport, path } as const)
          : transport === 'tls'
            ? ({ transport, host: 'localhost', port, ca, identity: { cert, key } } as const)
            : ({ transport, host: '127.0.0.1', port } as const)
      const sink = new SyslogSink({ name: 'log', address, facility: 10, hostname: 'kme-a.example' })
      const { queue, counted } = createQueue(sink)
      queue.take(notice)
      queue.take({ ...notice, state: 'cleared' })
      await until(() => receiver.messages.length === 2, 'two messages came')
      receiver.drop()
      // The first after a loss may be lost with the connection: syslog has no acknowledgement.
      await until(async () => {
        queue.take(notice)
        await until(() => counted.length > 2, 'it was written')
        return receiver.messages.length > 2
      }, 'a message came by another connection')
      expect(receiver.faults).to.deep.equal([])
      expect(receiver.messages[0]).to.deep.equal(expected)
      expect(receiver.messages[1]!.severity).to.equal(5)
      await queue.close()
    })
  }

  it('shows nothing to a receiver whose certificate its authority did not sign', async () => {
    const authority = createTestAuthority()
    await using receiver = await receiveSyslogStream({ port: 0 }, authority.issue('log'))
    const ca = createTestAuthority('Another CA').ca
    const address = { transport: 'tls', host: 'localhost', port: receiver.port, ca } as const
    await using sink = new SyslogSink({ name: 'log', address })
    const error = await sink.deliver(notice, { signal: signal() }).catch((cause: Error) => cause)
    expect(error).to.be.instanceOf(Error)
    expect(receiver.messages).to.deep.equal([])
  })

  it('writes messages that a strict receiver takes, whatever an alarm is called and says', () => {
    const text = fc.string({ unit: 'binary', maxLength: 3_000 })
    fc.assert(
      fc.property(text, text, text, (id, said, hostname) => {
        const bytes = syslogMessage({ ...notice, id, text: said }, { facility: 16, hostname, procId: 1 })
        expect(bytes.byteLength).to.be.at.most(2_048)
        expect(bytes.subarray(0, -1).includes(0x0a)).to.equal(false)
        // Nor may a terminal or a viewer that shows the line take a part of it for a command or an end of line.
        expect(bytes.toString()).not.to.match(/[\u007f-\u009f\u2028\u2029]/)
        parseSyslog(bytes)
      }),
      { numRuns: 100 },
    )
  })
})

describe('CommandSink', function () {
  this.timeout(20_000)

  it('gives a program its arguments as they are and the notice on standard input', async () => {
    await using dir = await createTempDir()
    const out = join(dir.path, 'out')
    const program = join(dir.path, 'tell; rm -rf x')
    await writeFile(program, `#!/bin/sh\nprintf '%s\\n' "$@" > "${out}"\nenv | sort >> "${out}"\ncat >> "${out}"\n`)
    await chmod(program, 0o755)
    await using sink = new CommandSink({ name: 'tell', argv: [program, '$(id)', 'a b'] })
    await sink.deliver(notice, { signal: new AbortController().signal })
    const lines = (await readFile(out, 'utf8')).split('\n')
    expect(lines.slice(0, 2)).to.deep.equal(['$(id)', 'a b'])
    const names = lines.filter(line => /^[A-Z_]+=/.test(line)).map(line => line.split('=')[0])
    expect(names).to.have.members(['PATH', 'PWD'])
    expect(JSON.parse(lines.at(-2)!)).to.include({ id: notice.id, state: 'active' })
  })

  it('kills a program that takes too long, with what it has started, and counts it as failed', async () => {
    await using dir = await createTempDir()
    const out = join(dir.path, 'pid')
    const argv = ['/bin/sh', '-c', `sleep 600 & echo $! > ${out}; wait`] as const
    const { queue, counted } = createQueue(new CommandSink({ name: 'slow', argv: [...argv] }), {
      attempts: 1,
      timeoutMs: 1_000,
    })
    queue.take(notice)
    await until(() => counted.length === 1, 'it was ended')
    expect(counted).to.deep.equal(['failed'])
    const pid = Number(await readFile(out, 'utf8'))
    await until(() => !isAlive(pid), 'what it started is gone')
    await queue.close()
  })

  it('counts a program that fails, or is not there, as failed', async () => {
    for (const program of ['/bin/false', '/no/such/program']) {
      const { queue, counted } = createQueue(new CommandSink({ name: 'c', argv: [program] }), { attempts: 1 })
      queue.take(notice)
      await until(() => counted.length === 1, 'it has ended')
      expect(counted).to.deep.equal(['failed'])
      await queue.close()
    }
  })
})

/** False too for one that has ended and that nobody has asked about. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

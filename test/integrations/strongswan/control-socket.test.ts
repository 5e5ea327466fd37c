import { once } from 'node:events'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { callAgent, watchAgent } from '../../../integrations/strongswan/control/control-client.ts'
import { ControlServer } from '../../../integrations/strongswan/control/control-server.ts'
import type { IpsecAgentEvent, IpsecAgentStatus } from '../../../integrations/strongswan/index.ts'
import { InvalidArgumentError } from '../../../lib/errors.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const STATUS: IpsecAgentStatus = {
  saeId: 'alice',
  charon: { connected: true, version: '5.9.8', socket: '/run/charon.vici' },
  connections: [],
  alarms: [],
}

/** The socket in front of calls that the test answers itself; a real agent stands behind it in the tests with charon. */
async function openSocket(rotate: (connection?: string) => Promise<void> = async () => {}) {
  const dir = await createTempDir()
  const path = join(dir.path, 'run', 'ipsec.sock')
  const listeners = new Set<(event: IpsecAgentEvent) => void>()
  const agent = {
    status: async () => STATUS,
    rotate,
    reconcile: async () => ({ connections: ['net'], unloaded: [] }),
    onEvent: (listener: (event: IpsecAgentEvent) => void) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  const server = new ControlServer({ path, agent })
  await server.listen()
  return {
    path,
    server,
    listeners,
    agent,
    emit: (event: IpsecAgentEvent) => {
      for (const listener of listeners) listener(event)
    },
    [Symbol.asyncDispose]: async () => {
      await server.close()
      await dir[Symbol.asyncDispose]()
    },
  }
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: { code?: string; message: string }) => error,
  )

describe('ControlServer', () => {
  it('answers calls at a socket that only its user may use', async () => {
    const rotated: (string | undefined)[] = []
    await using socket = await openSocket(async connection => void rotated.push(connection))
    expect((await stat(socket.path)).mode & 0o777).to.equal(0o600)
    expect(await readdir(join(socket.path, '..'))).to.deep.equal(['ipsec.sock'])
    expect(await callAgent(socket.path, { call: 'status' })).to.deep.equal(STATUS)
    expect(await callAgent(socket.path, { call: 'reconcile' })).to.deep.equal({ connections: ['net'], unloaded: [] })
    await callAgent(socket.path, { call: 'rotate', connection: 'net' })
    await callAgent(socket.path, { call: 'rotate' })
    expect(rotated).to.deep.equal(['net', undefined])
  })

  it('hands on what the agent says went wrong, with its code', async () => {
    await using socket = await openSocket(async () => {
      throw new InvalidArgumentError('There is no connection "nte"', { details: [{ parameter_name: 'connection' }] })
    })
    const error = await codeOf(callAgent(socket.path, { call: 'rotate', connection: 'nte' }))
    expect(error).to.deep.include({ code: 'ERR_QKD_INVALID_ARGUMENT', details: [{ parameter_name: 'connection' }] })
    expect(error!.message).to.equal('There is no connection "nte"')
  })

  it('tells every watcher of each event, and forgets one that goes', async () => {
    await using socket = await openSocket()
    const stop = new AbortController()
    const seen: IpsecAgentEvent[] = []
    const watching = (async () => {
      for await (const event of watchAgent(socket.path, stop)) seen.push(event)
    })()
    await until(() => socket.listeners.size === 1, 'a watcher')
    const event = { type: 'provisioned', connection: 'net', reason: 'charon\nrestarted' } as const
    socket.emit(event)
    await until(() => seen.length === 1, 'an event')
    expect(seen).to.deep.equal([event])
    stop.abort()
    expect(await codeOf(watching)).to.include({ name: 'AbortError' })
    await until(() => socket.listeners.size === 0, 'the watcher to be forgotten')
  })

  it('drops a watcher that does not read instead of keeping everything for it', async () => {
    await using socket = await openSocket()
    const idle = connect(socket.path)
    idle.on('error', () => {}).pause()
    idle.write('{"call":"watch"}\n')
    await until(() => socket.listeners.size === 1, 'a watcher')
    const event = { type: 'provisioned', connection: 'x'.repeat(60_000), reason: 'test' } as const
    for (let count = 0; count < 40; count += 1) socket.emit(event)
    await until(() => socket.listeners.size === 0, 'the watcher to be dropped')
    idle.destroy()
  })

  it('lets a call under way end before it closes, and ends those that watch', async () => {
    let finish = () => {}
    const slow = new Promise<void>(resolve => {
      finish = resolve
    })
    await using socket = await openSocket(() => slow)
    const rotating = callAgent(socket.path, { call: 'rotate' })
    const watched = watchAgent(socket.path).next()
    await until(() => socket.listeners.size === 1, 'a watcher')
    const closed = socket.server.close()
    expect((await watched).done).to.equal(true)
    finish()
    expect(await rotating).to.deep.equal(STATUS)
    await closed
    const error = await codeOf(callAgent(socket.path, { call: 'status' }))
    expect(error).to.include({ code: 'ERR_QKD_CLOSED' })
    expect(error!.message).to.match(/is qkd ipsec agent running/)
  })

  it('bears what is no request', async () => {
    await using socket = await openSocket()
    for (const text of ['\n', 'null\n', '{"call":"stop"}\n', '{"call":"rotate","connection":1}\n', '{'.repeat(99)]) {
      const client = connect(socket.path).setEncoding('utf8')
      let said = ''
      client.on('data', (data: string) => {
        said += data
      })
      client.end(text)
      await once(client, 'close')
      expect(said, text).to.match(text.endsWith('\n') ? /ERR_QKD_PROTOCOL/ : /^$/)
    }
    const client = connect(socket.path).on('error', () => {})
    client.write('x'.repeat(10_000))
    await once(client, 'close')
    expect(await callAgent(socket.path, { call: 'status' })).to.deep.equal(STATUS)
  })

  it('takes the place of a socket that was left behind, and of no other', async () => {
    await using socket = await openSocket()
    const second = new ControlServer({ path: socket.path, agent: socket.agent })
    expect((await codeOf(second.listen()))!.message).to.match(/another agent listens/)
    expect(await callAgent(socket.path, { call: 'status' })).to.deep.equal(STATUS)
    await socket.server.close()
    await writeFile(socket.path, '')
    await using third = new ControlServer({ path: socket.path, agent: socket.agent })
    await third.listen()
    expect(await callAgent(socket.path, { call: 'status' })).to.deep.equal(STATUS)
    const long = new ControlServer({ path: `/tmp/${'x'.repeat(100)}`, agent: socket.agent })
    expect((await codeOf(long.listen()))!.message).to.match(/too long/)
  })
})

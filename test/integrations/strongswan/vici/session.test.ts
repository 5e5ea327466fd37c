import { expect } from 'chai'
import { ViciSession, type ViciSessionOptions } from '../../../../integrations/strongswan/vici/session.ts'
import { until } from '../../../helpers/until.ts'
import { createScriptedCharon, packet, type Script } from './scripted-charon.ts'

async function session(script: Script, options: Partial<ViciSessionOptions> = {}) {
  const charon = await createScriptedCharon(script)
  const counts = { connected: 0, lost: 0 }
  const vici = new ViciSession({
    path: charon.path,
    events: ['log'],
    onConnect: async () => {
      counts.connected += 1
    },
    onDisconnect: () => {
      counts.lost += 1
    },
    ...options,
  })
  return {
    charon,
    vici,
    counts,
    [Symbol.asyncDispose]: async () => {
      await vici.close()
      await charon[Symbol.asyncDispose]()
    },
  }
}

describe('ViciSession', () => {
  it('runs commands side by side, so that one that waits holds up no other', async () => {
    await using pair = await session(({ name }, socket) => {
      if (name !== 'slow') socket.write(packet(1, { name }))
    })
    expect(await pair.vici.start()).to.equal(undefined)
    const slow = pair.vici.request('slow', {}, { timeoutMs: 10_000 }).catch((error: unknown) => error)
    expect((await pair.vici.request('quick')).name).to.equal('quick')
    await pair.vici.close()
    expect(await slow).to.have.property('code', 'ERR_QKD_VICI')
  })

  it('has a place for each of many commands, in turn', async () => {
    await using pair = await session(({ name }, socket) => void setImmediate(() => socket.write(packet(1, { name }))))
    await pair.vici.start()
    const names = Array.from({ length: 50 }, (_, at) => `c${at}`)
    const answers = await Promise.all(names.map(name => pair.vici.request(name)))
    expect(answers.map(({ name }) => name)).to.deep.equal(names)
    expect(pair.charon.sockets.size).to.be.at.most(7)
  })

  it('collects what a command answers in events', async () => {
    await using pair = await session((_, socket) => {
      for (const name of ['a', 'b']) socket.write(packet(7, { name }, 'list-sa'))
      socket.write(packet(1, {}))
    })
    await pair.vici.start()
    const messages = await pair.vici.stream('list-sas', 'list-sa')
    expect(messages.map(({ name }) => name)).to.deep.equal(['a', 'b'])
  })

  it('tells that charon is gone, and connects again when it is back', async () => {
    await using pair = await session((_, socket) => void socket.write(packet(1, {})))
    await pair.vici.start()
    await pair.charon.stop()
    await until(() => pair.counts.lost === 1 && !pair.vici.connected, 'the loss')
    await pair.charon.listen()
    await until(() => pair.vici.connected, 'the second contact')
    expect(pair.counts.connected).to.equal(2)
    await pair.vici.request('version')
  })

  it('does not count a contact before charon has what it must have', async () => {
    let tries = 0
    const onConnect = async () => {
      tries += 1
      if (tries < 3) throw new Error('not yet')
    }
    await using pair = await session(() => {}, { onConnect })
    expect(await pair.vici.start()).to.have.property('message', 'not yet')
    await until(() => pair.vici.connected, 'contact')
    expect(tries).to.equal(3)
    expect(pair.counts.lost).to.equal(0)
  })

  it('tells what is wrong where nobody listens, and goes on trying until it is closed', async () => {
    const vici = new ViciSession({
      path: '/nowhere/vici',
      events: [],
      onConnect: async () => {},
      onDisconnect: () => {},
    })
    expect(await vici.start()).to.have.property('code', 'ERR_QKD_VICI')
    await vici.close()
    const outcome = await vici.request('version').catch((error: unknown) => error)
    expect(outcome).to.have.property('code', 'ERR_QKD_CLOSED')
  })

  it('takes an abort while a command waits for its turn', async () => {
    await using pair = await session(() => {})
    await pair.vici.start()
    const options = { timeoutMs: 10_000 }
    const busy = Array.from({ length: 6 }, () => pair.vici.request('slow', {}, options).catch(() => {}))
    const stop = new AbortController()
    const waiting = pair.vici.request('late', {}, { signal: stop.signal }).catch((error: unknown) => error)
    stop.abort('no more')
    expect(await waiting).to.equal('no more')
    await pair.vici.close()
    await Promise.all(busy)
  })
})

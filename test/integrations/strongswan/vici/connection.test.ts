import { expect } from 'chai'
import { ViciConnection, type ViciEvent } from '../../../../integrations/strongswan/vici/connection.ts'
import { encodeViciPacket } from '../../../../integrations/strongswan/vici/packet.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { createScriptedCharon, packet, type Script } from './scripted-charon.ts'

const request = (name = 'version', message = {}) => encodeViciPacket({ kind: 'request', name, message })

async function connected(script: Script) {
  const charon = await createScriptedCharon(script)
  const connection = await ViciConnection.open(charon.path)
  return {
    charon,
    connection,
    [Symbol.asyncDispose]: async () => {
      connection.close()
      await charon[Symbol.asyncDispose]()
    },
  }
}

describe('ViciConnection', () => {
  it('gives the answer to a command, and events in between to their listeners', async () => {
    await using pair = await connected((_, socket) => {
      const bytes = Buffer.concat([packet(7, { n: '1' }, 'log'), packet(1, { version: '1' }), packet(7, {}, 'log')])
      for (const byte of bytes) socket.write(Buffer.of(byte))
    })
    const events: ViciEvent[] = []
    const { connection } = pair
    connection.onEvent(event => events.push(event))
    expect(await connection.register('log')).to.equal(true)
    expect((await connection.request(request(), 'version')).version).to.equal('1')
    expect(events[0]?.message.n).to.equal('1')
    expect(await connection.unregister('log')).to.equal(true)
    expect(events.map(({ name }) => name)).to.deep.equal(['log', 'log'])
  })

  it('wipes the packet, whether charon answers or not', async () => {
    await using pair = await connected(({ name }, socket) => {
      if (name === 'a') socket.write(packet(1, {}))
      else socket.destroy()
    })
    for (const name of ['a', 'b', 'c']) {
      const bytes = request(name, { data: Buffer.alloc(32, 0xab) })
      await pair.connection.request(bytes, name).catch(() => {})
      expect(bytes.every(byte => byte === 0)).to.equal(true)
    }
  })

  it('says that charon does not know a command or an event', async () => {
    await using pair = await connected((_, socket) => void socket.write(packet(2)))
    const error = await rejectsWith(pair.connection.request(request('nothing'), 'nothing'), 'ERR_QKD_VICI')
    expect(error.message).to.match(/does not know the command nothing/)
    expect(pair.connection.closed).to.equal(false)
  })

  it('gives up on an answer that never comes, and closes', async () => {
    await using pair = await connected(() => {})
    const outcome = await pair.connection.request(request(), 'version', { timeoutMs: 30 }).catch((e: unknown) => e)
    expect(outcome).to.have.property('name', 'TimeoutError')
    expect(pair.connection.closed).to.equal(true)
    await rejectsWith(pair.connection.request(request(), 'version'), 'ERR_QKD_VICI')
  })

  it("rethrows the caller's reason", async () => {
    await using pair = await connected(() => {})
    const stop = new AbortController()
    const asked = pair.connection.request(request(), 'version', { signal: stop.signal }).catch((e: unknown) => e)
    stop.abort('enough')
    expect(await asked).to.equal('enough')
  })

  it('rejects what is under way when charon goes', async () => {
    await using pair = await connected((_, socket) => void socket.destroy())
    const error = await rejectsWith(pair.connection.request(request(), 'version'), 'ERR_QKD_VICI')
    expect(error.message).to.match(/was lost/)
  })

  for (const [what, bytes] of [
    ['a packet that is too long', Buffer.of(0, 255, 255, 255)],
    ['a message that is none', packet(1, Buffer.of(9))],
    ['a packet for a server', packet(0)],
    ['a confirmation in place of an answer', packet(5)],
  ] as const) {
    it(`closes on ${what}`, async () => {
      await using pair = await connected((_, socket) => void socket.write(bytes))
      await rejectsWith(pair.connection.request(request(), 'version'), 'ERR_QKD_PROTOCOL')
      expect(pair.connection.closed).to.equal(true)
    })
  }

  it('closes on an answer that nobody asked for', async () => {
    await using pair = await connected((_, socket) => void socket.write(Buffer.concat([packet(1, {}), packet(1, {})])))
    await pair.connection.request(request(), 'version').catch(() => {})
    await new Promise<void>(resolve => pair.connection.onClose(resolve))
  })

  it('refuses a second exchange while one is under way', async () => {
    await using pair = await connected(() => {})
    const first = pair.connection.request(request(), 'version', { timeoutMs: 1_000 }).catch(() => {})
    await rejectsWith(pair.connection.request(request(), 'version'), 'ERR_QKD_VICI')
    pair.connection.close()
    await first
  })

  it('says where nobody listens, and what to look at', async () => {
    const error = await rejectsWith(ViciConnection.open('/nowhere/vici'), 'ERR_QKD_VICI')
    expect(error.message).to.match(/\/nowhere\/vici \(ENOENT\); is charon running/)
  })
})

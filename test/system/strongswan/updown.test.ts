import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { updownScript } from '../../../integrations/strongswan/hook/updown-script.ts'
import { UpdownSpool } from '../../../integrations/strongswan/hook/updown-spool.ts'
import { ViciSession } from '../../../integrations/strongswan/vici/session.ts'
import { type CharonNode, requireCharon } from '../../helpers/charon-pair.ts'
import { createIpsecPair, type Gateway } from '../../helpers/ipsec-pair.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const execute = promisify(execFile)
/** Each rotation calls the hook twice at each gateway. */
const ROTATIONS = 25

/** A pair of gateways whose charons call the hook, before anything is up. */
async function createHookedPair() {
  const dir = await createTempDir()
  const path = (end: string, name: string) => join(dir.path, `${name}-${end}`)
  for (const end of ['a', 'b']) {
    await writeFile(path(end, 'hook'), updownScript({ spoolDir: path(end, 'spool') }), { mode: 0o755 })
  }
  const children = (end: 'a' | 'b', local: string, remote: string) => [
    {
      name: 'net',
      localTs: [local],
      remoteTs: [remote],
      espProposals: ['aes256gcm16-x25519'],
      settings: { updown: path(end, 'hook') },
    },
  ]
  const only = {
    a: { children: children('a', '10.1.0.0/24', '10.2.0.0/24') },
    b: { children: children('b', '10.2.0.0/24', '10.1.0.0/24') },
  }
  const pair = await createIpsecPair({ only })
  const spools: UpdownSpool[] = []
  return {
    pair,
    path,
    /** Begins to read the spool of a gateway, as its agent does. */
    listen: async (end: 'a' | 'b') => {
      const onEvent = pair[end].agent.handleUpdown.bind(pair[end].agent)
      const spool = new UpdownSpool({ spoolDir: path(end, 'spool'), onEvent })
      spools.push(spool)
      await spool.open()
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(spools.map(spool => spool.close()))
      await pair[Symbol.asyncDispose]()
      await dir[Symbol.asyncDispose]()
    },
  }
}

/** Has charon list its SAs again and again, waiting for busy ones; an answer that takes longer than a second fails. */
async function listThroughout(node: CharonNode): Promise<() => Promise<number[]>> {
  const options = { path: node.viciPath, events: [], onConnect: async () => {}, onDisconnect: () => {} }
  const session = new ViciSession(options)
  await session.start()
  let stopped = false
  const times: number[] = []
  const running = (async () => {
    while (!stopped) {
      const began = performance.now()
      await session.stream('list-sas', 'list-sa', {}, { timeoutMs: 1_000 })
      times.push(performance.now() - began)
      await nextTurn()
    }
  })()
  running.catch(() => {})
  return async () => {
    stopped = true
    await running.finally(() => session.close())
    return times
  }
}

const calls = (gateway: Gateway) => gateway.seen('updown')

describe('the updown hook under rotation', function () {
  this.timeout(90_000)
  before(function () {
    requireCharon(this)
  })

  it('tells of every call with the key_ID, and none blocks charon', async () => {
    await using hooked = await createHookedPair()
    const { pair } = hooked
    await pair.start()
    for (const end of ['a', 'b'] as const) await hooked.listen(end)
    const lists = [await listThroughout(pair.charons.a), await listThroughout(pair.charons.b)]
    for (let round = 0; round < ROTATIONS; round += 1) await pair.rotate()
    const wanted = 1 + 2 * ROTATIONS
    await until(() => calls(pair.a).length >= wanted && calls(pair.b).length >= wanted, `${wanted} calls`)
    for (const stop of lists) {
      const times = await stop()
      console.log(`      ${times.length} lists of SAs, the longest in ${Math.max(...times).toFixed(0)} ms`)
      expect(times).to.have.length.above(ROTATIONS)
    }
    for (const gateway of [pair.a, pair.b]) {
      const events = calls(gateway)
      expect(events.filter(({ direction }) => direction === 'up')).to.have.length(ROTATIONS + 1)
      // The traffic came up once, went over to each new IKE_SA, and was never down.
      const edges = events.filter(({ edge }) => edge).map(({ direction }) => direction)
      expect(edges.filter(direction => direction === 'down')).to.deep.equal([])
      expect(edges.length).to.be.at.most(1)
      const keys = gateway.seen('rotated').map(({ keyId }) => keyId)
      const told = events.filter(({ direction }) => direction === 'up').map(({ keyId }) => keyId)
      expect(told).to.deep.equal(keys)
    }
  })

  it('takes a late down of an old IKE_SA for nothing, and the last one for what it is', async () => {
    await using hooked = await createHookedPair()
    const { pair, path } = hooked
    await pair.start()
    await hooked.listen('a')
    await until(() => calls(pair.a).length === 1, 'the first up')
    await pair.rotate()
    await until(() => calls(pair.a).length === 3, 'up and down of the rotation')
    const [first] = calls(pair.a)
    const late = { ...first!.event.variables, PLUTO_VERB: 'down-client' }
    await execute(path('a', 'hook'), [], { env: late })
    await until(() => calls(pair.a).length === 4, 'the late down')
    expect(calls(pair.a)[3]).to.include({ direction: 'down', edge: false })
    await pair.a.stop()
    await pair.b.stop()
    expect((await pair.charons.a.sas())[0]!.children).to.have.length(1)
  })

  it('keeps for the agent what charon says while none runs', async () => {
    await using hooked = await createHookedPair()
    const { pair } = hooked
    await pair.start()
    await pair.rotate()
    expect(calls(pair.a)).to.have.length(0)
    await hooked.listen('a')
    await until(() => calls(pair.a).length === 3, 'what waited')
    expect(calls(pair.a).map(({ direction }) => direction)).to.deep.equal(['up', 'up', 'down'])
  })

  it('lets rotations go on while its disk hangs', async () => {
    await using hooked = await createHookedPair()
    const { pair, path } = hooked
    await execute('mkfifo', [path('a', 'disk')])
    const script = await readFile(path('a', 'hook'), 'utf8')
    await writeFile(path('a', 'hook'), script.replace('\n{\n', `\n{\n  : <${path('a', 'disk')}\n`))
    await pair.start()
    const stop = await listThroughout(pair.charons.a)
    await pair.rotate()
    await pair.rotate()
    expect(await stop()).to.not.be.empty
    await hooked.listen('a')
    expect(calls(pair.a)).to.have.length(0)
    // One reader after the other goes on when somebody has written.
    await until(async () => {
      await writeFile(path('a', 'disk'), '', { flag: 'r+' })
      return calls(pair.a).length === 5
    }, 'what was to be written')
  })
})

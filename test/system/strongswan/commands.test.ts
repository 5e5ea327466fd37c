import { readFile, writeFile } from 'node:fs/promises'
import { expect } from 'chai'
import { EXIT_CODES } from '../../../bin/exit-codes.ts'
import {
  callAgent,
  type Finding,
  type IpsecAgentEvent,
  type IpsecAgentStatus,
} from '../../../integrations/strongswan/index.ts'
import { runQkd, startQkd } from '../../bin/run-qkd.ts'
import { stop } from '../../bin/served-sites.ts'
import { type CharonPair, type CharonSettings, createCharonPair, requireCharon } from '../../helpers/charon-pair.ts'
import { type KmsPair, kmsBackends } from '../../helpers/kms-backends.ts'
import { freePorts } from '../../helpers/site-process.ts'
import { until } from '../../helpers/until.ts'
import { GatewayProcess } from './gateway-processes.ts'

describe('qkd ipsec', function () {
  // Each case starts several processes.
  this.timeout(90_000)

  const opened: KmsPair[] = []
  let profiles: NonNullable<KmsPair['profiles']>
  before(async function () {
    requireCharon(this)
    profiles = await openKms('remote')
  })
  after(() => Promise.all(opened.map(kms => kms[Symbol.asyncDispose]())))

  async function openKms(backend: string): Promise<typeof profiles> {
    const kms = await kmsBackends.find(({ name }) => name === backend)!.create()
    opened.push(kms)
    return kms.profiles!
  }

  let charons: CharonPair
  let a: GatewayProcess
  let b: GatewayProcess
  beforeEach(() => openCharons())

  async function openCharons(settings: CharonSettings = {}): Promise<void> {
    await charons?.[Symbol.asyncDispose]()
    charons = await createCharonPair(settings)
    a = new GatewayProcess('a', charons)
    b = new GatewayProcess('b', charons)
  }

  afterEach(async () => {
    await Promise.all([a?.stop(), b?.stop()])
    await charons?.[Symbol.asyncDispose]()
  })

  /** Both gateways on their swanctl.conf alone, up. */
  async function connectByAdmin(): Promise<void> {
    for (const gateway of [a, b]) await gateway.charon.loadAll(await gateway.example('swanctl.conf'))
    await a.charon.swanctl('--initiate', '--child', 'lan', '--timeout', '5')
  }

  /** Writes the configurations of both agents; `change` is what differs from the example at a gateway. */
  async function configure(change: { a?: object; b?: object } = {}, hosts = profiles): Promise<void> {
    const [port, peerPort] = (await freePorts(2)) as [number, number]
    await a.configure({ profile: hosts.alice, port, peerPort, change: change.a })
    await b.configure({ profile: hosts.bob, port: peerPort, peerPort: port, change: change.b })
  }

  /** Both agents, after the admins have taken the connection out of swanctl.conf; resolves when a key is in use. */
  async function handOver(hosts = profiles): Promise<void> {
    for (const gateway of [a, b]) await gateway.charon.loadAll(await gateway.example('swanctl-qkd.conf'))
    await configure({}, hosts)
    await Promise.all([a.start(), b.start()])
    const up = async () => [await a.status(), await b.status()].every(status => keyOf(status) !== undefined)
    await until(up, 'a key in use at both gateways', { timeoutMs: 20_000 })
  }

  /** Where strongSwan's files of a gateway lie. */
  const filesOf = (gateway: GatewayProcess) => {
    const [daemon, admin] = [gateway.charon.confPath, gateway.path('swanctl.conf')]
    return ['--strongswan-conf', daemon, '--swanctl-conf', admin, '--ipsec-conf', '/dev/null']
  }

  const keyOf = (status: IpsecAgentStatus) => status.connections[0]!.keyId

  for (const { backend, starter } of [
    { backend: 'remote', starter: false },
    { backend: 'foreign', starter: true },
  ]) {
    it(`takes over from a swanctl.conf that works, outlives systemctl reload, and gives it back (${backend} KMS${starter ? ', strongswan-starter' : ''})`, async () => {
      if (starter) await openCharons({ starter })
      await connectByAdmin()
      const ping = await charons.ping()
      await handOver(await openKms(backend))
      await a.charon.swanctl('--terminate', '--ike', 'net', '--timeout', '5')
      const first = await a.json<IpsecAgentStatus>('status')
      expect(first.connections[0]).to.include({ name: 'net-qkd', mode: 'ppk', role: 'initiator', peerConnected: true })
      expect(keyOf(await b.status())).to.equal(keyOf(first))

      // The responder asks the initiator to rotate.
      const { rotated } = await b.json<{ rotated: { keyId: string }[] }>('rotate', 'net-qkd')
      expect(rotated[0]!.keyId).to.be.a('string').and.not.equal(keyOf(first))
      expect(keyOf(await a.status())).to.equal(rotated[0]!.keyId)

      // What systemctl reload runs: it unloads what the agents have loaded.
      for (const { charon, ...gateway } of [a, b].map(each => ({
        charon: each.charon,
        path: each.path('swanctl.conf'),
      }))) {
        await charon.swanctl('--load-all', '--noprompt', '--file', gateway.path)
      }
      await Promise.all([a.json('reconcile'), callAgent(b.path('agent.sock'), { call: 'reconcile' })])
      for (const gateway of [a, b]) expect(await gateway.charon.swanctl('--list-conns')).to.match(/^net-qkd:/m)
      await callAgent(a.path('agent.sock'), { call: 'rotate' })

      expect(await Promise.all([a.stop(), b.stop()])).to.deep.equal([0, 0])
      await ping.flows()
      const kept = await a.charon.sas()
      expect(kept.map(({ connection, ppk }) => ({ connection, ppk }))).to.deep.equal([
        { connection: 'net-qkd', ppk: true },
      ])
      await connectByAdmin()
      await a.charon.swanctl('--terminate', '--ike', 'net-qkd', '--timeout', '5')
      await ping.flows()
      const { lost, longestLoss, longestGapMs } = await ping.stop()
      console.log(`      ${lost} pings lost from first to last, the longest gap ${longestGapMs.toFixed(0)} ms`)
      // Four times another IKE_SA has taken over.
      expect(lost).to.be.at.most(4 * 3)
      expect(longestLoss).to.be.at.most(3)
    })
  }

  it('shows what happens, up and down too, with key_IDs, finds nothing to mend, and lets no second agent in', async () => {
    await handOver()
    const watch = startQkd(['ipsec', 'status', '--watch', '--json', '--config', a.configPath])
    try {
      const lines: { event?: IpsecAgentEvent }[] = []
      let rest = ''
      watch.stdout.setEncoding('utf8').on('data', (text: string) => {
        const parts = (rest + text).split('\n')
        rest = parts.pop()!
        lines.push(...parts.map(line => JSON.parse(line)))
      })
      await until(() => lines.length > 0, 'the status')
      const [rotated] = (await callAgent(a.path('agent.sock'), { call: 'rotate' })).connections
      const of = <T extends IpsecAgentEvent['type']>(type: T) =>
        lines.flatMap(({ event }) => (event?.type === type ? [event as Extract<IpsecAgentEvent, { type: T }>] : []))
      await until(() => of('updown').length === 2, 'up and down')
      expect(of('rotated').map(({ keyId }) => keyId)).to.deep.equal([rotated!.keyId])
      expect(of('updown')[0]).to.include({ direction: 'up', edge: false, keyId: rotated!.keyId })

      const { findings } = await a.json<{ findings: Finding[] }>('doctor', ...filesOf(a))
      // The certificates of tests are about to end.
      expect(findings.filter(({ verdict, check }) => verdict !== 'ok' && check !== 'clock')).to.deep.equal([])
      const looked = [
        'vici socket',
        'charon',
        'plugins',
        'connection net-qkd',
        'ESP',
        'log levels',
        'make_before_break',
      ]
      const checks = findings.map(({ check }) => check)
      expect(checks).to.include.members([...looked, 'swanctl.conf', 'updown', 'KMS, bob', 'agent', 'clock'])

      const second = await a.qkd('agent', '--strongswan-conf', a.charon.confPath)
      expect(second.exitCode).to.equal(EXIT_CODES.config.code)
      expect(second.stderr).to.match(/another agent listens/)

      const ended = new Promise(resolve => watch.once('exit', resolve))
      await a.stop()
      expect(await ended).to.equal(0)
    } finally {
      await stop(watch)
    }
  })

  it('says what is wrong and how to mend it', async () => {
    await configure()
    const spoilt = (await a.example('swanctl.conf')).replace(
      'esp_proposals',
      'start_action = start\n        esp_proposals',
    )
    // As the agent would name it, and without what it would set.
    const loaded = (await a.example('swanctl.conf')).replace('  net {', '  net-qkd {').replace('dpd_delay = 10s', '')
    await a.charon.loadAll(loaded)
    await writeFile(a.path('swanctl.conf'), spoilt)
    const looked = await a.qkd('doctor', ...filesOf(a))
    expect(looked.exitCode).to.equal(EXIT_CODES.config.code)
    for (const part of [
      /fault +connection net-qkd: ppk_required .*\n +-> /,
      /warning +connection net-qkd: dpd_delay .*\n +-> /,
      /fault +swanctl\.conf: connections\.net .*\n +-> /,
      /fault +start_action: .*\n +-> /,
      /unknown +agent: .*\n +-> /,
    ]) {
      expect(looked.stdout).to.match(part)
    }
  })

  it('refuses to start an agent where charon logs keys, and where both ends initiate', async () => {
    await configure({ b: { role: 'initiator' } })
    await writeFile(a.path('loud.conf'), 'charon {\n  filelog {\n    x {\n      ike = 4\n    }\n  }\n}\n')
    // The other agent is not there yet, for which no start waits.
    const [loud] = await Promise.all([a.qkd('agent', '--strongswan-conf', a.path('loud.conf')), b.start()])
    expect(loud.exitCode).to.equal(EXIT_CODES.config.code)
    expect(loud.stderr).to.match(/filelog\.x\.ike = 4: charon writes keys into its log; set it to 3 or less/)
    const both = await a.qkd('agent', '--strongswan-conf', a.charon.confPath)
    expect(both.exitCode).to.equal(EXIT_CODES.config.code)
    expect(both.stderr).to.match(/both ends have the role "initiator": set "responder" at one of them/)
  })

  it('gives charon a pre-shared key once, for admins who want no agent', async () => {
    const withoutSecret = (text: string) => text.slice(0, text.indexOf('secrets {'))
    for (const gateway of [a, b]) {
      await gateway.charon.loadAll(withoutSecret(await gateway.example('swanctl.conf')))
    }
    const ids = (own: 'a' | 'b') => [
      '--local-id',
      `gateway-${own}`,
      '--remote-id',
      `gateway-${own === 'a' ? 'b' : 'a'}`,
    ]
    const waiting = startQkd([
      ...['ipsec', 'psk', '--config', profiles.bob, '--peer', 'alice', '--listen', '127.0.0.1:0', '--json'],
      ...['--vici-socket', b.charon.viciPath, ...ids('b')],
    ])
    try {
      let [said, told] = ['', '']
      waiting.stderr.setEncoding('utf8').on('data', (text: string) => {
        told += text
      })
      waiting.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
      await until(() => told.includes('"listening"'), 'the listener')
      const port = /"port":(\d+)/.exec(told)![1]
      const begun = await runQkd([
        ...['ipsec', 'psk', '--config', profiles.alice, '--peer', 'bob', '--connect', `127.0.0.1:${port}`, '--json'],
        ...['--vici-socket', a.charon.viciPath, ...ids('a')],
      ])
      expect(begun.exitCode, begun.stderr).to.equal(0)
      await until(() => said.includes('\n'), 'the other end')
      const [near, far] = [JSON.parse(begun.stdout), JSON.parse(said)]
      expect(near.keyId).to.equal(far.keyId)
      expect(near.fingerprint).to.equal(far.fingerprint)
    } finally {
      await stop(waiting)
    }
    await a.charon.swanctl('--initiate', '--child', 'lan', '--timeout', '5')
    expect((await b.charon.sas())[0]).to.include({ state: 'ESTABLISHED', ppk: false })
  })

  it('writes a hook only in the place of its own', async () => {
    await configure()
    await writeFile(b.path('updown'), '#!/bin/sh\n')
    const refused = await b.qkd('hook', 'install', '--output', b.path('updown'))
    expect(refused.exitCode).to.equal(EXIT_CODES.config.code)
    await b.qkd('hook', 'install', '--output', b.path('hook'))
    expect(await readFile(b.path('hook'), 'utf8')).to.contain(`spool=${b.path('spool')}\n`)
  })
})

import { spawn } from 'node:child_process'
import { access, copyFile, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { createDatabaseSink, masterKeyVault } from '../../../integrations/kerberos/kdb/database-sink.ts'
import { formatDump, parseDump } from '../../../integrations/kerberos/kdb/dump-record.ts'
import { lockFileOf } from '../../../integrations/kerberos/kdb/lock-file.ts'
import { createKeytabSink } from '../../../integrations/kerberos/keytab-sink.ts'
import { LedgerFile } from '../../../integrations/kerberos/versions/ledger-store.ts'
import { exportKey } from '../../../lib/key/export-key.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { requireKerberos, runProgram, type TestRealm } from '../../helpers/kdc-realm.ts'
import { createReplica } from '../../helpers/kdc-replica.ts'
import { buildKillAtUnlink } from '../../helpers/kill-at-unlink.ts'
import { peerProgram } from '../../helpers/peer-program.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { createTestSites, type TestSites } from '../../helpers/test-sites.ts'
import { requestTicket } from '../../helpers/tgs-client.ts'
import { until } from '../../helpers/until.ts'
import { createAgentPair } from './agent-pair.ts'
import { buildSetup, databaseOf, trustTerms } from './setup-mode.ts'
import { failureOf, heldTicket, login, SERVICE, TICKET_LIFE_SECONDS, TRUST, type TrustRig } from './trust-suite.ts'

const missing = (path: string) =>
  access(path).then(
    () => false,
    () => true,
  )

/** Processes whose command line has this word: flock and its shell, not what they run. */
async function processesWith(word: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number)
  const lines = await Promise.all(pids.map(pid => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return pids.filter((_, i) => lines[i]!.split('\0').includes(word))
}

describe('mode setup', function () {
  this.timeout(120_000)
  let sites: TestSites
  let rig: TrustRig
  const faults: string[] = []

  before(async function () {
    requireKerberos(this)
    sites = await createTestSites()
  })
  after(() => sites?.[Symbol.asyncDispose]())
  beforeEach(async () => {
    faults.length = 0
    rig = await buildSetup(sites, { onFault: text => faults.push(text) })
    await rig.pair.agents[0].rotate(TRUST)
  })
  afterEach(() => rig?.[Symbol.asyncDispose]())

  const realm = (at: 0 | 1): TestRealm => rig.realms.realms[at]!
  /** The KDC starts, a rotation works, and a new client gets through both realms. */
  const provesWell = async (kvno: number) => {
    const { current } = await rig.pair.agents[0].rotate(TRUST)
    expect(current.kvno).to.equal(kvno)
    for (const at of [0, 1] as const) await realm(at).stop()
    await Promise.all([realm(0).start(), realm(1).start()])
    const client = await login(rig.realms)
    await client.kvno(SERVICE)
    expect(await client.kvno(TRUST)).to.equal(kvno)
  }

  it('goes on after each of 20 loads that failed or were killed, the KDC started again each time', async function () {
    peerProgram(this, 'gcc', 'gcc')
    const environment = { LD_PRELOAD: await buildKillAtUnlink(rig.realms.directory) }
    const killed = databaseOf(realm(0), { environment })
    for (let round = 0; round < 20; round += 1) {
      if (round % 2 === 0) {
        // Killed between unlink and create: ours sees it end, and mends at once.
        const load = killed.setVersions(TRUST, present => ({ put: [], keep: present }))
        expect((await rejectsWith(load, 'ERR_QKD_STORE')).message).to.contain('was missing')
      } else {
        // What we never load, fed by hand: kdb5_util fails in the middle, and nobody is there to mend.
        const record = parseDump((await realm(0).run('kdb5_util', ['dump', '-', TRUST])).stdout)[0]!
        const text = formatDump([record]).replace(`\t${record.keys[0]!.kvno}\t`, '\t65536\t')
        const input = join(rig.realms.directory, 'bad.dump')
        await writeFile(input, text)
        expect(await failureOf(realm(0).run('kdb5_util', ['load', '-update', input]))).to.contain('ended with')
        expect(await missing(lockFileOf(realm(0).database))).to.equal(true)
      }
      faults.length = 0
      await provesWell(round + 2)
      expect(faults.length).to.equal(round % 2)
      expect(await missing(lockFileOf(realm(0).database))).to.equal(false)
    }
  })

  it('mends before the KDC starts when the agent itself was killed with its load', async function () {
    peerProgram(this, 'gcc', 'gcc')
    const environment = { ...realm(0).env, LD_PRELOAD: await buildKillAtUnlink(rig.realms.directory) }
    const dump = (await realm(0).run('kdb5_util', ['dump', '-', TRUST])).stdout
    const path = join(rig.realms.directory, 'good.dump')
    await writeFile(path, dump)
    await failureOf(runProgram('/usr/sbin/kdb5_util', ['-r', 'A.QKD', 'load', '-update', path], { env: environment }))
    await realm(0).stop()
    expect(await failureOf(realm(0).start())).to.contain('ended at its start')
    expect(await realm(0).logged()).to.contain('lock file missing')
    const fault = await databaseOf(realm(0)).mend()
    expect(fault!.description).to.contain('principal.kadm5.lock was missing')
    await realm(0).start()
    expect(await (await login(rig.realms)).kvno(TRUST)).to.equal(1)
  })

  it('waits for a kdb5_util that is not ours instead of mending under its hands', async () => {
    await rm(lockFileOf(realm(0).database))
    // A program of that name with the database open stands for an administrator's load of a large dump.
    const script = join(rig.realms.directory, 'kdb5_util')
    await copyFile('/bin/cat', script)
    const file = await open(realm(0).database)
    const holder = spawn(script, ['-'], { stdio: ['pipe', file.fd, 'ignore'] })
    try {
      const { message } = await rejectsWith(databaseOf(realm(0)).state(TRUST), 'ERR_QKD_STORE')
      expect(message).to.contain(`process ${holder.pid}`).and.to.contain('try again')
    } finally {
      holder.kill('SIGKILL')
      await file.close()
    }
  })

  it('holds its own lock until a load has ended whose agent was killed', async () => {
    const dir = rig.realms.directory
    const [bin, gate] = [join(dir, 'bin'), join(dir, 'gate')]
    await mkdir(bin)
    await runProgram('mkfifo', [gate], { env: process.env })
    // A load that waits at the gate, long after the agent is gone.
    const slow = `#!/bin/sh
case "$*" in *load*) cat > ${dir}/in; : > ${dir}/loading; read _ < ${gate}; exec /usr/sbin/kdb5_util -r A.QKD load -update ${dir}/in ;; esac
exec /usr/sbin/kdb5_util "$@"
`
    await writeFile(join(bin, 'kdb5_util'), slow, { mode: 0o755 })
    const database = databaseOf(realm(0), { environment: { PATH: `${bin}:${process.env.PATH}` } })
    const keys = [{ enctype: 20 as const, secret: SecretKey.random(32) }]
    const load = failureOf(database.setVersions(TRUST, () => ({ put: [{ kvno: 9, keys }], keep: [] })))
    await until(async () => !(await missing(`${dir}/loading`)), 'the load has begun')
    for (const pid of await processesWith(`${realm(0).database}.qkd.lock`)) process.kill(pid, 'SIGKILL')
    expect(await load).to.contain('broke off at load')
    const hasty = databaseOf(realm(0), { timeoutMs: 100 })
    expect(await failureOf(hasty.state(TRUST))).to.contain('Another program holds')
    await writeFile(gate, 'go\n')
    const ended = async () => (await hasty.state(TRUST).catch(() => undefined))?.kvnos[0] === 9
    await until(ended, 'the load has ended')
    expect(await missing(lockFileOf(realm(0).database))).to.equal(false)
  })

  it('refuses, and logs why, where the key at B differs from that at A by one bit', async () => {
    const held = await login(rig.realms)
    await held.kvno(TRUST)
    const own = rig.pair.ledgers[1].table.current(TRUST)!.keys[0]!
    const bytes = exportKey(own.secret)
    bytes[31]! ^= 1
    const keys = [{ enctype: own.enctype, secret: SecretKey.copyOf(bytes) }]
    await databaseOf(realm(1)).setVersions(TRUST, () => ({ put: [{ kvno: 1, keys }], keep: [] }))
    expect(await failureOf(held.kvno(SERVICE))).to.contain('Decrypt integrity check failed')
    expect(await realm(1).logged()).to.contain('Decrypt integrity check failed')
  })

  it('serves from a replica that kprop has brought up to date, and is refused by one that is stale', async function () {
    for (const program of ['kprop', 'kpropd']) peerProgram(this, program, 'krb5-kpropd')
    const replica = await createReplica(realm(1), rig.realms.directory)
    try {
      await replica.propagate()
      await rig.pair.agents[0].rotate(TRUST)
      await replica.start()
      const client = await login(rig.realms)
      expect(await client.kvno(TRUST)).to.equal(2)
      const ask = async () => await requestTicket(replica.port, await heldTicket(client, TRUST), SERVICE)
      expect(await failureOf(ask())).to.match(/error 60 /)
      expect(await readFile(replica.log, 'utf8')).to.contain('No matching key in entry')
      await replica.propagate()
      expect((await ask()).ticket.server.components).to.deep.equal(['HTTP', 'host-b.test'])
    } finally {
      await replica.stop()
    }
  })

  it('tells the issuer nothing before its replicas have the key, and fails the rotation where they can not get it', async () => {
    await rig[Symbol.asyncDispose]()
    await using dir = await createTempDir()
    const flag = join(dir.path, 'propagated')
    rig = await buildSetup(sites, { sink: { propagate: ['sh', '-c', `test ! -e ${flag}.down && touch ${flag}`] } })
    await rig.pair.agents[0].rotate(TRUST)
    expect(await missing(flag)).to.equal(false)
    await writeFile(`${flag}.down`, '')
    expect(await failureOf(rig.pair.agents[0].rotate(TRUST))).to.contain('propagate: sh failed')
    expect(await (await login(rig.realms)).kvno(TRUST)).to.equal(1)
    await rm(`${flag}.down`)
    await rig.pair.agents[0].rotate(TRUST)
    expect(await (await login(rig.realms)).kvno(SERVICE)).to.be.above(0)
  })

  it('tells the acceptor nothing of a version that the issuer could not put before its KDC', async () => {
    await rig[Symbol.asyncDispose]()
    await using dir = await createTempDir()
    const down = join(dir.path, 'down')
    rig = await buildSetup(sites, { issuerSink: { propagate: ['sh', '-c', `test ! -e ${down}`] } })
    await rig.pair.agents[0].rotate(TRUST)
    await writeFile(down, '')
    for (let round = 0; round < 2; round += 1) {
      expect(await failureOf(rig.pair.agents[0].rotate(TRUST))).to.contain('propagate: sh failed')
      // The first one stays in use at B, so that none of its tickets is lost.
      expect(rig.pair.ledgers[1].table.current(TRUST)!.kvno).to.equal(1)
    }
    await rm(down)
    expect((await rig.pair.agents[0].rotate(TRUST)).current.kvno).to.equal(3)
    expect(rig.pair.ledgers[1].table.versions(TRUST).map(({ state }) => state)).to.deep.equal([
      'current',
      'retained',
      'retained',
    ])
  })

  it('begins again at kvno 1 by a rekey, with tickets of the last kvno still served', async () => {
    await rig[Symbol.asyncDispose]()
    rig = await buildSetup(sites)
    // As 65,534 rotations would have left it.
    const keys = [{ enctype: 20 as const, secret: SecretKey.random(32) }]
    for (const ledger of rig.pair.ledgers) {
      const copy = keys.map(({ enctype, secret }) => ({ enctype, secret: SecretKey.copyOf(exportKey(secret)) }))
      await ledger.announce({ principal: TRUST, epoch: 65_534, keyId: 'x', keys: copy })
      await ledger.promote(TRUST, 65_534)
    }
    await rig.pair.agents[0].rotate(TRUST)
    const old = await login(rig.realms)
    expect(await old.kvno(TRUST)).to.equal(65_535)
    expect(await failureOf(rig.pair.agents[0].rotate(TRUST))).to.contain('trust rekey')
    await rig.pair.agents[0].rotate(TRUST, { rekey: true })
    const fresh = await login(rig.realms)
    expect(await fresh.kvno(TRUST)).to.equal(1)
    await fresh.kvno(SERVICE)
    await old.kvno(SERVICE)
  })

  it('keeps a password until tickets under it are over, and takes its kvno into account', async () => {
    await rig[Symbol.asyncDispose]()
    const aheadMs = { value: 0 }
    rig = await buildSetup(sites, { now: () => Date.now() + aheadMs.value })
    for (const at of [0, 1] as const) await realm(at).kadmin(`cpw -pw trust-pw ${TRUST}`)
    const old = await login(rig.realms)
    const password = await old.kvno(TRUST)
    await rig.pair.agents[0].rotate(TRUST)
    const fresh = await login(rig.realms)
    expect(await fresh.kvno(TRUST)).to.equal(password + 1)
    await old.kvno(SERVICE)
    aheadMs.value = TICKET_LIFE_SECONDS * 1000 + 1
    for (const ledger of rig.pair.ledgers) await ledger.expire()
    expect((await databaseOf(realm(1)).state(TRUST))!.kvnos).to.deep.equal([password + 1])
  })

  it('keys a service whose host holds the coming kvnos in its keytab', async () => {
    const service = 'HTTP/keyed.test@B.QKD'
    await realm(1).kadmin(`addprinc -nokey ${service}`)
    const keytab = join(rig.realms.directory, 'host.keytab')
    const terms = { principal: service, ticketLifeSeconds: TICKET_LIFE_SECONDS, window: 2 }
    await using pair = await createAgentPair([
      {
        kms: sites.bob,
        principals: [{ ...terms, role: 'issuer', peerSaeId: 'alice' }],
        sink: createDatabaseSink(databaseOf(realm(1))),
      },
      {
        kms: sites.alice,
        principals: [{ ...terms, role: 'acceptor', peerSaeId: 'bob' }],
        sink: createKeytabSink(keytab),
      },
    ])
    for (const kvno of [1, 2]) {
      await pair.agents[0].rotate(service)
      const client = await login(rig.realms)
      expect(await client.kvno(service, '-k', keytab)).to.equal(kvno)
    }
    const { stdout } = await runProgram('klist', ['-kt', keytab], { env: process.env })
    expect(stdout.match(/^ +\d+ .*keyed\.test/gm)!.map(line => Number(line.trim().split(' ')[0]))).to.deep.equal([
      1, 2, 3,
    ])
  })

  it('has its versions again after a restart of the agent, and goes on', async () => {
    const before = rig.pair.ledgers.map(({ table }) => table.current(TRUST)!.keyId)
    await rig.pair[Symbol.asyncDispose]()
    const text = await readFile(`${realm(0).directory}/versions.json`, 'utf8')
    expect(text).to.contain(before[0]!)
    const agent = (at: 0 | 1) => ({
      sink: createDatabaseSink(databaseOf(realm(at))),
      store: new LedgerFile(`${realm(at).directory}/versions.json`, masterKeyVault(realm(at).stash)),
    })
    await using pair = await createAgentPair([
      { kms: sites.alice, principals: [trustTerms('issuer')], ...agent(0) },
      { kms: sites.bob, principals: [trustTerms('acceptor')], ...agent(1) },
    ])
    const [a, b] = pair.ledgers.map(({ table }) => table.current(TRUST)!)
    expect([a!.keyId, b!.keyId]).to.deep.equal(before)
    expect(a!.keys[0]!.secret.equals(b!.keys[0]!.secret)).to.equal(true)
    expect((await pair.agents[0].rotate(TRUST)).current.kvno).to.equal(2)
  })
})

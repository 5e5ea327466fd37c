import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { askAgent } from '../../integrations/kerberos/control/control-client.ts'
import { lockFileOf } from '../../integrations/kerberos/kdb/lock-file.ts'
import { readKeytab } from '../../integrations/kerberos/keytab.ts'
import { createTestRealms, requireKerberos, type TestRealm, type TestRealms } from '../helpers/kdc-realm.ts'
import { type KmsPair, kmsBackends } from '../helpers/kms-backends.ts'
import { until } from '../helpers/until.ts'
import { firstLine, qkdCommandLine, type RunResult, runQkd, startQkd } from './run-qkd.ts'
import { stop } from './served-sites.ts'

const WEB = 'HTTP/web.test@B.QKD'
const TRUSTS = ['krbtgt/B.QKD@A.QKD', 'krbtgt/A.QKD@B.QKD']

for (const backend of kmsBackends.filter(({ name }) => name === 'remote')) {
  describe(`qkd kerberos (${backend.name} KMS)`, function () {
    this.timeout(120_000)
    let kms: KmsPair
    let realms: TestRealms
    let ports: number[]
    const agents: ChildProcessWithoutNullStreams[] = []

    before(async function () {
      requireKerberos(this)
      kms = await backend.create()
      realms = await createTestRealms()
      await realms.realms[1]!.kadmin(`addprinc -nokey ${WEB}`)
      await realms.realms[0]!.kadmin('addprinc -randkey HTTP/local.test')
      ports = await freePorts(3)
    })
    after(async () => {
      await Promise.all(agents.map(stop))
      await realms?.[Symbol.asyncDispose]()
      await kms?.[Symbol.asyncDispose]()
    })

    const realm = (at: number): TestRealm => realms.realms[at]!
    const fileOf = (at: number) => join(realms.directory, `kerberos-${at}.json`)
    const qkd = async (at: number, ...words: string[]): Promise<RunResult> => {
      const result = await runQkd(['kerberos', ...words, '--kerberos', fileOf(at)])
      return result
    }
    const done = async (at: number, ...words: string[]): Promise<string> => {
      const { exitCode, stdout, stderr } = await qkd(at, ...words)
      expect(exitCode, stderr).to.equal(0)
      return stdout
    }
    // As `trust status --json` asks it, without a process each time.
    const status = (at: number) => askAgent(join(realm(at).directory, 'control.sock'), { command: 'status' })
    const startAgent = async (at: number) => {
      const profile = at === 0 ? kms.profiles!.alice : kms.profiles!.bob
      const child = startQkd(['kerberos', 'agent', '--kerberos', fileOf(at), '--config', profile, '--json'])
      agents.push(child)
      expect(JSON.parse(await firstLine(child))).to.include({ ready: true })
      return child
    }
    const reaches = async (service: string, home = 'A.QKD') => {
      const client = realms.client()
      await client.kinit(`alice@${home}`, 'alice-pw')
      return await client.kvno(service)
    }

    it('adds a trust in both directions at both sites', async () => {
      for (const at of [0, 1]) {
        const { env, database, stash, name, directory } = realm(at)
        const other = realm(1 - at).name
        const options = [
          ['--realm', name],
          ['--remote', other],
          ['--peer', at === 0 ? 'bob' : 'alice'],
          ['--connect', `127.0.0.1:${ports[1 - at]}`],
          ['--listen', `127.0.0.1:${ports[at]}`],
          ['--database', database],
          ['--stash-file', stash],
          ['--krb5-conf', env.KRB5_CONFIG!],
          ['--kdc-conf', env.KRB5_KDC_PROFILE!],
        ].flat()
        const printed = await done(at, 'trust', 'add', ...options)
        expect(printed).to.contain(`krbtgt/${other}@${name}: this site is its issuer`)
        const file = JSON.parse(await readFile(fileOf(at), 'utf8'))
        Object.assign(file, {
          stateFile: join(directory, 'state.json'),
          controlSocket: join(directory, 'control.sock'),
        })
        await writeFile(fileOf(at), JSON.stringify(file))
      }
      expect(await realm(0).kadmin(`getprinc ${TRUSTS[0]}`)).to.match(/Maximum ticket life: 0 days 10:00:00/)
    })

    it('says that no agent runs, by doctor and by status', async () => {
      const { exitCode, stderr } = await qkd(0, 'trust', 'status')
      expect(exitCode).to.equal(EXIT_CODES.unavailable.code)
      expect(stderr).to.contain('No Kerberos agent listens')
      const examined = await qkd(0, 'doctor')
      expect(examined.exitCode).to.equal(EXIT_CODES.config.code)
      expect(examined.stdout).to.contain('FAULT   agent: No Kerberos agent listens')
    })

    it('keys the trust when both agents run, and shows the same key_IDs at both sites', async () => {
      await startAgent(1)
      await startAgent(0)
      const complete = async () => {
        const both = await Promise.all([status(0), status(1)])
        return both.every(({ principals }) => principals.every(({ current }) => current !== null))
      }
      await until(complete, 'every trust has a key', { timeoutMs: 30_000 })
      const keyIds = async (at: number) =>
        Object.fromEntries(
          (await status(at)).principals.map(each => [each.principal, `${each.current!.kvno} ${each.current!.keyId}`]),
        )
      expect(await keyIds(0)).to.deep.equal(await keyIds(1))
      expect(JSON.parse(await done(0, 'trust', 'status', '--json')).saeId).to.equal('alice')
      expect(await done(0, 'trust', 'status')).to.match(/in use +kvno 1/)
      expect(await reaches(TRUSTS[0]!)).to.equal(1)
      await realm(0).kadmin('getprinc HTTP/local.test')
      expect(await reaches('HTTP/local.test@A.QKD', 'B.QKD')).to.be.above(0)
    })

    it('rotates on demand, and names what it does not issue', async () => {
      expect(await done(0, 'trust', 'rotate', 'B.QKD')).to.contain(`${TRUSTS[0]}: kvno 2 is in use`)
      expect(await reaches(TRUSTS[0]!)).to.equal(2)
      const { exitCode, stderr } = await qkd(0, 'trust', 'rotate', 'C.QKD')
      expect([exitCode, stderr]).to.satisfy(
        ([code, text]: [number, string]) =>
          code === EXIT_CODES.usage.code && text.includes('not the issuer of a trust with C.QKD'),
      )
    })

    it('finds nothing wrong by doctor, and what is wrong once it is', async () => {
      const well = await done(0, 'doctor')
      expect(well)
        .to.match(/^ok {6}lock file/m)
        .and.to.match(/^ok {6}DAL version/m)
      expect(well)
        .to.match(/^ok {6}permitted enctypes/m)
        .and.to.match(/^ok {6}krbtgt\/B.QKD@A.QKD -nokey/m)
      expect(well)
        .to.match(/^ok {6}krbtgt\/B.QKD@A.QKD clock/m)
        .and.to.match(/^ok {6}krbtgt\/B.QKD@A.QKD retention/m)
      await realm(0).kadmin(`modprinc -maxlife 20h ${TRUSTS[0]}`)
      await realm(0).kadmin(`cpw -keepold -pw other-pw ${TRUSTS[0]}`)
      const { exitCode, stdout, stderr } = await qkd(0, 'doctor', '--json')
      expect(exitCode, stderr).to.equal(EXIT_CODES.config.code)
      const faults = JSON.parse(stdout).findings.filter(({ state }: { state: string }) => state === 'fault')
      expect(faults.map(({ check }: { check: string }) => check)).to.deep.equal([
        `${TRUSTS[0]} -nokey`,
        `${TRUSTS[0]} retention`,
      ])
      await realm(0).kadmin(`modprinc -maxlife 10h ${TRUSTS[0]}`)
      await done(0, 'trust', 'rotate')
      await done(0, 'doctor')
      await rm(lockFileOf(realm(0).database))
      expect((await qkd(0, 'doctor')).stdout).to.contain('FAULT   lock file')
      expect(await done(0, 'doctor', '--mend')).to.contain('was made again')
    })

    it('begins kvnos again by a rekey', async () => {
      // Those below are still held for tickets that are out.
      expect(await done(0, 'trust', 'rekey', 'B.QKD')).to.contain('kvno 4 is in use')
      expect(await reaches(TRUSTS[0]!)).to.equal(4)
      expect((await status(0)).principals[0]!.current!.epoch).to.equal(65_539)
    })

    it('keeps the keytab of a service host, and exports one like it', async () => {
      const file = JSON.parse(await readFile(fileOf(1), 'utf8'))
      const service = { principal: WEB, role: 'issuer', peer: 'alice', window: 2 }
      file.peers[0].port = ports[2]
      file.principals = [...file.principals.filter(({ role }: { role: string }) => role === 'acceptor'), service]
      await writeFile(fileOf(1), JSON.stringify(file))
      const keytab = join(realms.directory, 'web.keytab')
      const words = ['kerberos', 'keytab', 'sync', WEB, '--keytab', keytab, '--peer', 'bob']
      const places = ['--state', join(realms.directory, 'web.json'), '--control', join(realms.directory, 'web.sock')]
      const listen = ['--listen', `127.0.0.1:${ports[2]}`, '--config', kms.profiles!.alice, '--json']
      const host = startQkd([...words, ...places, ...listen])
      agents.push(host)
      await firstLine(host)
      await stop(agents[0]!)
      await startAgent(1)
      await until(async () => (await status(1)).principals.at(-1)!.current !== null, 'the service has a key', {
        timeoutMs: 30_000,
      })
      expect(readKeytab(await readFile(keytab)).map(({ kvno }) => kvno)).to.deep.equal([1, 2])
      const client = realms.client()
      await client.kinit('alice@B.QKD', 'alice-pw')
      expect(await client.kvno(WEB, '-k', keytab)).to.equal(1)

      const exported = join(realms.directory, 'exported.keytab')
      expect(await done(1, 'keytab', 'export', WEB, '--keytab', exported)).to.contain('kvno 1')
      const [own] = readKeytab(await readFile(exported))
      const [theirs] = readKeytab(await readFile(keytab))
      expect(own!.secret.equals(theirs!.secret)).to.equal(true)
    })

    it('goes back to a password, given on standard input, while the agent runs', async () => {
      for (const at of [0, 1]) {
        const remote = realm(1 - at).name
        const [program, ...words] = qkdCommandLine([
          'kerberos',
          'trust',
          'remove',
          remote,
          '--kerberos',
          fileOf(at),
          '--kvno',
          '9',
        ])
        const child = spawn(program, words)
        child.stdin.end('trust-pw\n')
        const [code] = await once(child, 'close')
        expect(code).to.equal(0)
      }
      const client = realms.client()
      await client.kinit('alice@A.QKD', 'alice-pw')
      expect(await client.kvno(TRUSTS[0]!)).to.equal(9)
      await realm(1).kadmin('addprinc -randkey HTTP/plain.test')
      expect(await client.kvno('HTTP/plain.test@B.QKD')).to.be.above(0)
      expect(JSON.parse(await readFile(fileOf(0), 'utf8')).principals).to.deep.equal([])
      expect((await status(0)).principals).to.deep.equal([])
    })

    it('stops at SIGTERM with 0, and leaves no socket', async () => {
      for (const child of agents.splice(0)) {
        if (child.exitCode !== null) continue
        const exited = once(child, 'exit')
        child.kill('SIGTERM')
        expect((await exited)[0]).to.equal(0)
      }
      expect((await qkd(0, 'trust', 'status')).exitCode).to.equal(EXIT_CODES.unavailable.code)
    })
  })
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { requireKerberos } from '../helpers/kdc-realm.ts'
import { type KmsPair, kmsBackends } from '../helpers/kms-backends.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { createPluginRealms, type PluginRealms } from '../helpers/plugin-realms.ts'
import { until } from '../helpers/until.ts'
import { firstLine, runQkd, startQkd } from './run-qkd.ts'
import { stop } from './served-sites.ts'

const TRUST = 'krbtgt/B.QKD@A.QKD'
const SERVICE = 'HTTP/host-b.test@B.QKD'

describe('qkd kerberos, mode plugin', function () {
  this.timeout(120_000)
  let kms: KmsPair
  let realms: PluginRealms
  let port: number
  const agents: ChildProcessWithoutNullStreams[] = []

  before(async function () {
    requireKerberos(this)
    peerProgram(this, 'krb5-config', 'libkrb5-dev')
    kms = await kmsBackends.find(({ name }) => name === 'remote')!.create()
    realms = await createPluginRealms()
    await realms.realms[1]!.kadmin(`addprinc -randkey ${SERVICE}`)
    port = await freePort()
  })
  after(async () => {
    await Promise.all(agents.map(stop))
    await realms?.[Symbol.asyncDispose]()
    await kms?.[Symbol.asyncDispose]()
  })

  const fileOf = (at: number) => join(realms.directory, `kerberos-${at}.json`)
  const qkd = async (at: number, ...words: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await runQkd(['kerberos', ...words, '--kerberos', fileOf(at)])
    expect(exitCode, stderr).to.equal(0)
    return stdout
  }
  const add = async (at: 0 | 1) => {
    const { env, database, stash, name, directory } = realms.realms[at]!
    const remote = at === 0 ? ['--remote', 'B.QKD', '--peer', 'bob', '--direction', 'out'] : ['--remote', 'A.QKD']
    const way = at === 0 ? ['--connect', `127.0.0.1:${port}`] : ['--peer', 'alice', '--direction', 'in']
    const place = ['--database', database, '--stash-file', stash, '--krb5-conf', env.KRB5_CONFIG!]
    const listen = ['--listen', `127.0.0.1:${at === 1 ? port : 0}`, '--kdc-conf', env.KRB5_KDC_PROFILE!]
    await qkd(at, 'trust', 'add', '--mode', 'plugin', '--realm', name, ...remote, ...way, ...place, ...listen)
    const file = JSON.parse(await readFile(fileOf(at), 'utf8'))
    file.kdc.socket = realms.agents[at]!.socketPath
    file.stateFile = join(directory, 'state.json')
    file.controlSocket = join(directory, 'control.sock')
    await writeFile(fileOf(at), JSON.stringify(file))
  }
  const startAgent = async (at: 0 | 1) => {
    const profile = at === 0 ? kms.profiles!.alice : kms.profiles!.bob
    const child = startQkd(['kerberos', 'agent', '--kerberos', fileOf(at), '--config', profile, '--json'])
    agents.push(child)
    expect(JSON.parse(await firstLine(child))).to.include({ ready: true })
    return child
  }
  const reached = async () => {
    const client = realms.client()
    await client.kinit('alice', 'alice-pw')
    const kvno = await client.kvno(TRUST)
    await client.kvno(SERVICE)
    return kvno
  }
  const inUse = async () => JSON.parse(await qkd(0, 'trust', 'status', '--json')).principals[0].current?.kvno

  it('keys a trust of which neither KDC holds a key, rotates it, and goes on after a restart of both agents', async () => {
    await add(1)
    await add(0)
    await startAgent(1)
    const issuer = await startAgent(0)
    await until(async () => (await inUse()) === 1, 'the trust has a key', { timeoutMs: 30_000 })
    expect(await reached()).to.equal(1)
    expect(await qkd(0, 'trust', 'rotate', 'B.QKD')).to.contain('kvno 2 is in use')
    // The KDC may go on with its answer for a second.
    await until(async () => (await reached()) === 2, 'the KDC seals with kvno 2')
    for (const realm of realms.realms) expect(await realm.kadmin(`getprinc ${TRUST}`)).to.match(/Number of keys: 0/)

    await Promise.all([stop(issuer), stop(agents[0]!)])
    await startAgent(1)
    await startAgent(0)
    expect(await inUse()).to.equal(2)
    expect(await reached()).to.equal(2)
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

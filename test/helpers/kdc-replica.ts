import { type ChildProcess, spawn } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { runProgram, type TestRealm } from './kdc-realm.ts'
import { until } from './until.ts'

/** A second KDC of a realm, with a database of its own that only kprop brings up to date. */
export interface KdcReplica {
  readonly port: number
  readonly log: string
  /** Brings the realm's database over: `kdb5_util dump`, and kprop to a kpropd. */
  propagate(): Promise<void>
  /** Starts its KDC. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** Sets the replica up; it has no database before the first `propagate()`. */
export async function createReplica(realm: TestRealm, directory: string): Promise<KdcReplica> {
  const dir = join(directory, `${realm.name}-replica`)
  await mkdir(dir)
  const [port] = await freePorts(1)
  const [database, stash, log] = [join(dir, 'principal'), join(dir, 'stash'), join(dir, 'kdc.log')]
  const [keytab, acl, profile] = [join(dir, 'host.keytab'), join(dir, 'kpropd.acl'), join(dir, 'kdc.conf')]
  const host = `host/${hostname()}@${realm.name}`
  await copyFile(realm.stash, stash)
  await writeFile(acl, `${host}\n`)
  const conf = await readFile(realm.env.KRB5_KDC_PROFILE!, 'utf8')
  await writeFile(
    profile,
    conf.replaceAll(`${realm.directory}/`, `${dir}/`).replaceAll(`127.0.0.1:${realm.port}`, `127.0.0.1:${port}`),
  )
  const env = { ...realm.env, KRB5_KDC_PROFILE: profile }
  await realm.kadmin(`addprinc -randkey ${host}`)
  await realm.kadmin(`ktadd -k ${keytab} ${host}`)
  let kdc: ChildProcess | undefined
  return {
    port: port!,
    log,
    propagate: async () => {
      const dump = join(dir, 'dump')
      await realm.run('kdb5_util', ['dump', dump])
      await overKprop({ realm, env, dump, database, keytab, acl, received: join(dir, 'received') })
    },
    start: async () => {
      kdc = spawn('/usr/sbin/krb5kdc', ['-n', '-r', realm.name, '-P', join(dir, 'kdc.pid')], { env, stdio: 'ignore' })
      await until(() => answers(port!), 'the KDC of the replica listens')
    },
    stop: async () => {
      if (kdc === undefined || kdc.exitCode !== null) return
      const exited = once(kdc, 'exit')
      kdc.kill('SIGTERM')
      await exited
    },
  }
}

interface Propagation {
  readonly realm: TestRealm
  readonly env: NodeJS.ProcessEnv
  readonly dump: string
  readonly database: string
  readonly keytab: string
  readonly acl: string
  readonly received: string
}

/** kpropd listens on every interface by itself; given one connection as its standard input it serves that alone. */
async function overKprop({ realm, env, dump, database, keytab, acl, received }: Propagation): Promise<void> {
  // kprop takes the name of this machine for the replica's, which is 127.0.0.1 on one and another address on the next.
  const { address } = await lookup(hostname(), { family: 4 })
  const server = createServer({ pauseOnConnect: true }).listen(0, address)
  await once(server, 'listening')
  let said = ''
  const served = once(server, 'connection').then(async ([socket]) => {
    const args = [
      '-r',
      realm.name,
      '-s',
      keytab,
      '-f',
      received,
      '-F',
      database,
      '-a',
      acl,
      '-p',
      '/usr/sbin/kdb5_util',
    ]
    const kpropd = spawn('/usr/sbin/kpropd', args, { env, stdio: [socket, 'pipe', 'pipe'] })
    kpropd.stderr!.on('data', chunk => {
      said = (said + String(chunk)).slice(-4_000)
    })
    const [code] = await once(kpropd, 'close')
    socket.destroy()
    return code as number
  })
  try {
    const port = String((server.address() as AddressInfo).port)
    const args = ['-r', realm.name, '-f', dump, '-s', keytab, '-P', port, hostname()]
    const sent = await runProgram('/usr/sbin/kprop', args, { env: realm.env })
    if (sent.code !== 0) throw new Error(`kprop ended with ${sent.code}: ${sent.stderr} ${said}`)
    const code = await served
    if (code !== 0) throw new Error(`kpropd ended with ${code}: ${said}`)
  } finally {
    server.close()
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => (server.address() as AddressInfo).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

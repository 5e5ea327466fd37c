import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { peerProgram } from './peer-program.ts'
import { createTempDir } from './temp-dir.ts'
import { until } from './until.ts'

/** What came of a program. */
export interface ProgramRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** MIT Kerberos realms on loopback that know each other's KDCs, without a trust. */
export interface TestRealms extends AsyncDisposable {
  readonly directory: string
  /** In the order asked for. */
  readonly realms: readonly TestRealm[]
  /** A user's session with a credential cache of its own. */
  client(name?: string): TestClient
}

/** Options of `createTestRealms`. */
export interface TestRealmsOptions {
  /** Default A.QKD and B.QKD. */
  readonly names?: readonly string[]
  /** Further lines for `[realms]` of the realm's kdc.conf, such as `database_module = qkd`; `database_name` then is left out. */
  readonly realmLines?: (realm: TestRealm) => string
  /** Further sections for the realm's kdc.conf. */
  readonly sections?: (realm: TestRealm) => string
  /** Encryption types that all parties take. */
  readonly enctypes?: string
  /** Longest life of a ticket, as MIT spells it. Default 1d. */
  readonly maxLife?: string
}

const ENCTYPES = 'aes256-cts-hmac-sha384-192 aes256-cts-hmac-sha1-96'

/** Skips the test, or fails in CI, where the programs of MIT Kerberos are not installed. */
export function requireKerberos(test: { skip(): never }): void {
  for (const [program, debianPackage] of [
    ['krb5kdc', 'krb5-kdc'],
    ['kadmin.local', 'krb5-admin-server'],
    ['kvno', 'krb5-user'],
  ] as const) {
    peerProgram(test, program, debianPackage)
  }
}

/** Sets the realms up and starts their KDCs: principals `alice` (password `alice-pw`) in each, nothing else. */
export async function createTestRealms(options: TestRealmsOptions = {}): Promise<TestRealms> {
  const { names = ['A.QKD', 'B.QKD'], enctypes = ENCTYPES } = options
  const dir = await createTempDir('qkdkit-krb5-')
  const ports = await freePorts(names.length)
  const krb5Conf = join(dir.path, 'krb5.conf')
  const entries = names.map((name, i) => ` ${name} = {\n  kdc = 127.0.0.1:${ports[i]}\n }`).join('\n')
  await writeFile(
    krb5Conf,
    `[libdefaults]
 default_realm = ${names[0]}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 permitted_enctypes = ${enctypes}
[realms]
${entries}
`,
  )
  const realms = names.map((name, i) => new TestRealm(name, { root: dir.path, port: ports[i]!, krb5Conf, options }))
  const dispose = async () => {
    await Promise.all(realms.map(realm => realm.stop()))
    await dir[Symbol.asyncDispose]()
  }
  try {
    await Promise.all(realms.map(realm => realm.create()))
    await Promise.all(realms.map(realm => realm.start()))
  } catch (error) {
    await dispose()
    throw error
  }
  let clients = 0
  return {
    directory: dir.path,
    realms,
    client: (name = `client-${++clients}`) => new TestClient(join(dir.path, `${name}.cc`), krb5Conf),
    [Symbol.asyncDispose]: dispose,
  }
}

interface TestRealmParts {
  readonly root: string
  readonly port: number
  readonly krb5Conf: string
  readonly options: TestRealmsOptions
}

/** One realm: its database and its KDC. */
export class TestRealm {
  readonly name: string
  readonly directory: string
  readonly port: number
  /** Path of the db2 database. */
  readonly database: string
  readonly stash: string
  readonly log: string
  /** What every program of this realm's KDC host runs with. */
  readonly env: NodeJS.ProcessEnv
  readonly #options: TestRealmsOptions
  #kdc: ChildProcess | undefined

  constructor(name: string, { root, port, krb5Conf, options }: TestRealmParts) {
    this.name = name
    this.port = port
    this.directory = join(root, name)
    this.database = join(this.directory, 'principal')
    this.stash = join(this.directory, 'stash')
    this.log = join(this.directory, 'kdc.log')
    this.#options = options
    const kdcConf = join(this.directory, 'kdc.conf')
    this.env = { ...process.env, LC_ALL: 'C', KRB5_CONFIG: krb5Conf, KRB5_KDC_PROFILE: kdcConf, KRB5CCNAME: 'MEMORY:' }
  }

  /** Makes the database and its first principals. */
  async create(): Promise<void> {
    const { realmLines, sections, maxLife = '1d', enctypes = ENCTYPES } = this.#options
    await mkdir(this.directory)
    const types = enctypes.split(' ').map(type => `${type}:normal`)
    await writeFile(
      this.env.KRB5_KDC_PROFILE!,
      `[kdcdefaults]
 kdc_listen = 127.0.0.1:${this.port}
 kdc_tcp_listen = 127.0.0.1:${this.port}
[realms]
 ${this.name} = {
${realmLines === undefined ? `  database_name = ${this.database}` : realmLines(this)}
  key_stash_file = ${this.stash}
  acl_file = ${join(this.directory, 'kadm5.acl')}
  max_life = ${maxLife}
  supported_enctypes = ${types.join(' ')}
 }
[logging]
 kdc = FILE:${this.log}
${sections?.(this) ?? ''}
`,
    )
    await this.run('kdb5_util', ['create', '-s'], { input: 'master-pw\nmaster-pw\n' })
    await this.kadmin('addprinc -pw alice-pw alice')
  }

  /** Starts the KDC and waits until it answers. */
  async start(extraEnv: NodeJS.ProcessEnv = {}, ...extraArgs: readonly string[]): Promise<void> {
    const args = ['-n', '-r', this.name, '-P', join(this.directory, 'kdc.pid'), ...extraArgs]
    const kdc = spawn('/usr/sbin/krb5kdc', args, {
      env: { ...this.env, ...extraEnv },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#kdc = kdc
    let stderr = ''
    kdc.stderr.on('data', chunk => {
      stderr = (stderr + String(chunk)).slice(-4_000)
    })
    await until(async () => {
      if (kdc.exitCode !== null) throw new Error(`krb5kdc of ${this.name} ended at its start: ${stderr}`)
      return await answers(this.port)
    }, `krb5kdc of ${this.name} listens`)
  }

  /** Process of the KDC. */
  get pid(): number | undefined {
    return this.#kdc?.pid
  }

  async stop(): Promise<void> {
    const kdc = this.#kdc
    this.#kdc = undefined
    if (kdc === undefined || kdc.exitCode !== null || kdc.signalCode !== null) return
    const exited = once(kdc, 'exit')
    kdc.kill('SIGTERM')
    await exited
  }

  /** Runs one query in kadmin.local and gives what it printed; throws where it says that something failed. */
  async kadmin(query: string): Promise<string> {
    const { stdout, stderr } = await this.run('kadmin.local', ['-q', query])
    // kadmin.local ends with 0 whatever became of the query.
    if (/^(\w+: )?.*(while|invalid|Usage:)/m.test(stderr.replace(/^WARNING.*$/gm, ''))) {
      throw new Error(`kadmin.local ${query}: ${stderr}`)
    }
    return stdout
  }

  /** Runs `kdb5_util` or `kadmin.local` for this realm; throws where it fails. */
  async run(
    program: 'kdb5_util' | 'kadmin.local',
    args: readonly string[],
    { input = '' }: { input?: string } = {},
  ): Promise<ProgramRun> {
    const result = await runProgram(`/usr/sbin/${program}`, ['-r', this.name, ...args], { env: this.env, input })
    if (result.code !== 0) throw new Error(`${program} ${args[0]} ended with ${result.code}: ${result.stderr}`)
    return result
  }

  /** What the KDC has logged. */
  async logged(): Promise<string> {
    return await readFile(this.log, 'utf8')
  }
}

/** A user with a credential cache. */
export class TestClient {
  readonly ccache: string
  readonly env: NodeJS.ProcessEnv

  constructor(ccache: string, krb5Conf: string) {
    this.ccache = ccache
    this.env = { ...process.env, LC_ALL: 'C', KRB5_CONFIG: krb5Conf, KRB5CCNAME: `FILE:${ccache}` }
  }

  /** Logs in; throws where it fails. */
  async kinit(principal: string, password: string, ...options: readonly string[]): Promise<void> {
    const { code, stderr } = await runProgram('kinit', [...options, principal], {
      env: this.env,
      input: `${password}\n`,
    })
    if (code !== 0) throw new Error(`kinit ${principal}: ${stderr}`)
  }

  /** The kvno of a ticket for `service`; throws with what `kvno` says where there is none. */
  async kvno(service: string, ...options: readonly string[]): Promise<number> {
    const { code, stdout, stderr } = await runProgram('kvno', [...options, service], { env: this.env })
    if (code !== 0) throw new Error(`kvno ${service}: ${stderr}`)
    return Number(/kvno = (\d+)/.exec(stdout)?.[1])
  }

  /** `klist` of the cache. */
  async klist(...options: readonly string[]): Promise<string> {
    return (await runProgram('klist', options, { env: this.env })).stdout
  }
}

/** Runs a program to its end, at most for half a minute. */
export function runProgram(
  path: string,
  args: readonly string[],
  { env, input = '' }: { env: NodeJS.ProcessEnv; input?: string },
): Promise<ProgramRun> {
  return new Promise((resolve, reject) => {
    const child = execFile(path, [...args], { env, timeout: 30_000 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') return reject(error)
      resolve({ code: (error?.code as number | undefined) ?? 0, stdout, stderr })
    })
    child.stdin!.on('error', () => {})
    child.stdin!.end(input)
  })
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
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

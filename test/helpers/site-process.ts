import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import { expectStatusCounts } from './recount.ts'
import { createTempDir } from './temp-dir.ts'
import { createTestAuthority, type TestCredentials } from './test-certificates.ts'

/** The command from source, and as `npm run build` leaves it, which starts in a fraction of the time. */
export const QKD_SOURCE = ['--import', 'tsx', new URL('../../bin/qkd.ts', import.meta.url).pathname]
export const QKD_BUILT = [new URL('../../dist/bin/qkd.js', import.meta.url).pathname]
const READY_TIMEOUT_MS = 60_000

/**
 * Two sites, each a process of its own (`qkd site serve`), whose ports stay the same over restarts. At the end of every test what
 * they say of their pools must be what their stores hold: see `expectStatusCounts`.
 */
export interface SiteProcesses extends AsyncDisposable {
  /** The directory with configurations, stores and what the processes wrote to standard error. */
  readonly directory: string
  readonly processes: readonly [SiteProcess, SiteProcess]
  /** The processes of each site by role, the one that serves hosts last: `site`, or where they are apart `link`, `qnl`, `kms`. */
  readonly parts: readonly [ReadonlyMap<SiteRole, SiteProcess>, ReadonlyMap<SiteRole, SiteProcess>]
  /** A remote KMS for a host: alice and amy at the first site, bob and ben at the second. `port` is that of a replica. */
  kms(saeId: string, options?: { port?: number }): Kms
  /** What that host shows to its site, and the port where it asks. */
  host(saeId: string): TestCredentials & { port: number }
}

export interface SiteProcessesOptions {
  /** Default `lmdb`. */
  readonly store?: 'lmdb' | 'memory'
  /** URLs of PostgreSQL databases, for sites that keep their pools there. */
  readonly databases?: Partial<Record<'site-a' | 'site-b', string>>
  /** Default 200 Mb/s. */
  readonly rateBps?: number
  /** Default 16. */
  readonly targetBlocks?: number
  /** Further fields of `pool` in both configurations. */
  readonly pool?: Readonly<Record<string, number>>
  /** Fields of the link besides IDs, role and address; a link that a key proves finds one at `link.psk`. Default: simulated. */
  readonly link?: LinkFields | ((siteId: 'site-a' | 'site-b') => LinkFields)
  /** Runs what `npm run build` made, for runs that start many processes. Default false. */
  readonly built?: boolean
  /** Runs the source of another copy of the project, by its root. Default: this one. */
  readonly root?: string
  /** Runs the KMS of each site apart from its network layer and that from its links. Default all in one process. */
  readonly apart?: boolean
  /** Whether each site writes its decisions to `<siteId>.audit`. Default not. */
  readonly audit?: boolean
  /** Whether operators reach each site at `<siteId>.sock`. Default not. */
  readonly operators?: boolean
  /** A directory with stores that the sites begin with: `<siteId>.store`, and the key `<siteId>.kek`. Default none. */
  readonly from?: string
  /** What a site's process has in its environment besides this one's, by site and directory. Default nothing. */
  readonly env?: (siteId: 'site-a' | 'site-b', directory: string) => Readonly<Record<string, string>>
}

type LinkFields = Readonly<Record<string, unknown>>

/** What of a site one process runs: all of it, or a part. */
export type SiteRole = 'site' | 'link' | 'qnl' | 'kms'

/** One site, or a part of one, that can be killed and started again. */
export class SiteProcess {
  readonly siteId: string
  readonly #role: SiteRole
  readonly #configPath: string
  readonly #program: readonly string[]
  readonly #env: Readonly<Record<string, string>>
  #child: ChildProcess | undefined
  #stderr = ''

  constructor(
    siteId: string,
    configPath: string,
    {
      built,
      root,
      env = {},
      role = 'site',
    }: { built: boolean; root: string | undefined; env?: Readonly<Record<string, string>>; role?: SiteRole },
  ) {
    this.siteId = siteId
    this.#role = role
    this.#configPath = configPath
    this.#env = env
    this.#program = built ? QKD_BUILT : root === undefined ? QKD_SOURCE : ['--import', 'tsx', join(root, 'bin/qkd.ts')]
  }

  /** True from its start until it was ended. */
  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** What the process wrote to standard error since it began last, for the message of a failed test. */
  get stderr(): string {
    return this.#stderr
  }

  /** Starts the process and waits for its ready line. */
  async start(): Promise<void> {
    const args = [...this.#program, this.#role, 'serve', '--config', this.#configPath, '--json']
    const env = { ...process.env, ...this.#env }
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    this.#stderr = ''
    child.stderr!.on('data', chunk => {
      this.#stderr = (this.#stderr + String(chunk)).slice(-20_000)
    })
    const lines = createInterface({ input: child.stdout! })
    const ready = once(lines, 'line', { signal: AbortSignal.timeout(READY_TIMEOUT_MS) })
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`${this.siteId} ended at its start (${code ?? signal}): ${this.#stderr}`)
    })
    await Promise.race([ready, ended])
    ended.catch(() => {})
  }

  /** Resolves when the process has ended by itself, or by what somebody else did to it. */
  async ended(): Promise<void> {
    const child = this.#child
    if (child !== undefined && child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }

  /** `kill -9`; resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM; gives the exit code. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM')
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const exited = once(child, 'exit')
    child.kill(signal)
    const [code] = await exited
    return code as number | null
  }
}

const SAES = { 'site-a': ['alice', 'amy'], 'site-b': ['bob', 'ben'] } as const

function storeOf(siteId: 'site-a' | 'site-b', { store = 'lmdb', databases = {} }: SiteProcessesOptions) {
  const url = databases[siteId]
  const place = { path: `${siteId}.store`, kek: { file: `${siteId}.kek` } }
  if (url !== undefined)
    return { kind: 'postgresql', url, leaseMs: 3_000, replica: { id: `${siteId}-1`, port: 0 }, ...place }
  return store === 'memory' ? { kind: store } : { kind: store, ...place }
}

/** Writes configurations and certificates for two sites and starts both. */
export async function startSiteProcesses(options: SiteProcessesOptions = {}): Promise<SiteProcesses> {
  const { rateBps = 200_000_000, targetBlocks = 16, built = false, root, apart = false } = options
  const { link = { kind: 'simulated', rateBps }, audit = false, operators = false, env = () => ({}), from } = options
  const dir = await createTempDir('qkdkit-sites-')
  const authority = createTestAuthority()
  const [etsiA, etsiB, peerA, peerB, quantum, ...apartAt] = await freePorts(9)
  const write = async (siteId: 'site-a' | 'site-b', etsi: number, peerPort: number) => {
    const [remote, remotePeerPort] = siteId === 'site-a' ? (['site-b', peerB!] as const) : (['site-a', peerA!] as const)
    const { cert, key, ca } = authority.issue(`kme-${siteId}`)
    for (const [name, pem] of Object.entries({ cert, key, ca })) {
      await writeFile(join(dir.path, `${siteId}.${name}.pem`), pem, { mode: 0o600 })
    }
    const config = {
      siteId,
      kmeId: `kme-${siteId}`,
      listen: { port: etsi },
      peerListen: { port: peerPort },
      tls: { cert: `${siteId}.cert.pem`, key: `${siteId}.key.pem`, ca: `${siteId}.ca.pem` },
      saes: SAES[siteId].map(saeId => ({ saeId })),
      peers: [{ siteId: remote, kmeId: `kme-${remote}`, saes: SAES[remote], host: '127.0.0.1', port: remotePeerPort }],
      links: [
        {
          linkId: 'a-b',
          peerSiteId: remote,
          ...(typeof link === 'function' ? link(siteId) : link),
          role: siteId === 'site-b' ? 'listen' : 'connect',
          host: '127.0.0.1',
          port: quantum!,
        },
      ],
      store: storeOf(siteId, options),
      pool: { targetBlocks, ...options.pool },
      operators: { socket: `${siteId}.sock` },
      ...(apart && { services: servicesAt(apartAt.slice(siteId === 'site-a' ? 0 : 2)) }),
      ...(audit && { audit: { file: `${siteId}.audit` } }),
      ...(operators && { operators: { socket: `${siteId}.sock` } }),
    }
    const path = join(dir.path, `${siteId}.json`)
    await writeFile(path, JSON.stringify(config, null, 2))
    return path
  }
  for (const siteId of from === undefined ? [] : Object.keys(SAES)) {
    await cp(join(from!, `${siteId}.store`), join(dir.path, `${siteId}.store`), { recursive: true })
    await writeFile(join(dir.path, `${siteId}.kek`), await readFile(join(from!, `${siteId}.kek`)), { mode: 0o600 })
  }
  await writeFile(join(dir.path, 'link.psk'), randomBytes(32), { mode: 0o600 })
  const roles: readonly SiteRole[] = apart ? ['link', 'qnl', 'kms'] : ['site']
  const partsOf = (siteId: 'site-a' | 'site-b', path: string) => {
    const siteEnv = env(siteId, dir.path)
    return new Map(roles.map(role => [role, new SiteProcess(siteId, path, { built, root, env: siteEnv, role })]))
  }
  const parts = [
    partsOf('site-a', await write('site-a', etsiA!, peerA!)),
    partsOf('site-b', await write('site-b', etsiB!, peerB!)),
  ] as const
  const all = parts.flatMap(each => [...each.values()])
  const processes = [parts[0].get(roles.at(-1)!)!, parts[1].get(roles.at(-1)!)!] as const
  try {
    await Promise.all(all.map(part => part.start()))
  } catch (error) {
    await Promise.all(all.map(part => part.kill()))
    throw error
  }
  const credentials = new Map<string, TestCredentials>()
  const opened: Kms[] = []
  const host = (saeId: string) => {
    if (!credentials.has(saeId)) credentials.set(saeId, authority.issue(saeId))
    const port = (SAES['site-a'] as readonly string[]).includes(saeId) ? etsiA! : etsiB!
    return { ...credentials.get(saeId)!, port }
  }
  return {
    directory: dir.path,
    processes,
    parts,
    host,
    kms: (saeId, { port: replica } = {}) => {
      const { port, ...shown } = host(saeId)
      const kms = createRemoteKms({ saeId, baseUrl: `https://127.0.0.1:${replica ?? port}`, ...shown })
      opened.push(kms)
      return kms
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(opened.map(kms => kms.close()))
      try {
        const counted = processes.filter(site => site.isRunning && isRecounted(site.siteId as 'site-a', options))
        for (const { siteId } of counted) await expectStatusCounts(dir.path, siteId)
      } finally {
        await Promise.all(all.map(part => part.kill()))
        await dir[Symbol.asyncDispose]()
      }
    },
  }
}

function servicesAt([qnl, links]: readonly number[]) {
  return { qnl: { host: '127.0.0.1', port: qnl }, links: { host: '127.0.0.1', port: links } }
}

/** Whose store lies in files here, and who is asked by this copy of the project. */
function isRecounted(siteId: 'site-a' | 'site-b', { store = 'lmdb', databases, root }: SiteProcessesOptions): boolean {
  return store === 'lmdb' && databases?.[siteId] === undefined && root === undefined
}

/** Ports that were free a moment ago; they are held together so that none comes twice. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

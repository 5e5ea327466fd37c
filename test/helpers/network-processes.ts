import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { dialTlsChannel } from '../../lib/channel/tls-dial.ts'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import type { NetworkController } from '../../lib/interface/network-controller.ts'
import type { Qnl } from '../../lib/interface/qnl.ts'
import { createRemoteQnl } from '../../lib/qnl/remote-qnl.ts'
import { dialController } from '../../lib/site-network.ts'
import { qkdCommandLine } from '../bin/run-qkd.ts'
import { Fibre } from './fibre.ts'
import { freePorts } from './site-process.ts'
import { createTempDir } from './temp-dir.ts'
import { createTestAuthority } from './test-certificates.ts'

/** A site of a network to be started. */
export interface NetworkSite {
  readonly siteId: string
  /** Its hosts; a site without any only relays. */
  readonly saes?: readonly string[]
  /** Runs its node as a process of its own (`qkd network node`). */
  readonly apart?: boolean
}

export interface NetworkProcessesOptions {
  readonly sites: readonly NetworkSite[]
  readonly links: readonly { readonly a: string; readonly b: string; readonly rateBps: number }[]
  /** Pairs that share a pool. Default all pairs of sites with hosts. */
  readonly pairs?: readonly (readonly [string, string])[]
  /** Replicas of the controller. Default 1, with a file. */
  readonly controllers?: number
  /** URL of the database that replicas elect by. */
  readonly database?: string
  /** Default 250: tests run on machines that stand still for longer than a network would. */
  readonly heartbeatMs?: number
  /** Starts the nodes alone: whoever calls is the KMS of every site. Default false. */
  readonly nodesOnly?: boolean
  readonly pool?: object
  readonly keys?: object
}

/** A network of processes: controllers and sites, and a switch in the fibre of each link. */
export interface NetworkProcesses extends AsyncDisposable {
  readonly directory: string
  /** The controller as an operator reaches it. */
  readonly operator: NetworkController
  /** The processes by name: sites, `<site> node`, `controller-1` and so on. */
  readonly processes: ReadonlyMap<string, NetworkProcess>
  /** The fibre of a link, by `<a>-<b>`: cut it and mend it. */
  readonly fibres: ReadonlyMap<string, Fibre>
  kms(saeId: string): Kms
  /** The node of a site that runs apart, as its KMS reaches it. */
  qnl(siteId: string): Qnl
  /** Path of a host's profile, for the command line. */
  profile(saeId: string): Promise<string>
  /** What each process wrote to standard error last. */
  errors(): string
}

const READY_MS = 30_000

/** One process that can be ended and started again. */
export class NetworkProcess {
  readonly name: string
  readonly #args: readonly string[]
  #child: ChildProcess | undefined
  #stderr = ''

  constructor(name: string, args: readonly string[]) {
    this.name = name
    this.#args = args
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get stderr(): string {
    return this.#stderr
  }

  async start(): Promise<void> {
    const [program, ...words] = qkdCommandLine([...this.#args, '--json'])
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    child.stderr!.on('data', chunk => {
      this.#stderr = (this.#stderr + String(chunk)).slice(-50_000)
    })
    const ready = once(createInterface({ input: child.stdout! }), 'line', { signal: AbortSignal.timeout(READY_MS) })
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`${this.name} ended at its start (${code ?? signal}): ${this.#stderr}`)
    })
    await Promise.race([ready, ended])
    ended.catch(() => {})
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const exited = once(child, 'exit')
    child.kill(signal)
    return (await exited)[0] as number | null
  }
}

/** Writes configurations and certificates, and starts everything: controllers first, then nodes, then sites. */
export async function startNetwork(options: NetworkProcessesOptions): Promise<NetworkProcesses> {
  const { sites, links, controllers = 1, database, heartbeatMs = 250 } = options
  const dir = await createTempDir('qkdkit-network-')
  const authority = createTestAuthority()
  const ports = await freePorts(controllers + 4 * sites.length + links.length)
  const port = (kind: number, index: number) => ports[controllers + kind * sites.length + index]!
  const indexOf = (siteId: string) => sites.findIndex(site => site.siteId === siteId)
  const hosts = sites.filter(({ saes = [] }) => saes.length > 0)
  const pairs = options.pairs ?? hosts.flatMap((a, at) => hosts.slice(at + 1).map(b => [a.siteId, b.siteId] as const))
  const processes = new Map<string, NetworkProcess>()
  const fibres = new Map<string, Fibre>()
  const tls = async (name: string) => {
    const pems = authority.issue(name)
    for (const [part, pem] of Object.entries(pems)) {
      await writeFile(join(dir.path, `${name}.${part}.pem`), pem, { mode: 0o600 })
    }
    return { files: { cert: `${name}.cert.pem`, key: `${name}.key.pem`, ca: `${name}.ca.pem` }, pems }
  }
  const add = (name: string, args: readonly string[]) => processes.set(name, new NetworkProcess(name, args))
  const addresses = Array.from({ length: controllers }, (_, at) => ({
    controllerId: `controller-${at + 1}`,
    host: '127.0.0.1',
    port: ports[at]!,
  }))
  const dispose = async () => {
    await Promise.all([...processes.values()].map(each => each.end('SIGKILL')))
    await Promise.all([...fibres.values()].map(fibre => fibre.close()))
    await dir[Symbol.asyncDispose]()
  }
  try {
    for (const { controllerId, port: at } of addresses) {
      const path = join(dir.path, `${controllerId}.json`)
      const state =
        database === undefined ? { kind: 'file', path: `${controllerId}.state` } : { kind: 'postgresql', url: database }
      const file = {
        controllerId,
        listen: { port: at },
        tls: (await tls(controllerId)).files,
        sites: sites.map(({ siteId }) => ({ siteId, kmeId: `kme-${siteId}` })),
        operators: ['operator'],
        state,
      }
      await writeFile(path, JSON.stringify(file, null, 2))
      add(controllerId, ['network', 'serve', '--config', path])
    }
    const linkPorts = new Map<string, number>()
    for (const [at, { a, b }] of links.entries()) {
      const linkId = linkName(a, b)
      const listening = ports[controllers + 4 * sites.length + at]!
      linkPorts.set(linkId, listening)
      fibres.set(linkId, await Fibre.open({ to: listening }))
    }
    for (const [at, { siteId, saes = [], apart = options.nodesOnly ?? false }] of sites.entries()) {
      const partners = new Set([
        ...links.flatMap(({ a, b }) => (a === siteId ? [b] : b === siteId ? [a] : [])),
        ...pairs.flatMap(([a, b]) => (a === siteId ? [b] : b === siteId ? [a] : [])),
      ])
      const address = (kind: number, other: string) => ({ host: '127.0.0.1', port: port(kind, indexOf(other)) })
      const path = join(dir.path, `${siteId}.json`)
      const file = {
        siteId,
        kmeId: `kme-${siteId}`,
        listen: { port: port(0, at) },
        peerListen: { port: port(1, at) },
        tls: (await tls(`kme-${siteId}`)).files,
        saes: saes.map(saeId => ({ saeId })),
        peers: pairs.flatMap(([a, b]) => {
          if (a !== siteId && b !== siteId) return []
          const other = a === siteId ? b : a
          const peer = sites[indexOf(other)]!
          return [{ siteId: other, kmeId: `kme-${other}`, saes: peer.saes ?? [], ...address(1, other) }]
        }),
        links: links.flatMap(({ a, b, rateBps }) => {
          if (a !== siteId && b !== siteId) return []
          const other = a === siteId ? b : a
          const linkId = linkName(a, b)
          const listens = siteId > other
          const linkPort = listens ? linkPorts.get(linkId)! : fibres.get(linkId)!.port
          return [{ linkId, peerSiteId: other, kind: 'simulated', rateBps, host: '127.0.0.1', port: linkPort }]
        }),
        network: {
          listen: { port: port(2, at) },
          nodes: [...partners].sort().map(other => ({ siteId: other, kmeId: `kme-${other}`, ...address(2, other) })),
          controllers: addresses,
          heartbeatMs,
          ...(apart ? { qnl: { host: '127.0.0.1', port: port(3, at) } } : {}),
        },
        store: { kind: 'memory' },
        ...(options.pool === undefined ? {} : { pool: options.pool }),
        ...(options.keys === undefined ? {} : { keys: options.keys }),
      }
      await writeFile(path, JSON.stringify(file, null, 2))
      if (apart) add(`${siteId} node`, ['network', 'node', '--config', path])
      if (options.nodesOnly !== true) add(siteId, ['site', 'serve', '--config', path])
    }
    const names = [...processes.keys()]
    const inOrder = [names.filter(name => name.startsWith('controller-')), names.filter(name => name.endsWith(' node'))]
    for (const group of [...inOrder, names.filter(name => !inOrder.flat().includes(name))]) {
      // A few at a time: each start is a second of processor time.
      for (let from = 0; from < group.length; from += 4) {
        await Promise.all(group.slice(from, from + 4).map(name => processes.get(name)!.start()))
      }
    }
    const operator = dialController({ tls: (await tls('operator')).pems, network: { controllers: addresses } })
    const opened: (Kms | Qnl)[] = []
    const siteOf = (saeId: string) => sites.findIndex(({ saes = [] }) => saes.includes(saeId))
    const url = (saeId: string) => `https://127.0.0.1:${port(0, siteOf(saeId))}`
    return {
      directory: dir.path,
      operator,
      processes,
      fibres,
      kms: saeId => {
        const kms = createRemoteKms({ saeId, baseUrl: url(saeId), ...authority.issue(saeId) })
        opened.push(kms)
        return kms
      },
      qnl: siteId => {
        const expectedPeerId = `kme-${siteId}`
        const address = { host: '127.0.0.1', port: port(3, indexOf(siteId)) }
        const identify = () => expectedPeerId
        const credentials = authority.issue(expectedPeerId)
        const qnl = createRemoteQnl({
          siteId,
          dial: ({ signal }) => dialTlsChannel({ ...credentials, ...address, expectedPeerId, identify, signal }),
        })
        opened.push(qnl)
        return qnl
      },
      profile: async saeId => {
        const path = join(dir.path, `${saeId}.profile.json`)
        await writeFile(path, JSON.stringify({ saeId, kme: url(saeId), tls: (await tls(saeId)).files }))
        return path
      },
      errors: () => [...processes.values()].map(({ name, stderr }) => `--- ${name}\n${stderr.slice(-3000)}`).join('\n'),
      [Symbol.asyncDispose]: async () => {
        await Promise.all([...opened.map(each => each.close()), operator.close()])
        await dispose()
      },
    }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** The ID of the link between two sites. */
export function linkName(a: string, b: string): string {
  return [a, b].sort().join('-')
}

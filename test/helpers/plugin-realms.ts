import { execFile } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createKeyServer, type KeyServer, type KeyServerOptions } from '../../integrations/kerberos/key-server.ts'
import { type KvnoEntry, type KvnoLookup, KvnoTable } from '../../integrations/kerberos/kvno-table.ts'
import { hkdf, SecretKey } from '../../lib/index.ts'
import { buildKdcModule } from './kdc-module.ts'
import { createTestRealms, type TestRealm, type TestRealms, type TestRealmsOptions } from './kdc-realm.ts'

/** The agent of one KDC: what it knows, and the socket on which the KDC asks. */
export interface TestAgent {
  readonly table: KvnoTable
  readonly socketPath: string
  /** The server that listens now; undefined while the agent is down. */
  server: KeyServer | undefined
}

/** Realms whose KDCs take keys from agents, and what a site's administrator does with them. */
export interface PluginRealms extends TestRealms {
  readonly agents: readonly TestAgent[]
  /** Starts the agent of the realm's KDC, on its own table unless another is given. */
  startAgent(realm: number, options?: Partial<KeyServerOptions> & { readonly keys?: KvnoLookup }): Promise<void>
  stopAgent(realm: number): Promise<void>
  /** Makes a principal whose keys are the agent's alone. */
  addPoolPrincipal(realm: number, principal: string, mode?: 'epoch' | 'ticket'): Promise<void>
  /** What the sanitizers found in KDCs that have ended. */
  sanitizerReports(): Promise<string>
}

/** Options of `createPluginRealms`. */
export interface PluginRealmsOptions extends Pick<TestRealmsOptions, 'names' | 'maxLife'> {
  /** Which build of the module; `checked` runs the KDCs under the sanitizers. Default `all`, what is shipped. */
  readonly build?: 'all' | 'checked'
  /** The clock of the agents. */
  readonly now?: () => number
}

/** Realms on loopback with the database module in their KDCs, and an agent for each of them. */
export async function createPluginRealms(options: PluginRealmsOptions = {}): Promise<PluginRealms> {
  const { build = 'all', now = Date.now, ...rest } = options
  const moduleDir = await buildKdcModule('all')
  const realms = await createTestRealms({
    ...rest,
    realmLines: () => '  database_module = qkd',
    sections: realm => `[dbmodules]
 db_module_dir = ${moduleDir}
 qkd = {
  db_library = qkdkdb
  database_name = ${realm.database}
  qkd_socket = ${socketOf(realm)}
 }
`,
  })
  const agents: TestAgent[] = realms.realms.map(realm => ({
    table: new KvnoTable({ now, maxVersions: 1000 }),
    socketPath: socketOf(realm),
    server: undefined,
  }))
  const made: PluginRealms = {
    ...realms,
    agents,
    startAgent: async (realm, { keys, ...serverOptions } = {}) => {
      const { table, socketPath } = agents[realm]!
      const server = createKeyServer(keys ?? table, { socketPath, now, ...serverOptions })
      await server.listen()
      agents[realm]!.server = server
    },
    stopAgent: async realm => {
      await agents[realm]!.server?.close()
      agents[realm]!.server = undefined
    },
    addPoolPrincipal: async (at, principal, mode = 'epoch') => {
      await realms.realms[at]!.kadmin(`addprinc -nokey ${principal}`)
      await realms.realms[at]!.kadmin(`setstr ${principal} qkd ${mode}`)
    },
    sanitizerReports: () => readReports(realms.directory, 'sanitizer.'),
    [Symbol.asyncDispose]: async () => {
      for (const { server, table } of agents) {
        await server?.close()
        table[Symbol.dispose]()
      }
      await realms[Symbol.asyncDispose]()
    },
  }
  if (build === 'checked') await restartChecked(realms, await buildKdcModule('checked'))
  return made
}

/** Starts the KDCs again with the sanitized module; kadmin and kdb5_util stay with the plain one, which they can load. */
async function restartChecked({ directory, realms }: TestRealms, moduleDir: string): Promise<void> {
  const env = await sanitizerEnv(join(directory, 'sanitizer'))
  for (const realm of realms) {
    const profile = await readFile(realm.env.KRB5_KDC_PROFILE!, 'utf8')
    const checked = join(realm.directory, 'kdc-checked.conf')
    await writeFile(checked, profile.replace(/db_module_dir = .*/, `db_module_dir = ${moduleDir}`))
    await realm.stop()
    await realm.start({ ...env, KRB5_KDC_PROFILE: checked })
  }
}

function socketOf(realm: TestRealm): string {
  return join(realm.directory, 'agent.sock')
}

/** What a program that was not built with the sanitizers needs to load a library that was. */
async function sanitizerEnv(reports: string): Promise<NodeJS.ProcessEnv> {
  const libraries = await Promise.all(
    ['libasan.so', 'libubsan.so'].map(name => promisify(execFile)('gcc', [`-print-file-name=${name}`])),
  )
  return {
    LD_PRELOAD: libraries.map(({ stdout }) => stdout.trim()).join(' '),
    ASAN_OPTIONS: `log_path=${reports}:detect_leaks=1:abort_on_error=0:exitcode=99`,
    UBSAN_OPTIONS: `log_path=${reports}:print_stacktrace=1`,
  }
}

async function readReports(dir: string, prefix: string): Promise<string> {
  const names = (await readdir(dir)).filter(name => name.startsWith(prefix))
  return (await Promise.all(names.map(name => readFile(join(dir, name), 'utf8')))).join('\n')
}

/** Announces the same fresh key in every table, as the agents of a trust have agreed on it. */
export function announce(tables: readonly KvnoTable[], principal: string, epoch: number): void {
  using agreed = SecretKey.random(32)
  for (const table of tables) {
    const secret = (info: string) => hkdf(agreed, { hash: 'sha256', info, sizeBytes: 32 })
    table.announce({
      principal,
      epoch,
      keyId: `${principal} ${epoch}`,
      keys: [
        { enctype: 20, secret: secret('20') },
        { enctype: 18, secret: secret('18') },
      ],
    })
  }
}

/** One rotation in the order of the agents: the acceptor knows the key before the issuer uses it. */
export function rotate(
  { issuer, acceptors }: { issuer: KvnoTable; acceptors: readonly KvnoTable[] },
  principal: string,
  { epoch = issuer.lastEpoch(principal) + 1, retainMs = 3_600_000 } = {},
): KvnoEntry {
  announce([...acceptors, issuer], principal, epoch)
  for (const acceptor of acceptors) acceptor.promote(principal, epoch, { retainMs })
  return issuer.promote(principal, epoch, { retainMs })
}

import { randomInt } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Loss, TestDisk } from './disk/test-disk.ts'
import type { TraceReport } from './key-trace.ts'
import { runKillTrace } from './kill-trace.ts'
import { PostgresNode } from './postgres.ts'
import type { SiteProcess } from './site-process.ts'

const MAX_STEPS = 40

export interface PostgresPowerOptions {
  readonly programs: string
  /** How often the machines of one of the two sites lose their power. */
  readonly losses: number
  /** Settings of both servers, where they are not as they come. */
  readonly settings?: Readonly<Record<string, string>>
  readonly built?: boolean
  readonly log?: (line: string) => void
}

/**
 * As `runPowerTrace`, with the pools of each site in a PostgreSQL server of its own: server and site lose their power together,
 * each with what it had not synced.
 */
export async function runPostgresPower({
  programs,
  losses,
  settings = {},
  built = false,
  log = () => {},
}: PostgresPowerOptions): Promise<TraceReport & { lostSteps: number }> {
  const diskAt = await TestDisk.prepare()
  await using nodeA = await PostgresNode.create(programs, settings)
  await using nodeB = await PostgresNode.create(programs, settings)
  const at = new Map<string, { node: PostgresNode; serverDisk: TestDisk; siteDisk?: TestDisk }>()
  for (const [siteId, node] of [
    ['site-a', nodeA],
    ['site-b', nodeB],
  ] as const) {
    const { directory } = node
    const serverDisk = diskAt({ root: join(directory, 'data/'), socket: join(directory, 'disk'), program: 'postgres' })
    at.set(siteId, { node, serverDisk })
    await startOn(node, serverDisk)
  }
  let turn = 0
  let lostSteps = 0
  const end = async (site: SiteProcess) => {
    const { node, serverDisk, siteDisk } = at.get(site.siteId)!
    const loss: Loss = turn++ % 2 === 0 ? 'half' : 'all'
    const seed = randomInt(2 ** 32)
    // The server goes at one of its steps; whatever the site has heard of by then, it was to be durable.
    const { lost } = await serverDisk.lose(loss, { at: randomInt(1, MAX_STEPS), seed })
    const own = await siteDisk!.lose(loss, { seed })
    lostSteps += lost + own.lost
    await site.ended()
    // What says that a server runs does not outlast a machine.
    for (const name of ['data/postmaster.pid', '.s.PGSQL.5432', '.s.PGSQL.5432.lock'])
      await rm(join(node.directory, name), { force: true })
    await startOn(node, serverDisk)
  }
  const report = await runKillTrace({
    kills: losses,
    end,
    built,
    log,
    sites: {
      databases: { 'site-a': nodeA.url, 'site-b': nodeB.url },
      env: (siteId, directory) => {
        const siteDisk = diskAt({ root: `${directory}/${siteId}.`, socket: join(directory, `disk-${siteId}`) })
        at.set(siteId, { ...at.get(siteId)!, siteDisk })
        return siteDisk.env
      },
    },
  })
  return { ...report, lostSteps }
}

/** Starts a server on such a disk: the programs that start it hand the environment on. */
async function startOn(node: PostgresNode, { env }: TestDisk): Promise<void> {
  const before = Object.keys(env).map(name => [name, process.env[name]] as const)
  Object.assign(process.env, env)
  try {
    await node.start()
  } catch (cause) {
    throw new Error(await readFile(join(node.directory, 'log'), 'utf8').then(text => text.slice(-3000)), { cause })
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { bytesUsedTwice, type PadUse } from './pad-recorder.ts'
import type { RelaySiteConfig } from './relay-site.ts'
import { freePorts } from './site-process.ts'
import { createTempDir } from './temp-dir.ts'
import { createTestAuthority } from './test-certificates.ts'

const SITE_IDS = ['a', 'b', 'c', 'd'] as const
const PROGRAM = new URL('./relay-site.ts', import.meta.url).pathname
const READY_MS = 60_000
/** Without a new block at both ends for so long, something is stuck. */
const STUCK_MS = 60_000
const POLL_MS = 200

export interface RelayTraceOptions {
  /** Blocks that both ends must have got. */
  readonly blocks: number
  readonly chunkBytes: number
  /** Relays announce instead of passing chunks on. Default false. */
  readonly announce?: boolean
  /** Time from one kill to the next, in milliseconds: from half of it to one and a half. */
  readonly killEveryMs: number
  /** Kills at least, even if the blocks are there before. */
  readonly minKills: number
  readonly log?: (line: string) => void
}

/** What became of the key. All but the first four must be 0. */
export interface RelayTraceReport {
  readonly blocks: number
  readonly kills: number
  readonly padUses: number
  /** Blocks that one end alone handed out: lost to a kill between the two. */
  readonly single: number
  readonly bytesUsedTwice: number
  /** Blocks with other bytes or another label at the other end. */
  readonly different: number
  /** Blocks that an end handed out again. */
  readonly twice: number
}

class Site {
  readonly siteId: string
  readonly #configPath: string
  #child: ChildProcess | undefined
  stderr = ''

  constructor(siteId: string, configPath: string) {
    this.siteId = siteId
    this.#configPath = configPath
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, this.#configPath], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    child.stderr!.on('data', chunk => {
      this.stderr = (this.stderr + String(chunk)).slice(-10_000)
    })
    const ready = once(createInterface({ input: child.stdout! }), 'line', { signal: AbortSignal.timeout(READY_MS) })
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`Site ${this.siteId} ended at its start (${code ?? signal}): ${this.stderr}`)
    })
    await Promise.race([ready, ended])
    ended.catch(() => {})
  }

  get ended(): boolean {
    return this.#child?.exitCode !== null
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
}

/** The blocks that one end handed out, read as they are written. */
class BlockLog {
  readonly blocks = new Map<string, string>()
  twice = 0
  #at = 0
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async read(): Promise<void> {
    if (!existsSync(this.#path)) return
    const chunks: Buffer[] = []
    for await (const chunk of createReadStream(this.#path, { start: this.#at })) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString('utf8')
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    this.#at += Buffer.byteLength(whole)
    for (const line of whole.split('\n').slice(0, -1)) {
      const [number, ...rest] = line.split(' ')
      if (this.blocks.has(number!)) this.twice += 1
      this.blocks.set(number!, rest.join(' '))
    }
  }
}

/**
 * A chain of four sites, each a process of its own: blocks go from end to end over three hops while one process after
 * the other, relays and ends alike, is killed with SIGKILL at a random moment and started again.
 */
export async function runRelayTrace(options: RelayTraceOptions): Promise<RelayTraceReport> {
  const { blocks, chunkBytes, announce = false, killEveryMs, minKills, log = () => {} } = options
  await using dir = await createTempDir('qkdkit-relay-')
  const authority = createTestAuthority()
  const ports = await freePorts(SITE_IDS.length + 3)
  const nodePorts = Object.fromEntries(SITE_IDS.map((site, i) => [site, ports[i]!]))
  const linkPorts = Object.fromEntries(['a-b', 'b-c', 'c-d'].map((link, i) => [link, ports[SITE_IDS.length + i]!]))
  const file = (name: string) => join(dir.path, name)
  const sites = await Promise.all(
    SITE_IDS.map(async siteId => {
      const { cert, key, ca } = authority.issue(`kme-${siteId}`)
      const config: RelaySiteConfig = {
        siteId,
        siteIds: SITE_IDS,
        nodePorts,
        linkPorts,
        tls: { cert, key, ca },
        rateBps: 400_000_000,
        announce,
        limits: { chunkBytes, resendMs: 500, settleMs: 200, readyBlocks: 64, stockBlocks: 64, blockLifeMs: 15_000 },
        stock: file(`${siteId}.stock`),
        padLog: file(`${siteId}.pads`),
        blockLog: file(`${siteId}.blocks`),
      }
      await writeFile(file(`${siteId}.json`), JSON.stringify(config), { mode: 0o600 })
      return new Site(siteId, file(`${siteId}.json`))
    }),
  )
  const ends = [new BlockLog(file('a.blocks')), new BlockLog(file('d.blocks'))] as const
  const both = () => [...ends[0].blocks.keys()].filter(number => ends[1].blocks.has(number))
  let kills = 0
  try {
    await Promise.all(sites.map(site => site.start()))
    let [seen, progressMs] = [0, performance.now()]
    const nextKill = () => performance.now() + killEveryMs * (0.5 + Math.random())
    let killMs = nextKill()
    for (;;) {
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
      await Promise.all(ends.map(end => end.read()))
      const now = both().length
      if (now > seen) [seen, progressMs] = [now, performance.now()]
      if (seen >= blocks && kills >= minKills) break
      if (performance.now() - progressMs > STUCK_MS) {
        throw new Error(`No block for ${STUCK_MS} ms after ${seen}: ${sites.map(site => site.stderr).join('\n')}`)
      }
      if (performance.now() < killMs) continue
      const site = sites[Math.floor(Math.random() * sites.length)]!
      kills += 1
      log(`${seen} of ${blocks} blocks; kill ${kills}: ${site.siteId}`)
      await site.kill()
      await site.start()
      killMs = nextKill()
    }
  } finally {
    await Promise.all(sites.map(site => site.kill()))
  }
  await Promise.all(ends.map(end => end.read()))
  const matched = both()
  const uses = (await Promise.all(SITE_IDS.map(site => readUses(file(`${site}.pads`))))).flat()
  return {
    blocks: matched.length,
    kills,
    padUses: uses.length,
    single: ends[0].blocks.size + ends[1].blocks.size - 2 * matched.length,
    bytesUsedTwice: bytesUsedTwice(uses),
    different: matched.filter(number => ends[0].blocks.get(number) !== ends[1].blocks.get(number)).length,
    twice: ends[0].twice + ends[1].twice,
  }
}

/** The uses that one process wrote down; a kill may have left half a line. */
async function readUses(path: string): Promise<PadUse[]> {
  if (!existsSync(path)) return []
  const uses: PadUse[] = []
  for await (const line of createInterface({ input: createReadStream(path) })) {
    // A process that is killed in the middle of a line begins the next one on it when it is back: both are wanted.
    for (const part of line.split(/(?<=\})(?=\{)/))
      if (part.startsWith('{') && part.endsWith('}')) uses.push(JSON.parse(part) as PadUse)
  }
  return uses
}

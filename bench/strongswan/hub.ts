import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createIpsecAgent, type IpsecAgent, type IpsecAgentConfig } from '../../integrations/strongswan/index.ts'
import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import { createLocalPair } from '../../lib/site.ts'
import { CharonNode } from '../../test/helpers/charon/charon-node.ts'
import { createNamespaceStar, type Namespace } from '../../test/helpers/charon/namespace-pair.ts'
import { createTempDir } from '../../test/helpers/temp-dir.ts'
import { until } from '../../test/helpers/until.ts'
import { cpuTimeMs, elapsedMs } from '../report.ts'

/** What one agent with many peers came to. */
export interface HubFigures {
  /** From its start until every peer's tunnel stands on a key, in milliseconds. */
  readonly startMs: number
  /** Rotations of all of them at once, a minute. */
  readonly perMinute: number
  /** How long one rotation took while all of them were under way, in milliseconds. */
  readonly rotationsMs: readonly number[]
  /** Processor time of the charon of the hub for a rotation, in milliseconds. */
  readonly charonCpuMs: number
  /** Tunnels that charon itself says stand on a PPK at the end. */
  readonly underPpk: number
}

/** One agent at the hub with a charon, and one for each of its peers with a charon of its own. */
export async function measureHub({ peers, rounds }: { peers: number; rounds: number }): Promise<HubFigures> {
  const names = Array.from({ length: peers }, (_, at) => `peer-${at + 1}`)
  const sites = await createLocalPair({
    rateBps: 100_000_000,
    sites: [
      { siteId: 'site-a', saeIds: ['hub'] },
      { siteId: 'site-b', saeIds: names },
    ],
  })
  await using stack = new Closing()
  for (const site of sites) stack.add(site)
  const directory = stack.add(await createTempDir('qkdkit-hub-')).path
  const star = stack.add(await createNamespaceStar(peers))
  const charonOf = async (name: string, namespace: Namespace) => {
    await mkdir(join(directory, name))
    const charon = stack.add(new CharonNode(namespace, join(directory, name), {}))
    await charon.start()
    return charon
  }
  const center = await charonOf('hub', star.hub)
  const charons = new Map<string, CharonNode>()
  for (const [at, name] of names.entries()) charons.set(name, await charonOf(name, star.peers[at]!))
  const secretFile = join(directory, 'secret')
  await writeFile(secretFile, 'a static secret', { mode: 0o600 })
  const config = (end: 'a' | 'b', chosen: readonly string[]): IpsecAgentConfig => ({
    saeProfile: 'not read here',
    viciSocket: (end === 'a' ? center : charons.get(chosen[0]!)!).viciPath,
    listen: { host: '127.0.0.1', port: 0 },
    stateDir: join(directory, end === 'a' ? 'hub' : chosen[0]!, 'state'),
    spoolDir: 'not read here',
    controlSocket: 'not read here',
    reconcileSeconds: 60,
    peers: end === 'b' ? [{ saeId: 'hub' }] : chosen.map(saeId => ({ saeId, agent: { host: '127.0.0.1', port: 1 } })),
    connections: chosen.map(name => connection(end, name, names.indexOf(name), secretFile)),
  })
  const far = new Map<string, IpsecAgent>()
  for (const name of names) {
    const dial = () => Promise.reject(new Error('A responder dials nobody'))
    far.set(name, stack.add(createIpsecAgent({ config: config('b', [name]), kms: sites[1].kmsFor(name), dial })))
  }
  const hub = stack.add(
    createIpsecAgent({
      config: config('a', names),
      kms: sites[0].kmsFor('hub'),
      dial: async ({ saeId }) => {
        const [near, other] = createMemoryChannelPair(['hub', saeId])
        far.get(saeId)!.accept(other)
        return near
      },
    }),
  )
  const rotationsMs: number[] = []
  let rotated = 0
  hub.onEvent(event => {
    if (event.type !== 'rotated') return
    rotated += 1
    const { prepareMs = 0, establishMs = 0, confirmMs = 0, retireMs = 0 } = event.times ?? {}
    rotationsMs.push(prepareMs + establishMs + confirmMs + retireMs)
  })
  await Promise.all([...far.values()].map(agent => agent.start()))
  const startMs = await elapsedMs(async () => {
    await hub.start()
    await until(() => rotated >= peers, `${peers} tunnels`, { timeoutMs: 120_000 })
  })
  rotationsMs.length = 0
  const cpuBefore = cpuTimeMs(center.pid!)!
  const ms = await elapsedMs(async () => {
    for (let round = 0; round < rounds; round += 1) await hub.rotate()
  })
  const charonCpuMs = (cpuTimeMs(center.pid!)! - cpuBefore) / (rounds * peers)
  const underPpk = (await center.sas()).filter(({ ppk, state }) => ppk && state === 'ESTABLISHED').length
  return { startMs, perMinute: (rounds * peers * 60_000) / ms, rotationsMs, charonCpuMs, underPpk }
}

function connection(
  end: 'a' | 'b',
  name: string,
  at: number,
  secretFile: string,
): IpsecAgentConfig['connections'][number] {
  const ends = [
    { id: 'hub', addresses: ['192.0.2.1'], net: '10.1.0.0/24' },
    { id: name, addresses: [`192.0.2.${10 + at}`], net: `10.2.${at}.0/24` },
  ] as const
  const [own, other] = end === 'a' ? ends : [ends[1], ends[0]]
  return {
    name,
    peer: end === 'a' ? name : 'hub',
    mode: 'ppk',
    role: end === 'a' ? 'initiator' : 'responder',
    local: own,
    remote: other,
    auth: 'psk',
    secretFile,
    proposals: ['aes256-sha256-x25519'],
    children: [
      { name: 'net', localTs: [own.net], remoteTs: [other.net], espProposals: ['aes256gcm16-x25519'], settings: {} },
    ],
    rotation: { everySeconds: 3_600 },
    settings: {},
  }
}

/** What was opened, closed in the opposite order; Node 20 has no AsyncDisposableStack. */
class Closing implements AsyncDisposable {
  readonly #parts: AsyncDisposable[] = []

  add<T extends AsyncDisposable>(part: T): T {
    this.#parts.push(part)
    return part
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.#parts.reverse()) await part[Symbol.asyncDispose]()
  }
}

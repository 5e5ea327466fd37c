import { run } from './run.ts'

/** One network namespace: the outer address, at which IKE and ESP are spoken, and the one behind the tunnel. */
export interface Namespace {
  readonly name: string
  readonly address: string
  readonly innerAddress: string
  /** Cuts the cable at this end, and joins it again. */
  setCable(state: 'up' | 'down'): Promise<void>
}

const PREFIX = 'qkd-'
let made = 0

/**
 * Two network namespaces joined by a cable (a veth pair). Their names hold the process's id, so that runs don't meet; what
 * an earlier process left behind, because it was killed, is removed.
 */
export async function createNamespacePair(): Promise<{ a: Namespace; b: Namespace } & AsyncDisposable> {
  await removeOrphans()
  made += 1
  const stem = `${PREFIX}${process.pid}-${made}`
  const [a, b] = [namespace(`${stem}-a`, 1), namespace(`${stem}-b`, 2)]
  const remove = async () => {
    for (const { name } of [a, b]) await run('ip', ['netns', 'del', name]).catch(() => {})
  }
  try {
    await run('ip', ['netns', 'add', a.name])
    await run('ip', ['netns', 'add', b.name])
    const [cable, otherEnd] = [cableOf(a.name), cableOf(b.name)]
    await run('ip', ['link', 'add', cable, 'netns', a.name, 'type', 'veth', 'peer', 'name', otherEnd, 'netns', b.name])
    for (const { name, address, innerAddress } of [a, b]) {
      await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
      await run('ip', ['-n', name, 'addr', 'add', `${address}/24`, 'dev', cableOf(name)])
      await run('ip', ['-n', name, 'link', 'set', cableOf(name), 'up'])
      // Without an address of its own inside the traffic selector, kernel-libipsec refuses the policy.
      await run('ip', ['-n', name, 'addr', 'add', `${innerAddress}/32`, 'dev', 'lo'])
    }
  } catch (error) {
    await remove()
    throw error
  }
  return { a, b, [Symbol.asyncDispose]: remove }
}

/**
 * One namespace in the middle (192.0.2.1, behind it 10.1.0.1) with a cable to each of `count` others (192.0.2.10 and so on,
 * behind them 10.2.0.1 and so on).
 */
export async function createNamespaceStar(
  count: number,
): Promise<{ hub: Namespace; peers: readonly Namespace[] } & AsyncDisposable> {
  await removeOrphans()
  const names: string[] = []
  const remove = async () => {
    for (const name of names) await run('ip', ['netns', 'del', name]).catch(() => {})
  }
  const add = async (end: 'a' | 'b', address: string, innerAddress: string): Promise<Namespace> => {
    const name = nextStem(end)
    await run('ip', ['netns', 'add', name])
    names.push(name)
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
    await run('ip', ['-n', name, 'addr', 'add', `${innerAddress}/32`, 'dev', 'lo'])
    return { ...namespace(name, 1), address, innerAddress }
  }
  try {
    const hub = await add('a', '192.0.2.1', '10.1.0.1')
    const peers: Namespace[] = []
    for (let at = 0; at < count; at += 1) {
      const peer = await add('b', `192.0.2.${10 + at}`, `10.2.${at}.1`)
      const [near, far] = [`to-${at}`, cableOf(peer.name)]
      await run('ip', ['link', 'add', near, 'netns', hub.name, 'type', 'veth', 'peer', 'name', far, 'netns', peer.name])
      await run('ip', ['-n', peer.name, 'addr', 'add', `${peer.address}/24`, 'dev', far])
      await run('ip', ['-n', peer.name, 'link', 'set', far, 'up'])
      await run('ip', ['-n', hub.name, 'addr', 'add', `${hub.address}/32`, 'dev', near])
      await run('ip', ['-n', hub.name, 'link', 'set', near, 'up'])
      await run('ip', ['-n', hub.name, 'route', 'add', `${peer.address}/32`, 'dev', near, 'src', hub.address])
      peers.push(peer)
    }
    return { hub, peers, [Symbol.asyncDispose]: remove }
  } catch (error) {
    await remove()
    throw error
  }
}

function nextStem(end: 'a' | 'b'): string {
  made += 1
  return `${PREFIX}${process.pid}-${made}-${end}`
}

function namespace(name: string, host: number): Namespace {
  return {
    name,
    address: `192.0.2.${host}`,
    innerAddress: `10.${host}.0.1`,
    setCable: async state => {
      await run('ip', ['-n', name, 'link', 'set', cableOf(name), state])
    },
  }
}

/** Names of interfaces have at most 15 characters. */
function cableOf(name: string): string {
  return `q${name.slice(PREFIX.length)}`
}

async function removeOrphans(): Promise<void> {
  const names = (await run('ip', ['netns', 'list'])).split('\n').map(line => line.split(' ')[0] ?? '')
  for (const name of names) {
    const owner = new RegExp(`^${PREFIX}(\\d+)-\\d+-[ab]$`).exec(name)?.[1]
    if (owner !== undefined && !isAlive(Number(owner))) await run('ip', ['netns', 'del', name]).catch(() => {})
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

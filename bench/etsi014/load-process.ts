/**
 * The caller: raw TLS connections that send requests made beforehand and read no more of an answer than where it ends, in a
 * process of its own. It costs less than any server that parses HTTP.
 */
import { answer } from '../tls/bench-process.ts'
import { LoadConnection, type LoadTarget } from './load-connection.ts'

/** One slice of requests. */
export interface Slice {
  readonly target: LoadTarget
  readonly connections: number
  /** As they go on the wire; shared out among the connections. One is sent again and again, `count` times. */
  readonly requests: readonly string[]
  readonly count: number
  /** Opens a connection for each request. */
  readonly fresh: boolean
  /** Gives the answers back, to draw key_IDs from. */
  readonly keep: boolean
}

/** What came of it. */
export interface SliceResult {
  readonly elapsedMs: number
  /** Of each request, in milliseconds. */
  readonly latenciesMs: number[]
  readonly bodies: string[]
}

const open = new Map<string, LoadConnection[]>()

async function run(slice: Slice): Promise<SliceResult> {
  const { target, connections, requests, count, fresh, keep } = slice
  const pool = fresh ? [] : await connectionsTo(target, connections)
  const latenciesMs: number[] = []
  const bodies: string[] = []
  let next = 0
  const started = performance.now()
  const caller = async (connection: LoadConnection | undefined) => {
    while (next < count) {
      const request = requests[next % requests.length]!
      next += 1
      const at = performance.now()
      const used = connection ?? (await LoadConnection.open(target))
      const body = await used.ask(request, keep)
      if (connection === undefined) used.close()
      latenciesMs.push(performance.now() - at)
      if (keep) bodies.push(body)
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, n) => caller(pool[n])))
  return { elapsedMs: performance.now() - started, latenciesMs, bodies }
}

/** Connections that stay open between slices, so that their handshakes count in none. */
async function connectionsTo(target: LoadTarget, count: number): Promise<LoadConnection[]> {
  const key = `${target.port} ${target.cert}`
  // Servers close what is idle for long, as it is here while others are measured on a busy machine.
  const pool = (open.get(key) ?? []).filter(({ isOpen }) => isOpen)
  open.set(key, pool)
  while (pool.length < count) {
    const more = Math.min(16, count - pool.length)
    pool.push(...(await Promise.all(Array.from({ length: more }, () => LoadConnection.open(target)))))
  }
  return pool
}

answer(run, async () => {
  for (const connection of [...open.values()].flat()) connection.close()
})

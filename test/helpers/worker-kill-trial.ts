import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import type { QkdError } from '../../lib/errors.ts'
import type { Key, Kms } from '../../lib/interface/kms.ts'
import { cellsFor } from '../../lib/key/cells.ts'
import { createServedTestSites } from './test-sites.ts'
import { until } from './until.ts'

/** What a run of killed workers saw. `wrong`, `twice`, `unanswered` and `unaccounted` must be 0. */
export interface WorkerKillReport {
  kills: number
  asked: number
  /** Requests that brought a key. */
  served: number
  /** Requests that were refused with a 503: the worker answered, its owner had not. */
  refused: number
  /** Requests whose connection was closed or refused. */
  closed: number
  /** Requests that neither got an answer nor saw their connection closed. */
  unanswered: number
  wrong: number
  twice: number
  /** Cells that the pool issued or delivered for the hosts behind the workers. */
  takenCells: number
  receivedCells: number
  /** Cells that the site told as burned because nobody got them. */
  burnedCells: number
  /** Cells that were taken, did not come to a host, and were not told as burned. */
  unaccounted: number
  readonly faults: string[]
}

export interface WorkerKillOptions {
  readonly kills: number
  readonly workers?: number
  /** Hosts' calls at a time. */
  readonly callers?: number
  readonly log?: (line: string) => void
}

/** Far longer than a request may take, so that one that nobody answers is told from one that is slow. */
const PATIENCE_MS = 30_000

/**
 * Hosts draw and fetch keys over HTTPS from a site with workers, while one worker after the other is killed with SIGKILL under
 * that load. What each host got is compared with what the other site has, and with what the pool gave.
 */
export async function runWorkerKills(options: WorkerKillOptions): Promise<WorkerKillReport> {
  const { kills, workers = 2, callers = 16, log = () => {} } = options
  await using sites = await createServedTestSites({ workers, pool: { targetBlocks: 16 } })
  const [near, far] = sites.sites
  const trial = new Trial()
  near.telemetry.subscribe(event => {
    if (event.type === 'key-issued' || event.type === 'key-retrieved')
      trial.report.takenCells += cellsFor(event.sizeBits / 8)
    else if (event.type === 'cells-burned' && /caller|worker/.test(event.reason))
      trial.report.burnedCells += event.cells
  })
  const alice = createRemoteKms({
    saeId: 'alice',
    baseUrl: near.address.etsi014.url,
    timeoutMs: PATIENCE_MS,
    ...sites.credentials('alice'),
  })
  const bob = far.kmsFor('bob')
  let isOver = false
  const calling = Array.from({ length: callers }, async (_, n) => {
    while (!isOver) await (n % 2 === 0 ? trial.draw(alice, bob) : trial.fetch(alice, bob))
  })
  try {
    for (let kill = 1; kill <= kills; kill += 1) {
      const before = trial.report.served
      await until(
        () => trial.report.served >= before + 20 && near.workerPids().length > 0,
        `hosts are served before kill ${kill}`,
        { timeoutMs: 60_000 },
      )
      const pids = near.workerPids()
      process.kill(pids[kill % pids.length]!, 'SIGKILL')
      trial.report.kills += 1
      if (kill % 10 === 0) log(`${kill} of ${kills} kills`)
    }
    const before = trial.report.served
    await until(() => trial.report.served >= before + 20, 'hosts are served after the last kill', { timeoutMs: 60_000 })
  } finally {
    isOver = true
    await Promise.all(calling)
    await alice.close()
  }
  const { report } = trial
  report.unaccounted = Math.max(0, report.takenCells - report.receivedCells - report.burnedCells)
  return report
}

class Trial {
  readonly report: WorkerKillReport = {
    kills: 0,
    asked: 0,
    served: 0,
    refused: 0,
    closed: 0,
    unanswered: 0,
    wrong: 0,
    twice: 0,
    takenCells: 0,
    receivedCells: 0,
    burnedCells: 0,
    unaccounted: 0,
    faults: [],
  }
  readonly #seen = new Set<string>()

  /** Alice draws a key behind the workers; Bob, who sits beside them, must find the same. */
  async draw(alice: Kms, bob: Kms): Promise<void> {
    const key = await this.#ask(() => alice.getKey(bob.saeId))
    if (key === undefined) return
    const [other] = await bob.getKeyWithIds(alice.saeId, [key.keyId])
    this.#compare(key, other!)
  }

  /** Bob draws a key, which Alice fetches through a worker: once, or the answer to it was lost. */
  async fetch(alice: Kms, bob: Kms): Promise<void> {
    const drawn = await bob.getKey(alice.saeId).catch((error: QkdError) => error)
    if (drawn instanceof Error) return
    const key = await this.#ask(() => alice.getKeyWithIds(bob.saeId, [drawn[0]!.keyId]))
    if (key === undefined) drawn[0]!.secret.wipe()
    else this.#compare(key, drawn[0]!)
  }

  async #ask(call: () => Promise<Key[]>): Promise<Key | undefined> {
    this.report.asked += 1
    const outcome = await call().catch((error: QkdError) => error)
    if (!(outcome instanceof Error)) {
      this.report.served += 1
      const key = outcome[0]!
      this.report.receivedCells += cellsFor(key.secret.sizeBytes)
      if (this.#seen.has(key.keyId)) this.#fault('twice', key.keyId)
      this.#seen.add(key.keyId)
      return key
    }
    if (outcome.name === 'TimeoutError') this.#fault('unanswered', outcome.message)
    else if (outcome.code !== 'ERR_QKD_KME_UNREACHABLE') this.report.refused += 1
    else this.report.closed += 1
    return undefined
  }

  #compare(key: Key, other: Key): void {
    if (!key.secret.equals(other.secret)) this.#fault('wrong', key.keyId)
    key.secret.wipe()
    other.secret.wipe()
  }

  #fault(kind: 'wrong' | 'twice' | 'unanswered', text: string): void {
    this.report[kind] += 1
    if (this.report.faults.length < 10) this.report.faults.push(`${kind}: ${text}`)
  }
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { TestRealms } from '../../helpers/kdc-realm.ts'
import { until } from '../../helpers/until.ts'

const WORKERS = 4
/** Logins between two rotations: a version for each login would be more than a table holds. */
const LOGINS_PER_ROTATION = 4

/**
 * $1 logins one after the other, each from nothing to a ticket for service $2, a line for each. A shell starts the programs:
 * in this process it would hold up the agents, which have 200 ms to answer a KDC.
 */
const LOGINS = `
for i in $(seq "$1"); do
  if said=$(echo alice-pw | kinit alice 2>&1 && kvno "$2" 2>&1); then echo ok
  else printf '%s\\n' "$said" | tail -n 1 | sed 's/^/failed: /'
  fi
done`

/** What came of the logins. */
export interface LoginLoad {
  readonly logins: number
  readonly failures: readonly string[]
  readonly rotations: number
}

/** Logs in `count` times or a few more, four at a time, while `rotate` runs over and over. */
export async function loginsWhile(
  realms: TestRealms,
  { count, service, rotate }: { count: number; service: string; rotate: () => Promise<unknown> },
): Promise<LoginLoad> {
  const failures: string[] = []
  let [logins, rotations, over] = [0, 0, false]
  const worker = async () => {
    const shell = spawn('sh', ['-c', LOGINS, 'sh', String(Math.ceil(count / WORKERS)), service], {
      env: realms.client().env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const closed = once(shell, 'close')
    for await (const line of createInterface({ input: shell.stdout })) {
      logins += 1
      if (line !== 'ok') failures.push(line)
    }
    await closed
  }
  const rotating = async () => {
    while (!over) {
      const before = logins
      await rotate()
      rotations += 1
      await until(() => over || logins >= before + LOGINS_PER_ROTATION, 'further logins', { timeoutMs: 60_000 })
    }
  }
  const working = Promise.all(Array.from({ length: WORKERS }, worker)).finally(() => {
    over = true
  })
  await Promise.all([working, rotating()])
  return { logins, failures, rotations }
}

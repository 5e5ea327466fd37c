import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasNextKek } from '../../lib/kms/store/next-kek.ts'
import type { TraceReport } from './key-trace.ts'
import { runKillTrace } from './kill-trace.ts'
import type { SiteProcess, SiteProcesses } from './site-process.ts'
import { unwrapAll } from './store-attacker.ts'
import { until } from './until.ts'

export interface RekeyTraceOptions {
  readonly kills: number
  readonly built?: boolean
  readonly log?: (line: string) => void
}

/** What a trace over changes of keys saw. */
export type RekeyReport = TraceReport & {
  /** Key encryption keys that were in use, and are not any more. */
  oldKeys: number
  /** Slots that the keys in use open in the end, and those that any of the old ones does: none. */
  readonly opened: { current: number; old: number }
}

/** As `runKillTrace` with changes of keys, whose old keys are kept by somebody who tries them on the slots in the end. */
export async function runRekeyTrace({ kills, built, log }: RekeyTraceOptions): Promise<RekeyReport> {
  const seen = new Map<string, Set<string>>()
  let directory = ''
  const keep = async (siteId: string) => {
    for (const name of [`${siteId}.kek`, `${siteId}.kek.next`]) {
      const key = await readFile(join(directory, name), 'base64').catch(() => undefined)
      if (key !== undefined) seen.set(siteId, (seen.get(siteId) ?? new Set()).add(key))
    }
  }
  const opened = { current: 0, old: 0 }
  let oldKeys = 0
  const end = async (site: SiteProcess) => {
    await keep(site.siteId)
    await site.kill()
    await keep(site.siteId)
  }
  const after = async ({ processes }: SiteProcesses) => {
    for (const { siteId } of processes) {
      const file = join(directory, `${siteId}.kek`)
      await until(async () => !(await hasNextKek(file)), 'the last change of keys is over')
      const current = await readFile(file, 'base64')
      const slots = await readFile(join(directory, `${siteId}.store`, 'slots.bin'))
      opened.current += [...unwrapAll(slots, Buffer.from(current, 'base64'))].length
      for (const old of seen.get(siteId) ?? []) {
        if (old === current) continue
        oldKeys += 1
        opened.old += [...unwrapAll(slots, Buffer.from(old, 'base64'))].length
      }
    }
  }
  const report = await runKillTrace({
    kills,
    rekey: true,
    end,
    after,
    ...(built !== undefined && { built }),
    ...(log && { log }),
    sites: {
      env: (_, path) => {
        directory = path
        return {}
      },
    },
  })
  return { ...report, oldKeys, opened }
}

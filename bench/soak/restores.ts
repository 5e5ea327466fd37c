import { RESTORES, runRestoreTrace } from '../../test/helpers/restore-trace.ts'
import type { SoakOptions } from '../soak.ts'

/**
 * Two site processes under traffic in both directions, whose stores are put back to older copies at random moments, one, the
 * other, both, or from a backup, `count` times. Needs `npm run build` first.
 */
export async function run({ count = 10, log }: SoakOptions): Promise<void> {
  const rounds = Array.from({ length: count }, () => RESTORES[Math.floor(Math.random() * RESTORES.length)]!)
  const keysForgotten = 20 + Math.floor(Math.random() * 200)
  const { outcomes, ...report } = await runRestoreTrace({ rounds, keysForgotten, freshRatio: 0.7, built: true, log })
  log(JSON.stringify(report))
  for (const kind of RESTORES) {
    const cures = outcomes.filter(outcome => outcome.kind === kind).flatMap(outcome => outcome.cures)
    const resyncs = cures.filter(cure => cure === 'pool-resync').length
    log(`${kind}: ${resyncs} made good by the peer's word, ${cures.length - resyncs} begun anew`)
  }
  if (report.wrong + report.twice + report.refused > 0) throw new Error(report.faults.join('; '))
  const untold = outcomes.filter(({ cures, hasAlarm }) => cures.includes('nothing') || !hasAlarm)
  if (untold.length > 0) throw new Error(`Not noticed: ${untold.map(({ kind }) => kind).join(', ')}`)
}

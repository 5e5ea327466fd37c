import { breachOf, runLossTrace } from '../../test/helpers/loss-trace.ts'
import type { SoakOptions } from '../soak.ts'

/**
 * `count` keys in both directions at once for each of 0, 1, 5, 10 and 50 % of the handshakes lost, as many come twice, all in
 * random order, between two site processes. Needs `npm run build` first.
 */
export async function run({ count = 10_000, log }: SoakOptions): Promise<void> {
  const reports = await runLossTrace({
    keys: count,
    keysPerDraw: 10,
    built: true,
    log,
    onReport: report => log(JSON.stringify(report)),
  })
  for (const breach of reports.map(breachOf)) if (breach !== undefined) throw new Error(breach)
}

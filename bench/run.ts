/**
 * `npm run bench -- [suite…] [--json] [--quick]`: runs the suites of this folder, all when none is named. Figures go to
 * standard output, as a table or with `--json` as one object a line; progress goes to standard error.
 */
import { parseArgs } from 'node:util'
import type { BenchSuite, Measurement } from './report.ts'
import { suiteNames, unknownSuites } from './suites.ts'

const folder = new URL('./', import.meta.url)
const known = suiteNames(folder)
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
})
const wrong = unknownSuites(positionals, known)
if (wrong !== undefined) {
  console.error(wrong)
  process.exit(2)
}

for (const name of positionals.length > 0 ? positionals : known) {
  const suite = (await import(new URL(`${name}.ts`, folder).href)) as BenchSuite
  console.error(`${name}${values.quick ? ' (quick)' : ''} …`)
  if (!values.json) console.log(`\n${name}`)
  await suite.run(measurement => print(name, measurement), { quick: values.quick })
}

function print(suite: string, { metric, value, unit, baseline, ratio, samples }: Measurement): void {
  if (values.json) {
    console.log(JSON.stringify({ suite, metric, value, unit, baseline, ratio, samples }))
    return
  }
  const against = baseline === undefined ? '' : `against ${round(baseline)} ${unit}`
  const share = ratio === undefined ? '' : `ratio ${ratio.toFixed(2)}`
  const count = samples === undefined ? '' : `(${samples} samples)`
  const cells = [metric.padEnd(44), `${round(value)} ${unit}`.padStart(16), share.padEnd(11), against, count]
  console.log(`  ${cells.filter(Boolean).join('  ')}`.trimEnd())
}

/** Three significant digits, more only before the point. */
function round(value: number): string {
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))
}

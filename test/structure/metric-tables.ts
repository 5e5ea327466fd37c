import { gaugeTable } from '../../lib/metrics/gauge-table.ts'
import { readSource } from './tree.ts'

/** Gauges as a Markdown table: what a reader of /metrics finds. */
export function gaugeRows(): string {
  const rows = Object.values(gaugeTable).map(({ name, help }) => `| \`${name}\` | ${help} |`)
  return ['| Gauge | Says |', '| --- | --- |', ...rows].join('\n')
}

/** Counters likewise. They come into being with what they count, so they are read off the code that counts. */
export function counterRows(): string {
  const rows = counters().map(([name, help]) => `| \`${name}_total\` | ${help} |`)
  return ['| Counter | Counts |', '| --- | --- |', ...rows].join('\n')
}

/** Name and help of each counter of a site. */
export function counters(): [string, string][] {
  const { text } = readSource('lib/metrics/event-counters.ts')
  const keys = text.matchAll(/\['(qkd_keys_\w+)', '(\w+)'\]/g)
  const pairs = [...keys].map(([, name, what]): [string, string] => [
    name ?? '',
    `Keys ${what} by the hosts of this site`,
  ])
  const added = text.matchAll(/#add\(\s*'(qkd_\w+)',\s*'([^']+)'/g)
  return [...pairs, ...[...added].map(([, name, help]): [string, string] => [name ?? '', help ?? ''])]
}

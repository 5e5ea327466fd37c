import { accessRows } from './access-rows.ts'
import type { Checklist } from './checklist.ts'
import { clientRows } from './client-rows.ts'
import { decRows } from './dec-rows.ts'
import { encRows } from './enc-rows.ts'
import { multicastRows } from './multicast-rows.ts'
import { poolRows } from './pool-rows.ts'
import { numberOf, type Rows } from './rows.ts'
import { skipRows } from './skip-rows.ts'
import { statusRows } from './status-rows.ts'

/** Every row of the checklist. */
export const rows: Rows<Checklist> = {
  ...statusRows,
  ...encRows,
  ...decRows,
  ...multicastRows,
  ...poolRows,
  ...accessRows,
  ...clientRows,
  ...skipRows,
}

/** The checklist as a Markdown table. */
export function checklistMarkdown(): string {
  const lines = Object.keys(rows)
    .sort((a, b) => numberOf(a) - numberOf(b))
    .map(name => `| ${numberOf(name)} | ${name.replace(/^\d+ /, '')} |`)
  return ['| Row | What holds |', '| --- | --- |', ...lines].join('\n')
}

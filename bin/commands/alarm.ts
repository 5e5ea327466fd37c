import type { Alarm } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { withOperator, withOperatorOptions } from '../operator-connection.ts'
import { printJson, printLines } from '../terminal.ts'

const listCommand = defineCommand({
  command: 'list',
  describe: 'List the alarms of a running site that stand, the worst first; with --all those too that are cleared',
  builder: yargs =>
    withOperatorOptions(yargs)
      .option('all', { type: 'boolean', default: false, describe: 'Those too that are cleared, the last ones first' })
      .example('$0 alarm list --config site-a.json', 'a line for each alarm, and who sees to it')
      .example('$0 alarm list --config operator.json --json', 'over mutual TLS, for a program'),
  handler: ({ all, json, ...args }) =>
    withOperator(args, async (site, signal) => {
      const { siteId, alarms } = await site.call<{ siteId: string; alarms: Alarm[] }>('alarm-list', {}, { signal })
      const shown = alarms.filter(({ state }) => all || state !== 'cleared')
      if (json) return await printJson({ siteId, alarms: shown })
      await printLines(...(shown.length === 0 ? [`${siteId}: no alarm stands`] : shown.map(describe)))
    }),
})

const ackCommand = defineCommand({
  command: 'ack <id>',
  describe: 'Say that somebody sees to an alarm: it stays until its cause is gone, over a restart too',
  builder: yargs =>
    withOperatorOptions(yargs)
      .positional('id', { type: 'string', demandOption: true, describe: 'The alarm, as qkd alarm list names it' })
      .option('note', { type: 'string', requiresArg: true, describe: 'What is done about it' })
      .example('$0 alarm ack link-down:a-b --note "splicers are on site" --config site-a.json', "by the site's socket"),
  handler: ({ id, note, json, ...args }) =>
    withOperator(args, async (site, signal) => {
      const alarm = await site.call<Alarm>('alarm-acknowledge', { id, ...(note !== undefined && { note }) }, { signal })
      await (json ? printJson(alarm) : printLines(describe(alarm)))
    }),
})

/** `qkd alarm`: what is wrong at a site, and who sees to it. */
export const alarmCommands = defineGroup('alarm', 'Watch and acknowledge the alarms of a running site', [
  listCommand,
  ackCommand,
])

function describe({ id, severity, state, text, raisedAtMs, changedAtMs, times, acknowledged }: Alarm): string {
  const often = times > 1 ? `, ${times} times` : ''
  const seen = acknowledged === undefined ? '' : `; ${acknowledged.by} sees to it`
  const note = acknowledged?.note === undefined ? '' : ` ("${acknowledged.note}")`
  const over = state === 'cleared' ? `, cleared ${iso(changedAtMs)}` : ''
  return `${state.padEnd(13)}${severity.padEnd(9)}${id}: ${text} (since ${iso(raisedAtMs)}${often}${over})${seen}${note}`
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

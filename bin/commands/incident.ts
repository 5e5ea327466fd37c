import type { Argv } from 'yargs'
import {
  type IncidentReport,
  type IncidentSelector,
  type IncidentView,
  PoolDesyncError,
  searchAuditLogs,
} from '../../lib/index.ts'
import { defineCommand, defineGroup, usageError } from '../command.ts'
import { describeIncident, describeRadius } from '../incident-words.ts'
import { type SiteArguments, withSite, withSiteOptions } from '../site-operator.ts'
import { printJson, printLines, sayIfLong } from '../terminal.ts'

const ABOUT = 'What it is about (all that is named must be met):'

interface AboutArguments {
  readonly sae?: readonly string[] | undefined
  readonly pool?: string | undefined
  readonly link?: string | undefined
  readonly relay?: string | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
}

function withAboutOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('sae', {
      type: 'array',
      string: true,
      requiresArg: true,
      group: ABOUT,
      describe: 'Keys that two hosts share, each by its own --sae, as --sae alice --sae bob',
    })
    .option('pool', { type: 'string', requiresArg: true, group: ABOUT, describe: 'The pool with that site' })
    .option('link', {
      type: 'string',
      requiresArg: true,
      group: ABOUT,
      describe: 'Blocks that came over that link; site-a/site-b for any link between two sites',
    })
    .option('relay', { type: 'string', requiresArg: true, group: ABOUT, describe: 'Blocks that came over that site' })
    .option('since', {
      type: 'string',
      requiresArg: true,
      group: ABOUT,
      describe:
        'Blocks that were on their way at or after this time, as 2026-11-23T12:00Z; with --sae alone, keys issued then',
    })
    .option('until', { type: 'string', requiresArg: true, group: ABOUT, describe: 'The same, at or before this time' })
}

const REPEATABLE = ['sae', 'audit']

const reasonOption = {
  type: 'string',
  requiresArg: true,
  describe: 'Why; it stands in the audit log of every site',
} as const

const holdCommand = defineCommand({
  command: 'hold',
  describe: 'Hold keys back at both sites: they are neither issued nor delivered until they are released',
  repeatable: REPEATABLE,
  builder: yargs =>
    withSiteOptions(withAboutOptions(yargs))
      .option('reason', reasonOption)
      .example(
        '$0 incident hold --config site-a.json --relay site-x --since 2026-11-23T12:00Z --until 2026-11-23T13:00Z',
        'keys of blocks that crossed site-x in that hour; exit code 0 once every site holds to it',
      ),
  handler: args =>
    enact(args, 'incident-hold', { selector: selectorOf(args), ...(args.reason && { reason: args.reason }) }),
})

const invalidateCommand = defineCommand({
  command: 'invalidate [id]',
  describe: 'Erase what is not delivered, of an open incident or of what is named, at both sites; the rest stays held',
  repeatable: REPEATABLE,
  builder: yargs =>
    withSiteOptions(withAboutOptions(yargs))
      .positional('id', { type: 'string', describe: 'Incident that was declared at this site' })
      .option('reason', reasonOption)
      .example('$0 incident invalidate 2026-11-23-1a2b3c4d --config site-a.json', 'erases what it holds back'),
  handler: args => {
    const about = args.id === undefined ? { selector: selectorOf(args) } : { id: args.id }
    if (args.id !== undefined && isAbout(args)) throw usageError('Name an incident, or what it is about, and not both')
    return enact(args, 'incident-invalidate', { ...about, ...(args.reason && { reason: args.reason }) })
  },
})

const releaseCommand = defineCommand({
  command: 'release <id>',
  describe: 'Give free what an incident holds back; what was erased is gone',
  builder: yargs =>
    withSiteOptions(yargs).positional('id', {
      type: 'string',
      demandOption: true,
      describe: 'Incident that was declared at this site',
    }),
  handler: args => enact(args, 'incident-release', { id: args.id }),
})

const listCommand = defineCommand({
  command: 'list',
  describe: 'Show the incidents that are open, and which sites have not been told of one',
  builder: yargs => withSiteOptions(yargs),
  handler: args =>
    withSite(args, async site => {
      const { incidents } = await site.call<{ incidents: IncidentView[] }>('incident-list')
      if (args.json) await printJson(incidents)
      else await printLines(...(incidents.length === 0 ? ['No incident is open'] : incidents.map(describeIncident)))
    }),
})

const reportCommand = defineCommand({
  command: 'report [id]',
  describe: 'List the keys that an incident is about, who has them, and what still protects them; by audit logs',
  repeatable: REPEATABLE,
  builder: yargs =>
    withSiteOptions(withAboutOptions(yargs))
      .positional('id', { type: 'string', describe: 'Open incident; otherwise name what it is about' })
      .option('audit', {
        type: 'array',
        string: true,
        requiresArg: true,
        describe: "Audit logs to search in place of the running site's own: those of both sites say who fetched what",
      })
      .example('$0 incident report --relay site-x --audit site-a.log --audit site-b.log', 'needs no running site')
      .example('$0 incident report 2026-11-23-1a2b3c4d --config site-a.json --json', 'for a program'),
  handler: async args => {
    const { id, audit = [], json } = args
    if ((id === undefined) !== isAbout(args)) throw usageError('Name an incident, or what it is about, and not both')
    if (audit.length > 0 && id !== undefined)
      throw usageError('Which keys an ID stands for only the site knows; with --audit name what it is about')
    const report =
      audit.length > 0
        ? await sayIfLong('Searching the logs …', searchAuditLogs(audit, selectorOf(args)))
        : await withSite(args, site =>
            sayIfLong(
              'The site searches its log …',
              site.call<IncidentReport>('incident-report', id === undefined ? { selector: selectorOf(args) } : { id }),
            ),
          )
    await (json ? printJson(report) : printLines(describeRadius(report)))
  },
})

/** `qkd incident`: what to do when somebody else may know keys. */
export const incidentCommands = defineGroup('incident', 'Hold keys back that somebody else may know, and find them', [
  holdCommand,
  invalidateCommand,
  releaseCommand,
  listCommand,
  reportCommand,
])

/** Prints what came of it; a site that could not be told is a failure that says so, because the keys there may still leave. */
async function enact(
  args: SiteArguments & { readonly json: boolean },
  call: 'incident-hold' | 'incident-invalidate' | 'incident-release',
  what: Readonly<Record<string, unknown>>,
): Promise<void> {
  const view = await withSite(args, site => sayIfLong('Telling the other sites …', site.call<IncidentView>(call, what)))
  await (args.json ? printJson(view) : printLines(describeIncident(view)))
  const untold = view.sites.filter(({ state }) => state === 'untold').map(({ siteId }) => siteId)
  if (untold.length > 0)
    throw new PoolDesyncError(
      `${untold.join(', ')} could not be told of ${view.id}; it is in force here, and there as soon as it can be reached: see qkd incident list`,
      { details: [{ incident: view.id, untold }] },
    )
}

function isAbout({ sae, pool, link, relay, since, until }: AboutArguments): boolean {
  return [sae, pool, link, relay, since, until].some(each => each !== undefined)
}

function selectorOf({ sae, pool, link, relay, since, until }: AboutArguments): IncidentSelector {
  if (!isAbout({ sae, pool, link, relay, since, until }))
    throw usageError('Name what it is about: --sae, --pool, --link, --relay, --since, --until')
  if (sae !== undefined && sae.length !== 2) throw usageError('--sae names two hosts: give it twice')
  const [sinceMs, untilMs] = [timeOf('since', since), timeOf('until', until)]
  return {
    ...(sae !== undefined && { saePair: [sae[0]!, sae[1]!] as const }),
    ...(pool !== undefined && { pool }),
    ...(link !== undefined && { link }),
    ...(relay !== undefined && { relay }),
    ...(sinceMs !== undefined && { sinceMs }),
    ...(untilMs !== undefined && { untilMs }),
  }
}

function timeOf(option: string, text: string | undefined): number | undefined {
  const time = text === undefined ? undefined : Date.parse(text)
  if (Number.isNaN(time)) throw usageError(`--${option} ${text} is no time; write it as 2026-11-23T12:00Z`)
  return time
}

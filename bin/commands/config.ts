import { CONFIG_ROLES, type ConfigReport, checkConfigFile } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { credentials } from '../credentials.ts'
import { ReportedFailure } from '../failure.ts'
import { printJson, printLines } from '../terminal.ts'

const checkCommand = defineCommand({
  command: 'check <file>',
  describe: 'Check a configuration and every file that it names; exit code 1 where something is wrong',
  builder: yargs =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: 'The configuration (JSON)' })
      .option('role', {
        choices: CONFIG_ROLES,
        requiresArg: true,
        describe: 'What it is to run: site, or kms, qnl or link as a part of one [default: by its fields]',
      })
      .example('$0 config check site-a.json', 'names each field that is wrong, and the fix')
      .example('$0 config check site-a.json --role qnl --json', 'as the network layer alone; for a program'),
  handler: async ({ file, role, json }) => {
    const report = await checkConfigFile(file, { ...credentials(), ...(role && { role }) })
    await (json ? printJson(report) : printLines(...describe(report)))
    if (!report.ok) throw new ReportedFailure()
  },
})

/** `qkd config`: the files that services start from. */
export const configCommands = defineGroup('config', 'Check configurations before a service starts', [checkCommand])

function describe({ file, role, ok, faults, warnings }: ConfigReport): string[] {
  const lines = faults.map(fault => {
    const place = fault.place === undefined ? '' : `:${fault.place}`
    return `${fault.file}${place}: ${fault.path}: ${fault.message}`
  })
  const summary = ok ? `${file}: fit for role ${role}` : `${file}: ${faults.length} faults for role ${role}`
  return [...lines, ...warnings.map(warning => `warning: ${warning}`), summary]
}

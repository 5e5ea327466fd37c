import { type OperatorCallName, permissions } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { withOperator, withOperatorOptions } from '../operator-connection.ts'
import { printJson, printLines } from '../terminal.ts'

const rolesCommand = defineCommand({
  command: 'roles',
  describe: 'Print which role may make which call of a running site or controller',
  builder: yargs => yargs.example('$0 operator roles', 'the table that a site goes by'),
  handler: async ({ json }) => {
    if (json) return await printJson(permissions)
    const rows = Object.entries(permissions).map(([name, { roles, changes, does }]) => [
      name,
      changes ? 'changes' : 'reads',
      roles.join(', '),
      does,
    ])
    await printLines(...aligned([['call', '', 'roles', ''], ...rows]))
  },
})

/** Calls that have commands of their own elsewhere, or ask for nothing. */
const plain = ['status', 'secrets-refresh', 'policy-reload', 'store-rekey', 'sae-list', 'audit-head'] as const

const callCommand = defineCommand({
  command: 'call <call>',
  describe: 'Make a call of a running site that takes no arguments, and print what it gives as JSON',
  builder: yargs =>
    withOperatorOptions(yargs)
      .positional('call', { choices: plain, demandOption: true, describe: 'The call' })
      .example('$0 operator call policy-reload --config site-a.json', 'takes the policy from its file now')
      .example('$0 operator call audit-head --config operator.json', 'what an auditor keeps elsewhere'),
  handler: ({ call, json: _, ...args }) =>
    withOperator(args, async (site, signal) => {
      await printJson(await site.call<unknown>(call satisfies OperatorCallName, {}, { signal }))
    }),
})

/** `qkd operator`: who looks after a site, and what each may do. */
export const operatorCommands = defineGroup('operator', 'Make calls of a running site, by role', [
  rolesCommand,
  callCommand,
])

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]! + 2))
      .join('')
      .trimEnd(),
  )
}

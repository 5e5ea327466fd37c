import type { KmsStatus, PoolOutlook } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { withKmeOptions, withKms } from '../kme-connection.ts'
import { printJson, printLines } from '../terminal.ts'

/** `qkd status`: the state of the pool towards another host. */
export const statusCommand = defineCommand({
  command: 'status <slaveSae>',
  describe: 'Show the keys that are at hand for <slaveSae> (ETSI 014 Get status); takes none',
  builder: yargs =>
    withKmeOptions(yargs)
      .positional('slaveSae', { type: 'string', demandOption: true, describe: 'SAE ID of the other host' })
      .example('$0 status bob --config alice.json', 'for a person')
      .example('$0 status bob --config alice.json --json', 'for a program'),
  handler: args =>
    withKms(args, async kms => {
      const status = await kms.getStatus(args.slaveSae, { timeoutMs: args.timeoutMs })
      await (args.json ? printJson(status) : printLines(...describe(status)))
    }),
})

function describe(status: KmsStatus): string[] {
  const rows: [string, string][] = [
    ['hosts', `${status.masterSaeId} -> ${status.slaveSaeId}`],
    ['KMEs', `${status.sourceKmeId} -> ${status.targetKmeId}`],
    ['keys at hand', `${status.storedKeyCount} of at most ${status.maxKeyCount}, ${status.keySizeBits} bits each`],
    ['sizes', `${status.minKeySizeBits} to ${status.maxKeySizeBits} bits`],
    ['in one request', `up to ${status.maxKeyPerRequest} keys, for up to ${status.maxSaeIdCount} further hosts`],
  ]
  if (status.outlook !== undefined) rows.push(['demand', describeOutlook(status.outlook)])
  const { lostCells } = status.outlook ?? {}
  if (lostCells !== undefined) rows.push(['lost', `${lostCells} cells of 32 bytes, with stores that were put back`])
  return rows.map(([name, value]) => `${name.padEnd(16)}${value}`)
}

function describeOutlook({ trend, degraded, exhaustionMs }: PoolOutlook): string {
  const lasts = exhaustionMs === undefined ? 'nobody asks' : `the stock lasts ${(exhaustionMs / 1000).toFixed(1)} s`
  return `${trend}; ${lasts}${degraded ? '; the network grants less than hosts ask for' : ''}`
}

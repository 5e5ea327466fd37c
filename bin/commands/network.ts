import { describePlan, planNetwork } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { readNetworkFile } from '../network/network-file.ts'
import { printJson, printLines } from '../terminal.ts'
import { networkNodeCommand, networkServeCommand } from './network-serve.ts'
import { networkSimulateCommand } from './network-simulate.ts'
import { networkDrainCommand, networkRestoreCommand, networkStatusCommand } from './network-status.ts'

const planCommand = defineCommand({
  command: 'plan <file>',
  describe: 'Plan the key flow of a network (JSON: nodes, links, demands) to the optimum, and say how near it is',
  builder: yargs =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: 'The network file' })
      .option('fairness', {
        choices: ['fast', 'exact'] as const,
        default: 'fast' as const,
        describe: 'How to share out what the common level leaves: exact is max-min fair to the last demand, and slower',
      })
      .example('$0 network plan examples/networks/metro-12.json', 'tables for a person')
      .example('$0 network plan network.json --json', 'rates, paths and loads for a program'),
  handler: async ({ file, fairness, json }) => {
    const plan = await planNetwork(await readNetworkFile(file), { fairness })
    await (json ? printJson(plan) : printLines(describePlan(plan)))
  },
})

/** `qkd network`: the network layer of many sites. */
export const networkCommands = defineGroup('network', 'Plan, run and watch a network of sites', [
  planCommand,
  networkServeCommand,
  networkNodeCommand,
  networkStatusCommand,
  networkDrainCommand,
  networkRestoreCommand,
  networkSimulateCommand,
])

import type { Argv } from 'yargs'
import { type OperatorClient, openOperatorClient } from '../lib/index.ts'

/** How a command reaches a running site as an operator. */
export interface OperatorArguments {
  readonly config: string
  readonly timeoutMs: number
}

/** Adds the options of an operator's way to a running site. */
export function withOperatorOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('config', {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: "The configuration of a site on this machine (its socket), or an operator's file (mutual TLS)",
    })
    .option('timeout-ms', {
      type: 'number',
      requiresArg: true,
      default: 10_000,
      describe: 'How long the site may take to answer, in milliseconds',
    })
}

/** Runs `work` with the way to the site, and closes it. */
export async function withOperator(
  { config, timeoutMs }: OperatorArguments,
  work: (site: OperatorClient, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const signal = AbortSignal.timeout(timeoutMs)
  await using site = await openOperatorClient(config, { timeoutMs, signal })
  await work(site, signal)
}

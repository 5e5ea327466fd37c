import yargs, { type Argv } from 'yargs'
import { type GlobalArguments, usageError } from './command.ts'
import { alarmCommands } from './commands/alarm.ts'
import { auditCommands } from './commands/audit.ts'
import { configCommands } from './commands/config.ts'
import { consoleCommand } from './commands/console.ts'
import { demoCommand } from './commands/demo.ts'
import { incidentCommands } from './commands/incident.ts'
import { ipsecCommands } from './commands/ipsec.ts'
import { kerberosCommands } from './commands/kerberos.ts'
import { keyCommands } from './commands/key.ts'
import { kmeCommands } from './commands/kme.ts'
import { kmsCommands } from './commands/kms.ts'
import { linkCommands } from './commands/link.ts'
import { networkCommands } from './commands/network.ts'
import { operatorCommands } from './commands/operator.ts'
import { pkiCommands } from './commands/pki.ts'
import { policyCommands } from './commands/policy.ts'
import { qnlCommands } from './commands/qnl.ts'
import { saeCommands } from './commands/sae.ts'
import { siteCommands } from './commands/site.ts'
import { statusCommand } from './commands/status.ts'
import { storeCommands } from './commands/store.ts'
import { tlsCommands } from './commands/tls.ts'
import { describeExitCodes, EXIT_CODES } from './exit-codes.ts'
import { describeFailure, printFailure, ReportedFailure } from './failure.ts'
import { packageVersion } from './package-root.ts'
import { endWhenReaderGoes } from './terminal.ts'

const GLOBAL = 'Every command:'

/** Runs one command line and gives the exit code. Never rejects. */
export async function main(argv: readonly string[]): Promise<number> {
  endWhenReaderGoes()
  try {
    await commandLine(argv).parseAsync()
    return EXIT_CODES.ok.code
  } catch (error) {
    if (error instanceof ReportedFailure) return EXIT_CODES.failed.code
    const failure = describeFailure(error)
    printFailure(failure, { json: argv.includes('--json') })
    return failure.exitCode
  }
}

function commandLine(argv: readonly string[]): Argv<GlobalArguments> {
  return yargs([...argv])
    .scriptName('qkd')
    .usage('$0 <command>\n\nKeys from quantum key distribution under the protocols that people already run')
    .parserConfiguration({
      'dot-notation': false,
      'greedy-arrays': false,
      'boolean-negation': false,
      'parse-positional-numbers': false,
    })
    .option('json', {
      group: GLOBAL,
      type: 'boolean',
      default: false,
      describe: 'Print results and errors as JSON',
      global: true,
    })
    .command(demoCommand)
    .command(siteCommands)
    .command(keyCommands)
    .command(statusCommand)
    .command(storeCommands)
    .command(kmeCommands)
    .command(tlsCommands)
    .command(ipsecCommands)
    .command(kmsCommands)
    .command(qnlCommands)
    .command(linkCommands)
    .command(kerberosCommands)
    .command(networkCommands)
    .command(configCommands)
    .command(policyCommands)
    .command(auditCommands)
    .command(incidentCommands)
    .command(alarmCommands)
    .command(operatorCommands)
    .command(consoleCommand)
    .command(pkiCommands)
    .command(saeCommands)
    .demandCommand(1, 'Name a command; qkd --help lists them')
    .strict()
    .detectLocale(false)
    .version(packageVersion())
    .help()
    .alias('help', 'h')
    .group(['help', 'version'], GLOBAL)
    .epilogue(describeExitCodes())
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? usageError(message)
    })
}

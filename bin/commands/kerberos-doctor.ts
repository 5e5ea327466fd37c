import { examine, type Finding, loadKerberosConfig } from '../../integrations/kerberos/index.ts'
import { ConfigError } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { withKerberosFile } from '../kerberos-file.ts'
import { printJson, printLines } from '../terminal.ts'

const MARKS: Readonly<Record<Finding['state'], string>> = { ok: 'ok     ', warning: 'warning', fault: 'FAULT  ' }

/** `qkd kerberos doctor`: what is wrong around the agent, and what to do. */
export const doctorCommand = defineCommand({
  command: 'doctor',
  describe:
    'Look for what can go wrong: lock file, master key, left-over keys, lives, enctypes, clocks, the agent itself',
  builder: yargs =>
    withKerberosFile(yargs)
      .option('mend', {
        type: 'boolean',
        default: false,
        describe: 'Make the lock file again that a killed kdb5_util load leaves deleted',
      })
      .example('$0 kerberos doctor --mend', 'before krb5kdc starts, as docs/kerberos.md shows'),
  handler: async args => {
    const findings = await examine(await loadKerberosConfig(args.kerberos), args)
    await (args.json ? printJson({ findings }) : printLines(...findings.flatMap(describe)))
    const faults = findings.filter(({ state }) => state === 'fault')
    if (faults.length > 0) {
      throw new ConfigError(
        `${faults.length} of ${findings.length} checks found a fault: ${faults.map(({ check }) => check).join(', ')}`,
      )
    }
  },
})

function describe({ check, state, text, fix }: Finding): string[] {
  const line = `${MARKS[state]} ${check}: ${text}`
  return fix === undefined ? [line] : [line, `        ${fix}`]
}

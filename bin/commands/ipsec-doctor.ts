import { examine, type Finding, loadIpsecAgentConfig } from '../../integrations/strongswan/index.ts'
import { ConfigError, createProfileKms, loadSaeProfile } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { withStrongswanFiles } from '../strongswan-files.ts'
import { printJson, printLines, sayIfLong } from '../terminal.ts'

/** `qkd ipsec doctor`: what could go wrong, and how to mend it. */
export const ipsecDoctorCommand = defineCommand({
  command: 'doctor',
  describe: 'Look at charon, its files, the hook, the KME and the agent, and say what to mend; changes nothing',
  builder: yargs =>
    withStrongswanFiles(yargs)
      .option('config', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: "The agent's configuration",
      })
      .option('swanctl-conf', {
        type: 'string',
        group: "strongSwan's files:",
        requiresArg: true,
        default: '/etc/swanctl/swanctl.conf',
        describe: "The admin's connections",
      })
      .example(
        '$0 ipsec doctor --config /etc/qkdkit/ipsec.json',
        'before the agent runs for the first time, and after',
      ),
  handler: async ({ config: path, json, ...files }) => {
    const config = await loadIpsecAgentConfig(path)
    const findings = await sayIfLong('looking …', diagnose(config, files))
    const count = (verdict: Finding['verdict']) => findings.filter(finding => finding.verdict === verdict).length
    const [faults, warnings] = [count('fault'), count('warning')]
    await (json ? printJson({ findings, faults, warnings }) : printLines(...findings.flatMap(describe)))
    if (faults > 0) throw new ConfigError(`${faults} faults and ${warnings} warnings`)
  },
})

type Diagnosis = Omit<Parameters<typeof examine>[0], 'config' | 'kms' | 'kmsProblem' | 'cert'>

async function diagnose(config: Parameters<typeof examine>[0]['config'], files: Diagnosis): Promise<Finding[]> {
  try {
    const { profile } = await loadSaeProfile(config.saeProfile)
    await using kms = createProfileKms(profile)
    return await examine({ ...files, config, kms, cert: profile.tls.cert })
  } catch (error) {
    return await examine({ ...files, config, kmsProblem: (error as Error).message })
  }
}

function describe({ check, verdict, text, mend }: Finding): string[] {
  const lines = [`${verdict.padEnd(9)}${check}: ${text}`]
  return mend === undefined ? lines : [...lines, `${' '.repeat(9)}-> ${mend}`]
}

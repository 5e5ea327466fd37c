import { mkdir, readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { loadIpsecAgentConfig, updownScript } from '../../integrations/strongswan/index.ts'
import { ConfigError } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { placeFile } from '../file-once.ts'
import { printJson, printLines } from '../terminal.ts'

const DEFAULT_SPOOL = '/run/qkdkit/updown'
const MARK = 'qkd ipsec hook install'

const installCommand = defineCommand({
  command: 'install',
  describe: 'Write the program for updown = in swanctl.conf: a shell script that charon never waits for',
  builder: yargs =>
    yargs
      .option('output', {
        type: 'string',
        default: '/etc/qkdkit/updown',
        requiresArg: true,
        describe: 'Where to write it',
      })
      .option('config', {
        type: 'string',
        requiresArg: true,
        describe: "The agent's configuration, which names spoolDir",
      })
      .option('spool', { type: 'string', requiresArg: true, describe: `The spool itself [default: ${DEFAULT_SPOOL}]` })
      .conflicts('config', 'spool')
      .example('$0 ipsec hook install', 'then set "updown": "/etc/qkdkit/updown" in the settings of a child'),
  handler: async ({ output, config, spool, json }) => {
    const path = resolve(output)
    const spoolDir = spool ?? (config === undefined ? DEFAULT_SPOOL : (await loadIpsecAgentConfig(config)).spoolDir)
    const script = updownScript({ spoolDir })
    const before = await readIfThere(path)
    if (before !== undefined && !before.includes(MARK)) {
      throw new ConfigError(`--output: ${path} is a program of somebody else; name another path`)
    }
    await mkdir(dirname(path), { recursive: true, mode: 0o755 })
    await placeFile(path, script, { mode: 0o755, replace: true })
    if (json) return await printJson({ path, spoolDir })
    await printLines(
      `${path} written; it leaves its files in ${spoolDir}`,
      `In the settings of each child: "updown": "${path}"`,
      `Beside a program of your own: "updown": "${path}; /your/program"`,
    )
  },
})

/** `qkd ipsec hook`: what charon calls. */
export const ipsecHookCommands = defineGroup(
  'hook',
  'The program that charon calls when traffic comes up or goes down',
  [installCommand],
)

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

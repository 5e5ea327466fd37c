import { isIP } from 'node:net'
import { InvalidArgumentError, requireInteger } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { initPki } from '../pki-directory.ts'
import { printJson, printLines } from '../terminal.ts'

/** What a file name, a URN and a TLS identity all take as it is. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/

const initCommand = defineCommand({
  command: 'init',
  repeatable: ['sae', 'host'],
  describe: 'Make a certificate authority, and certificates for the KME and the hosts of a site. Not for production',
  builder: yargs =>
    yargs
      .option('dir', {
        type: 'string',
        default: 'pki',
        requiresArg: true,
        describe: 'Directory; a second call adds to it',
      })
      .option('site', { type: 'string', demandOption: true, requiresArg: true, describe: 'Site ID' })
      .option('kme', { type: 'string', demandOption: true, requiresArg: true, describe: 'KME ID of the site' })
      .option('sae', {
        type: 'string',
        array: true,
        default: [],
        requiresArg: true,
        describe: 'SAE ID; repeat for each',
      })
      .option('host', {
        type: 'string',
        array: true,
        default: [],
        requiresArg: true,
        describe: 'Further name or address of the KME, besides localhost, 127.0.0.1 and ::1; repeat for each',
      })
      .option('url', {
        type: 'string',
        default: 'https://127.0.0.1:8014',
        requiresArg: true,
        describe: 'Base URL of the KME, for the profiles of the hosts',
      })
      .option('days', {
        type: 'number',
        default: 365,
        requiresArg: true,
        describe: 'How long the certificates are valid',
      })
      .option('force', {
        type: 'boolean',
        default: false,
        describe: 'Replace what is there of this site; the certificate authority is always kept',
      })
      .example('$0 pki init --site site-a --kme kme-a --sae alice', 'site A with one host')
      .example('$0 pki init --site site-b --kme kme-b --sae bob --url https://127.0.0.1:8024', 'site B beside it'),
  handler: async ({ json, ...args }) => {
    for (const option of ['site', 'kme', 'sae'] as const) requireNames(option, [args[option]].flat())
    for (const host of args.host) requireHost(host)
    requireInteger('--days', args.days, { min: 1, max: 3_650 })
    if (!URL.canParse(args.url) || new URL(args.url).protocol !== 'https:') {
      throw new InvalidArgumentError(`--url must begin with https://: ${args.url}`)
    }
    const files = await initPki({
      dir: args.dir,
      siteId: args.site,
      kmeId: args.kme,
      saeIds: [...new Set(args.sae)],
      hosts: {
        dnsNames: args.host.filter(host => isIP(host) === 0),
        ipAddresses: args.host.filter(host => isIP(host) !== 0),
      },
      kmeUrl: args.url,
      days: args.days,
      force: args.force,
    })
    if (json) return await printJson({ files })
    await printLines(...files.map(({ path, outcome }) => `${outcome.padEnd(9)}${path}`))
    if (files.some(({ outcome }) => outcome === 'kept'))
      await printLines('(--force replaces what was kept, but not the CA)')
  },
})

/** `qkd pki`: certificates for development. */
export const pkiCommands = defineGroup('pki', 'Make certificates for development', [initCommand])

/** Throws unless each name is one that a file, a URN and a TLS identity all take. */
export function requireNames(option: string, names: readonly string[]): void {
  for (const name of names) {
    if (NAME.test(name)) continue
    throw new InvalidArgumentError(
      `--${option} must have 1 to 64 letters, digits, ".", "_", "@" or "-", and begin with a letter or digit: ${JSON.stringify(name)}`,
    )
  }
}

function requireHost(host: string): void {
  if (isIP(host) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(host)) return
  throw new InvalidArgumentError(`--host must be a DNS name or an IP address: ${JSON.stringify(host)}`)
}

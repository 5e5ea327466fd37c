import { InvalidArgumentError, requireInteger } from '../../lib/index.ts'
import { defineCommand, defineGroup, usageError } from '../command.ts'
import { parseHostPort } from '../host-port.ts'
import { enrolSae, sitesIn } from '../sae/enrol-sae.ts'
import { type SnippetKind, snippets } from '../sae/snippets.ts'
import { printJson, printLines } from '../terminal.ts'
import { requireNames } from './pki.ts'

const KINDS = Object.keys(snippets) as SnippetKind[]

const addCommand = defineCommand({
  command: 'add <name>',
  repeatable: ['for'],
  describe:
    'Enrol a host: certificate, .p12, profile, and with --peer a snippet for its make. Development certificates',
  builder: yargs =>
    yargs
      .positional('name', { type: 'string', demandOption: true, describe: 'SAE ID of the host' })
      .option('dir', {
        type: 'string',
        default: 'pki',
        requiresArg: true,
        describe: 'Directory that qkd pki init made',
      })
      .option('site', { type: 'string', requiresArg: true, describe: 'Site ID [default: the one site that is there]' })
      .option('url', {
        type: 'string',
        default: 'https://127.0.0.1:8014',
        requiresArg: true,
        describe: 'Base URL of the KME, for the profile and the snippets',
      })
      .option('peer', { type: 'string', requiresArg: true, describe: 'SAE ID of the device at the other end' })
      .option('peer-address', {
        type: 'string',
        default: '%any',
        requiresArg: true,
        describe: 'Address of that device, for the snippets',
      })
      .option('for', {
        choices: KINDS,
        array: true,
        default: KINDS,
        requiresArg: true,
        describe: 'With --peer: makes of devices to write a snippet for; repeat for each',
      })
      .option('skip', {
        type: 'string',
        default: '127.0.0.1:8016',
        requiresArg: true,
        describe: 'Where the site serves SKIP, for the snippet of cisco',
      })
      .option('days', {
        type: 'number',
        default: 365,
        requiresArg: true,
        describe: 'How long the certificate is valid',
      })
      .option('force', {
        type: 'boolean',
        default: false,
        describe: 'Replace the certificate, profile and snippets of this host',
      })
      .example('$0 sae add carol --url https://kme-a:8014', 'certificate, .p12 with its password beside it, profile')
      .example('$0 sae add router-a --peer router-b --for cisco --skip kme-a:8016', 'for a router that speaks SKIP'),
  handler: async ({ name, dir, site, url, peer, peerAddress, for: kinds, skip, days, force, json }) => {
    requireNames('name', [name])
    if (peer !== undefined) requireNames('peer', [peer])
    if (!/^(%any|[A-Za-z0-9:.-]{1,253})$/.test(peerAddress)) {
      throw new InvalidArgumentError(
        `--peer-address must be an address, a name or %any: ${JSON.stringify(peerAddress)}`,
      )
    }
    requireInteger('--days', days, { min: 1, max: 3_650 })
    if (!URL.canParse(url) || new URL(url).protocol !== 'https:') {
      throw new InvalidArgumentError(`--url must begin with https://: ${url}`)
    }
    const siteId = site ?? (await onlySite(dir))
    const address = parseHostPort('skip', skip)
    const request = { dir, siteId, saeId: name, kmeUrl: url, days, force, peerSaeId: peer, peerAddress, skip: address }
    const files = await enrolSae({ ...request, kinds: [...new Set(kinds)] })
    if (json) return await printJson({ saeId: name, siteId, files })
    await printLines(
      ...files.map(({ path, outcome }) => `${outcome.padEnd(9)}${path}`),
      '',
      `The site must know it: add { "saeId": "${name}" } to "saes" of ${siteId}, and "${name}" to "saes" of that peer at each other site.`,
    )
  },
})

/** `qkd sae`: the hosts of a site. */
export const saeCommands = defineGroup('sae', 'Enrol the hosts of a site', [addCommand])

async function onlySite(dir: string): Promise<string> {
  const sites = await sitesIn(dir)
  if (sites.length === 1) return sites[0]!
  if (sites.length === 0) throw usageError(`There is no site in ${dir}; make one first: qkd pki init`)
  throw usageError(`Say at which site the host is: --site ${sites.join(' or --site ')}`)
}

import { kerberosConfigSchema } from '../../integrations/kerberos/config/kerberos-config.ts'
import { ipsecAgentConfigSchema } from '../../integrations/strongswan/agent-config-schema.ts'
import { controllerConfigSchema } from '../../lib/config/controller-config.ts'
import { frontConfigSchema } from '../../lib/config/front-config.ts'
import { operatorConfigSchema } from '../../lib/config/operator-config.ts'
import { policySchema } from '../../lib/config/policy-schema.ts'
import { saeProfileSchema } from '../../lib/config/sae-profile.ts'
import { siteConfigSchema } from '../../lib/config/site-config.ts'
import { type KmeProfile, kmeProfiles } from '../../lib/etsi014/kme-profile.ts'
import { etsi014OpenApi } from '../../lib/etsi014/openapi/document.ts'
import { BLOCK_TABLE } from '../../lib/kms/pool/block-table.ts'
import { checklistMarkdown } from '../etsi014/conformance/all-rows.ts'
import { interopMarkdown } from '../integrations/tls/interop/interop-table.ts'
import { commandHelp, helpSections } from './command-help.ts'
import { configurationTable, replaceBlock } from './configuration-table.ts'
import { grafanaDashboard } from './dashboard.ts'
import { jsonPage } from './json-page.ts'
import { counterRows, gaugeRows } from './metric-tables.ts'
import { rooms } from './rooms.ts'
import { readSource } from './tree.ts'

/** The pages that have generated blocks, each with what its text should be, given the text as it stands. */
export const generatedDocs: Readonly<Record<string, (page: string) => string | Promise<string>>> = {
  'docs/configuration.md': page => {
    const withSite = replaceBlock(page, 'site configuration', configurationTable(siteConfigSchema))
    const withPolicy = replaceBlock(withSite, 'policy', configurationTable(policySchema))
    const withController = replaceBlock(withPolicy, 'controller', configurationTable(controllerConfigSchema))
    const withOperator = replaceBlock(withController, 'operator', configurationTable(operatorConfigSchema))
    const withHost = replaceBlock(withOperator, 'SAE profile', configurationTable(saeProfileSchema))
    const withFront = replaceBlock(withHost, 'front', configurationTable(frontConfigSchema))
    const withGateway = replaceBlock(withFront, 'IPsec agent', configurationTable(ipsecAgentConfigSchema))
    return replaceBlock(withGateway, 'Kerberos agent', configurationTable(kerberosConfigSchema))
  },
  'docs/operator.md': page => {
    const sites = ['examples/site-a.json', 'examples/site-b.json']
    return sites.reduce(
      (text, path) => replaceBlock(text, path, `\`\`\`json\n${readSource(path).text.trim()}\n\`\`\``),
      page,
    )
  },
  'docs/etsi014-server.md': page => replaceBlock(page, 'checklist', checklistMarkdown()),
  'docs/openapi/etsi014.json': () => jsonPage(etsi014OpenApi),
  'docs/monitoring/grafana-dashboard.json': () => jsonPage(grafanaDashboard()),
  'docs/other-kmes.md': page => replaceBlock(page, 'profiles', profileTable()),
  'docs/metrics.md': page => replaceBlock(replaceBlock(page, 'gauges', gaugeRows()), 'counters', counterRows()),
  'docs/tls-peers.md': page => replaceBlock(page, 'interoperability', interopMarkdown()),
  'docs/cli.md': async page => replaceBlock(page, 'commands', helpSections(await commandHelp())),
  'README.md': page => replaceBlock(page, 'examples/tls-echo.ts', example('examples/tls-echo.ts')),
  'ARCHITECTURE.md': page => replaceBlock(replaceBlock(page, 'rooms', roomTable()), 'blocks', blockTable()),
}

function profileTable(): string {
  const row = ([name, { title, deviations }]: [string, KmeProfile]) =>
    `| \`${name}\` | ${title} | ${deviations.join('<br>') || 'nothing'} |`
  const rows = Object.entries<KmeProfile>(kmeProfiles).map(row)
  return ['| Profile | For | What it does otherwise, and what becomes of it |', '| --- | --- | --- |', ...rows].join(
    '\n',
  )
}

function roomTable(): string {
  const rows = rooms.map(({ room, holds, sees }) => `| \`${room}\` | ${holds} | ${code(sees) || 'nothing'} |`)
  return ['| Room | Holds | May import, besides itself |', '| --- | --- | --- |', ...rows].join('\n')
}

function blockTable(): string {
  const rows = BLOCK_TABLE.map(({ row, role, from, event, to, sends }) => {
    const cells = [row, role, from.join(', '), event, to, sends === '' ? '–' : `\`${sends}\``]
    return `| ${cells.join(' | ')} |`
  })
  return ['| Row | At | From | When | To | Then sends |', '| --- | --- | --- | --- | --- | --- |', ...rows].join('\n')
}

/** A program as it stands in the tree, but for the comment at its head, and with imports as a user writes them. */
function example(path: string): string {
  const program = readSource(path)
    .text.replace(/^\/\/[^\n]*\n/, '')
    .replaceAll(/'\.\.\/(lib|integrations\/(\w+))\/index\.ts'/g, (_, _room, name) =>
      name ? `'qkdkit/${name}'` : "'qkdkit'",
    )
  return `\`\`\`ts\n${program.trim()}\n\`\`\``
}

function code(words: readonly string[]): string {
  return words.map(word => `\`${word}\``).join(' ')
}

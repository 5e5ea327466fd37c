import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { etsiId, integer, list, listenSchema, name, objectSchema, text } from './schema-parts.ts'
import type { ListenConfig } from './site-config.ts'

/** The node of another site: at the far end of a link, or of a pair that is served over relays. */
export interface NetworkNodeConfig {
  readonly siteId: string
  /** What its certificate must say, as that of the site's KMS. */
  readonly kmeId: string
  /** Address of its `network.listen`; there where this site dials: the one with the smaller siteId does. */
  readonly host?: string
  readonly port?: number
  /** Who runs the site: shares of one key never cross two relays of one domain. Default the site itself. */
  readonly domain?: string
  /** How key shared with it travels, whatever this site's KMS asks. Default what the KMS asks: `multipath`. */
  readonly mode?: 'single' | 'multipath' | 'split'
  /** Relays between the two announce how their links' keys differ: for latency, and only where both sites say so. Default false. */
  readonly announce?: boolean
}

/** A controller, or one of its replicas. */
export interface ControllerAddress {
  /** What its certificate must say: its common name, or `urn:qkdkit:kme:` and this ID. */
  readonly controllerId: string
  readonly host: string
  readonly port: number
}

/** The part of a site in a network with relays. */
export interface NetworkConfig {
  /** Where the nodes of other sites connect. */
  readonly listen: ListenConfig
  readonly nodes: readonly NetworkNodeConfig[]
  /** All replicas of the network's controller; which of them leads is their matter. */
  readonly controllers: readonly ControllerAddress[]
  /** Between two signs of life of a node, in milliseconds; after four without any it is silent. Default 40. */
  readonly heartbeatMs: number
  /** Where the node is a process of its own (`qkd network node`): there the KMS finds it. Default: in the site's process. */
  readonly qnl?: { readonly host: string; readonly port: number }
  /** What this site demands of shares, whatever a plan says. */
  readonly split?: { readonly minShares?: number }
  /** Where link key and the last plan outlive a restart. Default nowhere: what was not used is lost. */
  readonly state?: { readonly path: string; readonly kek: { readonly file: string } }
}

/** The same as it stands in a file. */
export interface NetworkConfigFile extends Omit<NetworkConfig, 'listen' | 'heartbeatMs'> {
  readonly listen: Partial<ListenConfig> & Pick<ListenConfig, 'port'>
  readonly heartbeatMs?: number
}

const port = (description: string) => integer(description, 1, 65_535)

/** The schema of the addresses of controllers. */
export const controllersSchema: JsonSchema = {
  ...list(
    'The controller of the network, or all its replicas',
    objectSchema('A controller', {
      controllerId: etsiId('Its ID, as its certificate says it'),
      host: text('Address of its listen'),
      port: port('TCP port there'),
    }),
    16,
  ),
  minItems: 1,
}

/** The schema of `network`. */
export const networkSchema: JsonSchema = objectSchema(
  'A network with relays; without it the site shares key with its neighbours alone',
  {
    listen: listenSchema('Where the nodes of other sites connect'),
    nodes: list(
      'Nodes of other sites: neighbours, and those that share key with this one over relays',
      objectSchema(
        'A node',
        {
          siteId: name('Site ID'),
          kmeId: etsiId('KME ID of its certificate'),
          host: text('Address of its network.listen, where this site has the smaller siteId and dials'),
          port: port('TCP port there'),
          domain: name('Who runs the site: shares of one key never cross two relays of one domain'),
          mode: {
            enum: ['single', 'multipath', 'split'],
            description:
              'How key shared with it travels: one path, several, or shares over paths that meet nowhere; what the KMS asks, multipath, where it is left out',
          },
          announce: {
            type: 'boolean',
            default: false,
            description:
              'Relays between the two announce how the keys of their links differ: less latency; both sites must say so',
          },
        },
        ['host', 'port', 'domain', 'mode', 'announce'],
      ),
      1_024,
    ),
    controllers: controllersSchema,
    heartbeatMs: integer(
      'Between two signs of life of a node, ms; three that are missing take it down',
      10,
      10_000,
      50,
    ),
    qnl: objectSchema('Where the node is a process of its own (qkd network node)', {
      host: text('Address at which it waits for the KMS'),
      port: port('TCP port there'),
    }),
    split: objectSchema(
      'What this site demands of shares (mode split), whatever a plan says',
      { minShares: integer('Fewest shares of a key', 2, 8, 2) },
      ['minShares'],
    ),
    state: objectSchema('Where link key and the last plan outlive a restart', {
      path: text('Directory, relative to this file; made where it is missing'),
      kek: objectSchema('Key encryption key', { file: text('File of 32 bytes, mode 0600, relative to this file') }),
    }),
  },
  ['heartbeatMs', 'qnl', 'split', 'state'],
)

/** What the schema cannot say: nodes that stand twice, or that nobody dials. */
export function checkNetwork(siteId: string, network: NetworkConfigFile | undefined): SchemaFault[] {
  const faults: SchemaFault[] = []
  const seen = new Set<string>()
  for (const [index, node] of (network?.nodes ?? []).entries()) {
    const path = `/network/nodes/${index}`
    if (node.siteId === siteId) {
      faults.push({ path: `${path}/siteId`, message: `"${siteId}" is this site itself; list other sites only` })
    }
    if (seen.has(node.siteId)) faults.push({ path: `${path}/siteId`, message: `"${node.siteId}" stands here twice` })
    seen.add(node.siteId)
    if (node.mode === 'split' && node.announce === true) {
      faults.push({ path: `${path}/announce`, message: 'shares are never announced; remove it, or the mode "split"' })
    }
    for (const field of ['host', 'port'] as const) {
      if (siteId > node.siteId || node[field] !== undefined) continue
      const message = `field "${field}" is missing: site "${siteId}" sorts before "${node.siteId}", so it opens the connection`
      faults.push({ path, message })
    }
  }
  return faults
}

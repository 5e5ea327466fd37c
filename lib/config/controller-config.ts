import type { OperatorRole } from '../interface/operator.ts'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { type ConsoleConfig, type ConsoleConfigFile, checkConsole, consoleSchema } from './console-config.ts'
import { rolesSchema } from './operators-config.ts'
import { etsiId, integer, list, listenSchema, name, objectSchema, text } from './schema-parts.ts'
import { type ListenConfig, type TlsIdentity, tlsFilesSchema } from './site-config.ts'

/** A site of the network, as its controller knows it. */
export interface ControlledSiteConfig {
  readonly siteId: string
  /** What the certificate of its node must say. */
  readonly kmeId: string
  /** How many of the site's links its optical switch can run at once. Default all of them. */
  readonly modules?: number
}

/** Where a controller keeps its epochs: a file of its own, or the database that its replicas share and elect by. */
export type ControllerStateConfig =
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'postgresql'
      /** Without a password, which belongs in `~/.pgpass` or in `passwordFile`. */
      readonly url: string
      readonly passwordFile?: string
    }

/** Somebody who looks after a network: a name alone is an `operator`. */
export type ControllerOperator = string | { readonly name: string; readonly roles: readonly OperatorRole[] }

/** Everything `createControllerServer` needs. Paths are absolute, TLS files are read. */
export interface ControllerConfig {
  readonly controllerId: string
  readonly listen: ListenConfig
  readonly tls: TlsIdentity
  readonly sites: readonly ControlledSiteConfig[]
  /** Who looks after the network, by a name of their certificate. Default nobody: each site drains itself. */
  readonly operators: readonly ControllerOperator[]
  /** Where calls of operators and sites are written, done or refused, before they take effect. Default nowhere. */
  readonly audit?: { readonly file: string }
  readonly state: ControllerStateConfig
  /** At most so long between a changed demand and its plan, in milliseconds. Default 1,000. */
  readonly periodMs: number
  /** The page that shows the network to a person. Default nowhere. */
  readonly console?: ConsoleConfig
}

/** The same as it stands in a file. */
export interface ControllerConfigFile extends Omit<ControllerConfig, 'listen' | 'operators' | 'periodMs' | 'console'> {
  readonly $schema?: string
  readonly listen: Partial<ListenConfig> & Pick<ListenConfig, 'port'>
  readonly operators?: readonly ControllerOperator[]
  readonly periodMs?: number
  readonly console?: ConsoleConfigFile
}

/** JSON Schema (draft 2020-12) of the configuration of a network's controller. */
export const controllerConfigSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit controller configuration',
  ...objectSchema(
    'The controller of a network, or one of its replicas',
    {
      $schema: text('Where this schema is published'),
      controllerId: etsiId('ID of this controller, as its certificate says it'),
      listen: listenSchema('Where nodes and operators connect'),
      tls: tlsFilesSchema,
      sites: list(
        'Sites of the network',
        objectSchema(
          'A site',
          {
            siteId: name('Site ID'),
            kmeId: etsiId('KME ID of its certificate'),
            modules: integer('How many of its links its optical switch can run at once; without it all', 0, 1_000_000),
          },
          ['modules'],
        ),
        10_000,
      ),
      operators: {
        ...list(
          'Who looks after the network: common names of certificates, each an operator, or with roles of their own',
          {
            description: 'A common name, or name and roles',
            anyOf: [
              etsiId('Common name'),
              objectSchema('Somebody with roles of their own', {
                name: etsiId('Common name'),
                roles: rolesSchema('What they may do'),
              }),
            ],
          },
          256,
        ),
        default: [],
      },
      audit: objectSchema('Where calls are written before they take effect', {
        file: text('Audit log, relative to this file; made where it is missing'),
      }),
      state: objectSchema(
        'Where plans are numbered, so that their numbers never go back',
        {
          kind: {
            enum: ['file', 'postgresql'],
            description: 'file (one controller) or postgresql (replicas that elect)',
          },
          path: text('file: its path, relative to this file'),
          url: text('postgresql: URL of the database that all replicas share, without a password'),
          passwordFile: text('postgresql: file with the password, mode 0600, relative to this file'),
        },
        ['path', 'url', 'passwordFile'],
      ),
      periodMs: integer('At most so long between a changed demand and its plan, ms', 50, 60_000, 1_000),
      console: consoleSchema,
    },
    ['$schema', 'operators', 'audit', 'periodMs', 'console'],
  ),
}

/** What the schema cannot say. */
export function checkControllerConfig({ sites, state, console: page }: ControllerConfigFile): SchemaFault[] {
  const faults: SchemaFault[] = checkConsole(page)
  for (const field of ['siteId', 'kmeId'] as const) {
    const seen = new Map<string, number>()
    for (const [index, site] of sites.entries()) {
      const first = seen.get(site[field])
      if (first === undefined) seen.set(site[field], index)
      else faults.push({ path: `/sites/${index}/${field}`, message: `"${site[field]}" is that of /sites/${first} too` })
    }
  }
  const [needed, foreign] =
    state.kind === 'file' ? (['path', ['url', 'passwordFile']] as const) : (['url', ['path']] as const)
  if (!(needed in state))
    faults.push({ path: '/state', message: `field "${needed}" is missing; kind "${state.kind}" needs it` })
  for (const field of foreign) {
    if (field in state)
      faults.push({ path: '/state', message: `field "${field}" does not go with kind "${state.kind}"` })
  }
  if (state.kind === 'postgresql' && state.url !== undefined && /^[a-z]+:\/\/[^@/]*:[^@/]*@/.test(state.url)) {
    faults.push({ path: '/state/url', message: 'must have no password; put it into passwordFile' })
  }
  return faults
}

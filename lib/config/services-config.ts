import type { JsonSchema } from '../util/json-schema.ts'
import { integer, listenSchema, objectSchema, text } from './schema-parts.ts'
import type { ListenConfig } from './site-config.ts'

/** A part of a site that runs as a process of its own, and where the part above finds it. */
export interface ServiceConfig {
  readonly host: string
  readonly port: number
  /** Its `/healthz`, `/readyz` and `/metrics`, without TLS. Default nowhere. */
  readonly ops?: ListenConfig
}

/**
 * The parts of a site apart, all from one file: `qkd kms serve`, `qkd qnl serve` and `qkd link serve`. They know each other by
 * the certificate of the site. `qkd site serve` runs everything in one process and passes this over.
 */
export interface ServicesConfig {
  /** Where the network layer waits for the KMS. Default: in the process of the KMS. */
  readonly qnl?: ServiceConfig
  /** Where the ends of the links wait for the network layer. Default: in its process. */
  readonly links?: ServiceConfig
}

/** The same as it stands in a file. */
export interface ServicesConfigFile {
  readonly qnl?: ServiceConfigFile
  readonly links?: ServiceConfigFile
}

interface ServiceConfigFile extends Omit<ServiceConfig, 'ops'> {
  readonly ops?: Partial<ListenConfig> & Pick<ListenConfig, 'port'>
}

const service = (description: string): JsonSchema =>
  objectSchema(
    description,
    {
      host: text('Address or name under which it listens and is found'),
      port: integer('TCP port there', 1, 65_535),
      ops: listenSchema('Its health, readiness and metrics, over HTTP without TLS'),
    },
    ['ops'],
  )

/** The schema of `services`. */
export const servicesSchema: JsonSchema = objectSchema(
  'The parts of the site as processes of their own: qkd kms serve, qkd qnl serve, qkd link serve',
  {
    qnl: service('Where the network layer waits for the KMS; without it the KMS has its own'),
    links: service('Where the ends of the links wait for the network layer; without it that has them itself'),
  },
  ['qnl', 'links'],
)

import type { JsonSchema } from '../util/json-schema.ts'
import { type ControllerAddress, controllersSchema } from './network-config.ts'
import { etsiId, objectSchema, text } from './schema-parts.ts'
import { type TlsIdentity, tlsFilesSchema } from './site-config.ts'

/** Where a site takes the calls of its operators. */
export interface OperatorSiteAddress {
  /** `https://host:port` of its `operators.listen`. */
  readonly url: string
  /** What the certificate of the site must say. Default any that the authority has signed for the host of `url`. */
  readonly kmeId?: string
}

/** How a person reaches the controllers of a network, and a site. */
export interface OperatorConfig {
  readonly tls: TlsIdentity
  readonly controllers: readonly ControllerAddress[]
  readonly site?: OperatorSiteAddress
  /** The site that the certificate speaks for, if any. */
  readonly siteId?: string
}

/** The same as it stands in a file. */
export interface OperatorConfigFile extends Omit<OperatorConfig, 'controllers' | 'siteId'> {
  readonly controllers?: readonly ControllerAddress[]
}

/** JSON Schema (draft 2020-12) of an operator's file; `tls` has paths there, relative to the file. */
export const operatorConfigSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit operator',
  ...objectSchema(
    'How an operator reaches the controller of a network, and a site',
    {
      $schema: text('Where this schema is published'),
      tls: tlsFilesSchema,
      controllers: controllersSchema,
      site: objectSchema(
        'The site that takes their calls',
        {
          url: { type: 'string', pattern: '^https://', description: 'https://host:port of its operators.listen' },
          kmeId: etsiId('KME ID that its certificate must name'),
        },
        ['kmeId'],
      ),
    },
    ['$schema', 'controllers', 'site'],
  ),
}

import type { JsonSchema } from '../util/json-schema.ts'
import { type ControllerAddress, controllersSchema } from './network-config.ts'
import { objectSchema, text } from './schema-parts.ts'
import { type TlsIdentity, tlsFilesSchema } from './site-config.ts'

/** How a person reaches the controllers of a network. */
export interface OperatorConfig {
  readonly tls: TlsIdentity
  readonly controllers: readonly ControllerAddress[]
  /** The site that the certificate speaks for, if any. */
  readonly siteId?: string
}

/** JSON Schema (draft 2020-12) of an operator's file; `tls` has paths there, relative to the file. */
export const operatorConfigSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit network operator',
  ...objectSchema(
    'How an operator reaches the controller of a network',
    { $schema: text('Where this schema is published'), tls: tlsFilesSchema, controllers: controllersSchema },
    ['$schema'],
  ),
}

import type { JsonSchema } from '../util/json-schema.ts'
import { objectSchema } from './schema-parts.ts'
import { kmeIdSchema, saeIdSchema, type TlsIdentity, tlsFilesSchema } from './site-config.ts'

/** How one host (SAE) reaches its own site's KME. */
export interface SaeProfile {
  readonly saeId: string
  /** Base URL of the ETSI GS QKD 014 server: `https`, with a path prefix where the KME has one. */
  readonly kme: string
  /** The KME's ID; where set, its certificate must say so. */
  readonly kmeId?: string
  readonly tls: TlsIdentity
}

/** JSON Schema (draft 2020-12) of a host's profile; `tls` has paths there, relative to the file. */
export const saeProfileSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit SAE profile',
  ...objectSchema(
    'How a host reaches its KME',
    {
      $schema: { type: 'string', description: 'Where this schema is published' },
      saeId: saeIdSchema,
      kme: {
        type: 'string',
        pattern: '^https://[^\\s/?#]+[^\\s?#]*$',
        description: 'Base URL of the KME, such as https://kme.example:8014',
      },
      kmeId: kmeIdSchema,
      tls: tlsFilesSchema,
    },
    ['$schema', 'kmeId'],
  ),
}

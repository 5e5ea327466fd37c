import type { JsonSchema } from '../../util/json-schema.ts'
import { schemas } from './schemas.ts'

/** The part of an OpenAPI 3.1 document that this one uses. */
export interface OpenApiDocument {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  /** By path, then by method in lower case; `parameters` stand beside the methods. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>>; readonly [kind: string]: unknown }
}

const ref = (kind: 'schemas' | 'responses' | 'headers', name: string) => ({ $ref: `#/components/${kind}/${name}` })
const json = (schema: string) => ({ 'application/json': { schema: ref('schemas', schema) } })
const noStore = { 'Cache-Control': ref('headers', 'NoStore') }
const ok = (description: string, schema: string) => ({ description, headers: noStore, content: json(schema) })
const refusal = (description: string, headers: Readonly<Record<string, unknown>> = {}) => ({
  description,
  headers: { ...noStore, ...headers },
  content: json('Error'),
})

const responses = {
  BadRequest: refusal('The request is wrong, or cannot be met by the policy; nothing was consumed'),
  Unauthorized: refusal(
    'The caller is no registered SAE, or was not named for one of the keys; nothing was consumed. Many callers without ' +
      'a certificate never get here: their handshake fails',
  ),
  TooLarge: refusal('The body is larger than 65,536 bytes, or what the configuration has'),
  NotJson: refusal('There is a body, and its type is not application/json'),
  Unavailable: refusal('There is not enough key now, or the KME cannot answer; nothing was given', {
    'Retry-After': ref('headers', 'RetryAfter'),
  }),
}

const common = {
  '400': ref('responses', 'BadRequest'),
  '401': ref('responses', 'Unauthorized'),
  '503': ref('responses', 'Unavailable'),
}
const withBody = { ...common, '413': ref('responses', 'TooLarge'), '415': ref('responses', 'NotJson') }

const pathSae = (name: string, description: string) => ({
  name,
  in: 'path',
  required: true,
  description: `${description}, percent-encoded`,
  schema: { type: 'string', minLength: 1, maxLength: 291 },
})
const query = (name: string, description: string, schema: JsonSchema, required = false) => ({
  name,
  in: 'query',
  required,
  description,
  schema,
})
const positive: JsonSchema = { type: 'integer', minimum: 1, maximum: 2 ** 31 - 1 }

const paths = {
  '/api/v1/keys/{slave_SAE_ID}/status': {
    parameters: [pathSae('slave_SAE_ID', 'The other SAE')],
    get: {
      operationId: 'getStatus',
      summary: 'State of the pool towards another SAE (clause 5.3)',
      responses: { '200': ok('The state', 'Status'), ...common },
    },
  },
  '/api/v1/keys/{slave_SAE_ID}/enc_keys': {
    parameters: [pathSae('slave_SAE_ID', 'The SAE to share keys with')],
    get: {
      operationId: 'getKey',
      summary: 'Fresh keys, by number and size alone (clause 5.4)',
      description: 'Consumes keys, though it is a GET: never to be repeated or cached.',
      parameters: [
        query('number', 'How many keys. Default 1', positive),
        query('size', 'Size of each in bits. Default key_size', { ...positive, multipleOf: 8 }),
      ],
      responses: { '200': ok('The keys, all that were asked for', 'KeyContainer'), ...common },
    },
    post: {
      operationId: 'postKey',
      summary: 'Fresh keys (clause 5.4)',
      description: 'An empty body, of any type or none, asks for one key of the default size.',
      requestBody: { required: false, content: json('KeyRequest') },
      responses: { '200': ok('The keys, all that were asked for', 'KeyContainer'), ...withBody },
    },
  },
  '/api/v1/keys/{master_SAE_ID}/dec_keys': {
    parameters: [pathSae('master_SAE_ID', 'The SAE that called enc_keys')],
    get: {
      operationId: 'getKeyWithKeyId',
      summary: 'The key of one ID (clause 5.5)',
      description: 'Each slave gets a key once.',
      parameters: [query('key_ID', 'As enc_keys gave it', { type: 'string', minLength: 1 }, true)],
      responses: { '200': ok('The key', 'KeyContainer'), ...common },
    },
    post: {
      operationId: 'postKeyWithKeyIds',
      summary: 'The keys of several IDs, all or none (clause 5.5)',
      description: 'Each slave gets a key once.',
      requestBody: { required: true, content: json('KeyIDs') },
      responses: { '200': ok('The keys, in the order of their IDs', 'KeyContainer'), ...withBody },
    },
  },
}

/** What the ETSI GS QKD 014 server of a site serves, as an OpenAPI 3.1 document of our own. */
export const etsi014OpenApi: OpenApiDocument = {
  openapi: '3.1.0',
  info: {
    title: 'Key delivery by ETSI GS QKD 014 V1.1.1, as qkdkit serves it',
    version: '1.1.1',
    description:
      'Paths, models and messages are those of the standard; what it leaves open is as said here. Another path is answered ' +
      '404, another method 405 with Allow, both with an Error.',
  },
  security: [{ mutualTls: [] }],
  paths,
  components: {
    schemas,
    responses,
    headers: {
      NoStore: { description: 'Nothing of this may be kept', schema: { const: 'no-store' } },
      RetryAfter: {
        description: 'When to ask again, in seconds',
        schema: { type: 'string', pattern: '^[1-9][0-9]*$' },
      },
    },
    securitySchemes: {
      mutualTls: {
        type: 'mutualTLS',
        description: 'TLS 1.2 or 1.3; the certificate tells which SAE is calling, as the configuration says where',
      },
    },
  },
}

/**
 * The rooms of the tree, and what each may import: ARCHITECTURE.md shows the same table. A room is a folder (with `/` at
 * its end) or one file; the longest match wins. A room always sees itself.
 */
export interface Room {
  readonly room: string
  /** What it is for, in a few words. */
  readonly holds: string
  readonly sees: readonly string[]
  /** Set where modules are loaded by a name that a person gives. */
  readonly loads?: 'by name'
}

/** Pure ground that every layer stands on: contracts, errors, keys, small nouns. */
const ground = ['lib/errors.ts', 'lib/interface/', 'lib/key/', 'lib/util/']

/** What a host may use: the four public faces. */
const faces = [
  'lib/index.ts',
  'integrations/strongswan/index.ts',
  'integrations/tls/index.ts',
  'integrations/kerberos/index.ts',
]

export const rooms: readonly Room[] = [
  { room: 'lib/errors.ts', holds: 'the closed list of error codes', sees: [] },
  { room: 'lib/interface/', holds: 'the contracts between layers, types only', sees: ['lib/key/secret-key.ts'] },
  { room: 'lib/util/', holds: 'small nouns that every layer needs', sees: ['lib/errors.ts', 'lib/interface/'] },
  {
    room: 'lib/util/source-thread.mjs',
    holds: 'how a thread reads TypeScript, in a checkout on Node 20 alone',
    sees: [],
    loads: 'by name',
  },
  {
    room: 'lib/key/',
    holds: 'secret keys, selections, sealing: pure functions',
    sees: ['lib/errors.ts', 'lib/interface/', 'lib/util/'],
  },
  { room: 'lib/telemetry.ts', holds: 'the one stream of events and gauges', sees: ['lib/interface/'] },
  { room: 'lib/config.ts', holds: 'reading and checking configuration files', sees: [...ground, 'lib/config/'] },
  {
    room: 'lib/config/',
    holds: 'their schemas and what belongs together in them',
    sees: [...ground, 'lib/etsi014/kme-profile.ts', 'lib/pkcs12.ts'],
  },
  { room: 'lib/forge.ts', holds: 'the door to node-forge', sees: [] },
  { room: 'lib/tracing.ts', holds: 'the door to OpenTelemetry', sees: ['lib/errors.ts', 'lib/interface/'] },
  { room: 'lib/pki.ts', holds: 'development certificates', sees: [...ground, 'lib/forge.ts'] },
  {
    room: 'lib/create-pkcs12.ts',
    holds: 'certificate and key into one file',
    sees: [...ground, 'lib/forge.ts', 'lib/pki.ts'],
  },
  { room: 'lib/pkcs12.ts', holds: 'certificate and key out of one file', sees: [...ground, 'lib/forge.ts'] },
  { room: 'lib/http/', holds: 'handlers bound to node:https, and in process', sees: ground },
  { room: 'lib/channel/', holds: 'message channels: in memory, over mutual TLS', sees: ground },
  { room: 'lib/metrics/', holds: 'what a site says of itself: health, readiness, metrics', sees: ground },
  { room: 'lib/alarms/', holds: 'alarms: conditions, what becomes of them, and where they go', sees: ground },
  { room: 'lib/operators/', holds: 'who looks after a site, and what each may do', sees: ground },
  { room: 'lib/etsi014/', holds: 'ETSI GS QKD 014: server and client of one wire format', sees: ground },
  {
    room: 'lib/etsi020/',
    holds: 'ETSI GS QKD 020: keys between the KMEs of two domains',
    sees: [...ground, 'lib/etsi014/base64.ts', 'lib/etsi014/key-scanner.ts'],
  },
  { room: 'lib/skip/', holds: "Cisco's SKIP: the same keys for its encryptors", sees: ground },
  { room: 'lib/qll/', holds: 'link layer', sees: [...ground, 'lib/channel/'] },
  { room: 'lib/qnl/', holds: 'network layer', sees: ground },
  { room: 'lib/kms/', holds: 'service layer: pools, their protocol and store', sees: ground },
  {
    room: 'lib/kms/owner/',
    holds: 'one owner of the pools, many processes that serve its hosts: requests in batches',
    sees: ground,
  },
  {
    room: 'lib/client/',
    holds: 'the host side: remote KMS, agreement on keys',
    sees: [
      ...ground,
      'lib/config/kme-access.ts',
      'lib/config/sae-profile.ts',
      'lib/etsi014/',
      'lib/http/',
      'lib/pkcs12.ts',
    ],
  },
  { room: 'lib/console/', holds: 'what the console shows, and the server of its page', sees: ground },
  { room: 'lib/console/page/', holds: "the console's page, as the browser loads it", sees: [] },
  {
    room: 'lib/site-console.ts',
    holds: 'composition root: the console of a site, and of a controller',
    sees: ['lib/'],
  },
  { room: 'lib/site-health.ts', holds: 'composition root: what a site stands on, for its console', sees: ['lib/'] },
  { room: 'lib/site-links.ts', holds: 'composition root: the link ends of a site', sees: ['lib/'] },
  {
    room: 'lib/site-network.ts',
    holds: "composition root: a site's links and its node of the network",
    sees: ['lib/'],
  },
  { room: 'lib/site-interruptions.ts', holds: 'composition root: alarms of the network', sees: ['lib/'] },
  {
    room: 'lib/simulation/',
    holds: 'networks in virtual time: planner, queues and demand monitors put together',
    sees: ['lib/'],
  },
  { room: 'lib/controller-server.ts', holds: 'composition root: the controller of a network', sees: ['lib/'] },
  { room: 'lib/site.ts', holds: 'composition root: where the layers meet', sees: ['lib/'] },
  { room: 'lib/config-check.ts', holds: 'composition root: configurations looked at as a role would', sees: ['lib/'] },
  { room: 'lib/site-link-service.ts', holds: 'composition root: the links of a site as a process', sees: ['lib/'] },
  { room: 'lib/site-hosts.ts', holds: 'composition root: the server of a site for its hosts', sees: ['lib/'] },
  { room: 'lib/workers/', holds: 'composition root: processes that serve the hosts of a site', sees: ['lib/'] },
  { room: 'lib/site-alarms.ts', holds: 'composition root: alarms of a site', sees: ['lib/'] },
  { room: 'lib/site-operators.ts', holds: 'composition root: the calls of operators of a site', sees: ['lib/'] },
  { room: 'lib/site-core.ts', holds: 'composition root: what of a site runs in one process at a time', sees: ['lib/'] },
  { room: 'lib/store-look.ts', holds: 'composition root: stores of any kind, to be looked at', sees: ['lib/'] },
  { room: 'lib/site-fellows.ts', holds: 'composition root: the ways between replicas of a site', sees: ['lib/'] },
  {
    room: 'lib/site-replica.ts',
    holds: 'composition root: a process of several that are a site together',
    sees: ['lib/'],
  },
  { room: 'lib/operator-access.ts', holds: 'composition root: the way of an operator to a site', sees: ['lib/'] },
  { room: 'lib/metrics-server.ts', holds: 'composition root: health and metrics of any process', sees: ['lib/'] },
  { room: 'lib/site-ops.ts', holds: 'composition root: health and metrics of a site', sees: ['lib/'] },
  { room: 'lib/site-border.ts', holds: 'composition root: the border to other domains', sees: ['lib/'] },
  { room: 'lib/site-skip.ts', holds: 'composition root: SKIP for the encryptors of a site', sees: ['lib/'] },
  { room: 'lib/front.ts', holds: "composition root: policy and audit before others' KMEs", sees: ['lib/'] },
  {
    room: 'lib/recorded-keys.ts',
    holds: 'composition root: key that was recorded, in the formats of others',
    sees: ['lib/'],
  },
  { room: 'lib/index.ts', holds: 'the public face', sees: ['lib/'] },
  { room: 'integrations/strongswan/', holds: 'IPsec gateways under keys of the KMS', sees: ['lib/index.ts'] },
  { room: 'integrations/tls/', holds: 'TLS sessions under keys of the KMS', sees: ['lib/index.ts'] },
  {
    room: 'integrations/kerberos/',
    holds: 'Kerberos realms and services under keys of the KMS',
    sees: ['lib/index.ts'],
  },
  { room: 'bin/', holds: 'the command', sees: faces },
  { room: 'examples/', holds: 'programs that run alone', sees: faces },
  {
    room: 'test/compliance/',
    holds: 'the published suites: one for each contract, for every backend',
    sees: ['lib/'],
  },
  {
    room: 'bench/',
    holds: 'benchmarks and soak runs',
    sees: ['lib/', 'integrations/', 'examples/', 'test/helpers/', 'test/integrations/kerberos/', 'test/mutation/'],
    loads: 'by name',
  },
]

/** Outside packages and the one place that may import each: a file, or a folder in which one file does. */
export const packageDoors: Readonly<Record<string, string>> = {
  ajv: 'lib/util/json-schema.ts',
  'node-forge': 'lib/forge.ts',
  lmdb: 'lib/kms/',
  highs: 'lib/qnl/',
  '@opentelemetry/api': 'lib/tracing.ts',
  pg: 'lib/util/postgres-client.ts',
  pkcs11js: 'lib/kms/store/pkcs11-package.ts',
  yaml: 'lib/config/policy-text.ts',
  '@noble/post-quantum': 'lib/key/post-quantum.ts',
  preact: 'lib/console/page/html.mjs',
  htm: 'lib/console/page/html.mjs',
  kerberos: 'integrations/kerberos/gssapi/kerberos-package.ts',
  // Shown at work by an example; nothing of ours stands on them.
  fastify: 'examples/fastify.ts',
  undici: 'examples/fastify.ts',
  // Runs from source alone, where threads must read TypeScript too; never packed.
  tsx: 'lib/util/source-thread.mjs',
}

/** Packages of the command line, which any command may use. */
export const commandPackages: readonly string[] = ['yargs']

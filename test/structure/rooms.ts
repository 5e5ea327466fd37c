/**
 * The rooms of the tree, and what each may import: ARCHITECTURE.md shows the same table. A room is a folder (with `/` at
 * its end) or one file; the longest match wins. A room always sees itself.
 */
export interface Room {
  readonly room: string
  readonly sees: readonly string[]
}

/** Pure ground that every layer stands on: contracts, errors, keys, small nouns. */
const ground = ['lib/errors.ts', 'lib/interface/', 'lib/key/', 'lib/util/']

/** What a host may use: the four public faces. */
const faces = ['lib/index.ts', 'integrations/tls/index.ts']

export const rooms: readonly Room[] = [
  { room: 'lib/errors.ts', sees: [] },
  { room: 'lib/interface/', sees: ['lib/key/secret-key.ts'] },
  { room: 'lib/util/', sees: ['lib/errors.ts', 'lib/interface/'] },
  { room: 'lib/key/', sees: ['lib/errors.ts', 'lib/interface/', 'lib/util/'] },
  { room: 'lib/telemetry.ts', sees: ['lib/interface/'] },
  { room: 'lib/config.ts', sees: [...ground, 'lib/config/'] },
  { room: 'lib/config/', sees: ground },
  { room: 'lib/pki.ts', sees: ground },
  { room: 'lib/http/', sees: ground },
  { room: 'lib/channel/', sees: ground },
  { room: 'lib/etsi014/', sees: ground },
  { room: 'lib/qll/', sees: ground },
  { room: 'lib/qnl/', sees: ground },
  { room: 'lib/kms/', sees: ground },
  { room: 'lib/client/', sees: [...ground, 'lib/etsi014/', 'lib/http/'] },
  { room: 'lib/site.ts', sees: ['lib/'] },
  { room: 'lib/index.ts', sees: ['lib/'] },
  { room: 'integrations/tls/', sees: ['lib/index.ts'] },
  { room: 'bin/', sees: faces },
  { room: 'examples/', sees: faces },
  { room: 'bench/', sees: ['lib/', 'integrations/', 'test/helpers/'] },
]

/** Outside packages and the one place that may import each: a file, or a folder in which one file does. */
export const packageDoors: Readonly<Record<string, string>> = {
  ajv: 'lib/util/json-schema.ts',
  'node-forge': 'lib/pki.ts',
  lmdb: 'lib/kms/',
  highs: 'lib/qnl/',
}

/** Packages of the command line, which any command may use. */
export const commandPackages: readonly string[] = ['yargs']

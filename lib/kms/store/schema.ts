import { StoreError } from '../../errors.ts'
import { lp } from '../../key/lp.ts'
import type { RowMac } from '../../key/row-mac.ts'
import { decodePool, encodePool } from './block-record.ts'
import type { Lmdb, LmdbFile } from './lmdb-file.ts'

/** Version of the layout of the rows. A store with an older one is brought to it when it is opened, one with a newer one is refused. */
export const SCHEMA_VERSION = 2
const SCHEMA_KEY = Buffer.from('schema')

/** One step from a layout to the next. Works on what `db` has, inside a transaction, and never waits. */
export interface Migration {
  /** The layout that it starts from; it ends with the next one. */
  readonly from: number
  /** Gives what writes. `rows` tags rows as the present layout has them. */
  readonly prepare: (db: Lmdb, rows: RowMac) => () => void
}

/** All there are, one for each version that was ever in use. */
export const MIGRATIONS: readonly Migration[] = [{ from: 1, prepare: tagRows }]

/**
 * The layout of a store; a new one gets the present one.
 * @throws {StoreError} a newer version of the software wrote it, or there is no way from there
 */
export async function readSchema(file: LmdbFile, directory: string): Promise<number> {
  const found = file.read(db => db.get(SCHEMA_KEY)?.readUInt32BE(0))
  if (found === undefined) {
    await file.write(db => () => putSchema(db, SCHEMA_VERSION))
    return SCHEMA_VERSION
  }
  if (found <= SCHEMA_VERSION && (found === SCHEMA_VERSION || MIGRATIONS.some(({ from }) => from === found)))
    return found
  const cure =
    found > SCHEMA_VERSION
      ? 'a newer version of qkdkit wrote it: start that one, or an empty store'
      : 'there is no way from there: start an empty store'
  throw new StoreError(
    `The store in ${directory} has schema ${found}; this version of qkdkit reads up to ${SCHEMA_VERSION}; ${cure}`,
  )
}

/** Brings a store from layout `from` to the present one: all steps in one transaction, or none. */
export function migrate(
  file: LmdbFile,
  { from, rows, migrations = MIGRATIONS }: { from: number; rows: RowMac; migrations?: readonly Migration[] },
): Promise<void> {
  const count = file.read(db => db.getCount({}))
  return file.write(
    db => () => {
      let at = from
      for (let step = stepFrom(migrations, at); step !== undefined; step = stepFrom(migrations, at)) {
        step.prepare(db, rows)()
        at = step.from + 1
      }
      putSchema(db, at)
    },
    { rows: count },
  )
}

function stepFrom(migrations: readonly Migration[], at: number): Migration | undefined {
  return migrations.find(({ from }) => from === at)
}

function putSchema(db: Lmdb, version: number): void {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(version)
  void db.put(SCHEMA_KEY, bytes)
}

/**
 * Schema 2 binds every row to its place by a tag. Nobody vouches for rows that had none: they could have been altered, or the
 * version be put back by somebody who cannot make tags. So pools come out of it as ones that were restored, and do nothing until
 * they have agreed with their peers again.
 */
function tagRows(db: Lmdb, rows: RowMac): () => void {
  const tagged: [Buffer, Buffer][] = []
  for (const kind of ['pool', 'block', 'note'] as const) {
    const start = lp(kind)
    const end = Buffer.concat([start, Buffer.from([0xff, 0xff, 0xff])])
    for (const { key, value } of db.getRange({ start, end })) {
      const row = kind === 'pool' ? encodePool({ ...decodePool(value), rolledBack: true }) : value
      const place = Buffer.from(key)
      tagged.push([place, rows.protect(place, row)])
    }
  }
  return () => {
    for (const [place, row] of tagged) void db.put(place, row)
  }
}

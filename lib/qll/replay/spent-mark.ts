import { randomUUID } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { StoreError } from '../../errors.ts'
import { compileSchema } from '../../util/json-schema.ts'
import { syncDirectory } from '../../util/sync-directory.ts'

/** How far one end has got in its copy of a recording. */
export interface SpentMark {
  /** Site and link that it feeds: two ends can't share one copy. */
  readonly siteId: string
  readonly linkId: string
  /** Number of the last block that was given, or passed over. */
  readonly number: bigint
}

const NAME = 'spent.json'

const check = compileSchema<{ siteId: string; linkId: string; number: string }>({
  type: 'object',
  required: ['siteId', 'linkId', 'number'],
  properties: {
    siteId: { type: 'string' },
    linkId: { type: 'string' },
    number: { type: 'string', pattern: '^[0-9]{1,19}$' },
  },
})

/**
 * The mark in `directory`, or undefined before the first block was given.
 * @throws {StoreError} it can't be read: nothing may be given, because it could have been given before
 */
export async function readSpentMark(directory: string): Promise<SpentMark | undefined> {
  const path = join(directory, NAME)
  try {
    const checked = check(JSON.parse(await readFile(path, 'utf8')))
    if (!checked.ok) throw new Error('it is not a mark of used key')
    return { ...checked.value, number: BigInt(checked.value.number) }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new StoreError(`${path} can't be read, so nobody knows which key was used: ${(cause as Error).message}`, {
      cause,
    })
  }
}

/**
 * Writes the mark; durable when it resolves.
 * @throws {StoreError} it is not
 */
export async function writeSpentMark(directory: string, { number, ...mark }: SpentMark): Promise<void> {
  const path = join(directory, NAME)
  const draft = `${path}.${randomUUID()}.tmp`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(JSON.stringify({ ...mark, number: String(number) }))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
    await syncDirectory(directory)
  } catch (cause) {
    throw new StoreError(`${path} can't be written: ${(cause as Error).message}`, { cause })
  }
}

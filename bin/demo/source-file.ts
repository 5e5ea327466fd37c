import { access, constants, stat } from 'node:fs/promises'
import { InvalidArgumentError } from '../../lib/index.ts'

/** A file that can be sent. */
export interface SourceFile {
  readonly path: string
  readonly sizeBytes: number
}

/**
 * Looks at the file before anything is started for it.
 * @throws {InvalidArgumentError} it is missing, unreadable, empty, or no file
 */
export async function openSourceFile(path: string): Promise<SourceFile> {
  try {
    const found = await stat(path)
    if (!found.isFile()) throw new InvalidArgumentError(`--file must name a file: ${path}`)
    if (found.size === 0) throw new InvalidArgumentError(`--file is empty, so there is nothing to send: ${path}`)
    await access(path, constants.R_OK)
    return { path, sizeBytes: found.size }
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw error
    const reasons: Record<string, string> = { ENOENT: 'there is no such file', EACCES: 'not allowed to read it' }
    const { code = 'unknown' } = error as NodeJS.ErrnoException
    throw new InvalidArgumentError(`--file ${path}: ${reasons[code] ?? code}`, { cause: error })
  }
}

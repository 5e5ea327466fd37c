import { readFile, stat } from 'node:fs/promises'
import { ConfigError, QkdError, SecretKey } from '../../../lib/index.ts'

/**
 * The static secret in a file: its bytes as they are, but for one line end. The caller wipes it.
 * @throws {ConfigError} the file can't be read, or others may read it too
 */
export async function readStaticSecret(path: string): Promise<SecretKey> {
  try {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0) throw new ConfigError(`${path}: others may read this secret; run chmod 600 ${path}`)
    const bytes = await readFile(path)
    const end = bytes.at(-1) === 0x0a ? bytes.byteLength - 1 : bytes.byteLength
    const secret = SecretKey.copyOf(bytes.subarray(0, bytes.at(end - 1) === 0x0d ? end - 1 : end))
    bytes.fill(0)
    return secret
  } catch (cause) {
    if (cause instanceof QkdError) throw cause
    throw new ConfigError(`${path}: the secret can't be read (${(cause as Error).message})`, { cause })
  }
}

import { readFile, stat } from 'node:fs/promises'
import { ConfigError, type NetworkFile, parseNetworkFile } from '../../lib/index.ts'

/** No network that can be planned is larger. */
const MAX_FILE_BYTES = 64 * 1024 * 1024

/** @throws {ConfigError} the file is too large, not JSON, or no network */
export async function readNetworkFile(path: string): Promise<NetworkFile> {
  return parseNetworkFile(await readJsonFile(path))
}

/** @throws {ConfigError} the file is too large, or not JSON */
export async function readJsonFile(path: string): Promise<unknown> {
  if ((await stat(path)).size > MAX_FILE_BYTES) throw new ConfigError(`${path}: larger than ${MAX_FILE_BYTES} bytes`)
  const text = await readFile(path, 'utf8')
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ConfigError(`${path}: not JSON: ${(error as Error).message}`, { cause: error })
  }
}

import { createReadStream } from 'node:fs'
import { ConfigError, type NetworkFile, parseNetworkFile } from '../../lib/index.ts'

/** No network that can be planned is larger. */
const MAX_FILE_BYTES = 64 * 1024 * 1024

/** @throws {ConfigError} the file is too large, not JSON, or no network */
export async function readNetworkFile(path: string): Promise<NetworkFile> {
  return parseNetworkFile(await readJsonFile(path))
}

/** @throws {ConfigError} the file is too large, or not JSON */
export async function readJsonFile(path: string): Promise<unknown> {
  const parts: Buffer[] = []
  let sizeBytes = 0
  // By what comes, not by what the file says of itself: a pipe or a device says nothing.
  for await (const part of createReadStream(path)) {
    parts.push(part)
    sizeBytes += part.byteLength
    if (sizeBytes > MAX_FILE_BYTES) throw new ConfigError(`${path}: larger than ${MAX_FILE_BYTES} bytes`)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'))
  } catch (error) {
    throw new ConfigError(`${path}: not JSON: ${(error as Error).message}`, { cause: error })
  }
}

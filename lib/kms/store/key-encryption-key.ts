import { open } from 'node:fs/promises'
import { StoreError } from '../../errors.ts'
import { SecretKey } from '../../key/secret-key.ts'

const KEK_BYTES = 32

/**
 * The key under which the slot file is wrapped, from a file of exactly 32 bytes, mode 0600. A missing file is created
 * when `create` is set.
 * @throws {StoreError} the file is missing, has another length, or others may read it
 */
export async function loadKeyEncryptionKey(path: string, { create }: { create: boolean }): Promise<SecretKey> {
  if (create) await createKeyFile(path)
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw new StoreError(`Cannot read the key encryption key ${path}: ${cause.message}`, { cause })
  })
  try {
    const { mode, size } = await file.stat()
    if ((mode & 0o077) !== 0)
      throw new StoreError(`The key encryption key ${path} is readable by others; run chmod 600`)
    if (size !== KEK_BYTES)
      throw new StoreError(`The key encryption key ${path} has ${size} bytes instead of ${KEK_BYTES}`)
    const bytes = Buffer.allocUnsafeSlow(KEK_BYTES)
    await file.read(bytes, 0, KEK_BYTES, 0)
    return SecretKey.adopt(bytes)
  } finally {
    await file.close()
  }
}

async function createKeyFile(path: string): Promise<void> {
  const file = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST') return undefined
    throw new StoreError(`Cannot create the key encryption key ${path}: ${cause.message}`, { cause })
  })
  if (file === undefined) return
  try {
    const secret = SecretKey.random(KEK_BYTES)
    await secret.expose('key-encryption-key-file', bytes => file.writeFile(bytes))
    secret.wipe()
    await file.sync()
  } finally {
    await file.close()
  }
}

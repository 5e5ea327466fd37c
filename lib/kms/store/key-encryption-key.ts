import { randomBytes } from 'node:crypto'
import { link, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StoreError } from '../../errors.ts'
import { passphraseKey, type ScryptCost } from '../../key/passphrase-key.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { syncDirectory } from '../../util/sync-directory.ts'
import { openPkcs11Key, type Pkcs11Source } from './pkcs11-key.ts'
import type { Kek } from './wrapping-key.ts'

const KEK_BYTES = 32
const MAX_PASSPHRASE_BYTES = 1024
const MIN_PASSPHRASE_BYTES = 8
const SALT_FILE = 'kek-salt.json'
const SCRYPT: ScryptCost = { n: 2 ** 17, r: 8, p: 1 }

/**
 * Where the key encryption key comes from: a file of 32 bytes that is made with the store; a credential, the same made by
 * somebody else (systemd's LoadCredential); a passphrase, the first line of a file; or a key that stays in a device.
 */
export type KekSource =
  | { readonly file: string }
  | { readonly credential: string }
  | { readonly passphraseFile: string }
  | { readonly pkcs11: Pkcs11Source }

/** Options of `loadKek`. */
export interface LoadKekOptions {
  /** The store is new: a missing key file is made, and a missing salt. */
  readonly create: boolean
  /** Directory of the store, where the salt of a passphrase lies. */
  readonly directory: string
}

/**
 * The key under which the slot file is wrapped.
 * @throws {StoreError} it is missing, has another length, or others may read it
 */
export async function loadKek(source: KekSource, { create, directory }: LoadKekOptions): Promise<Kek> {
  if ('file' in source) return loadKeyEncryptionKey(source.file, { create })
  if ('credential' in source) return loadKeyEncryptionKey(source.credential, { create: false })
  if ('pkcs11' in source) {
    const { pkcs11 } = source
    return openPkcs11Key(pkcs11, { create, readPin: () => readPin(pkcs11.pinFile) })
  }
  const passphrase = await readPassphrase(source.passphraseFile)
  try {
    const { salt, cost } = await readSalt(directory, create)
    return await passphraseKey(passphrase, salt, cost)
  } finally {
    passphrase.wipe()
  }
}

/**
 * The key of a file of exactly 32 bytes, mode 0600. A missing file is created when `create` is set.
 * @throws {StoreError} the file is missing, has another length, or others may read it
 */
export async function loadKeyEncryptionKey(path: string, { create }: { create: boolean }): Promise<SecretKey> {
  if (create) await createKeyFile(path)
  const bytes = await readPrivate(path, size => {
    if (size !== KEK_BYTES)
      throw new StoreError(`The key encryption key ${path} has ${size} bytes instead of ${KEK_BYTES}`)
  })
  return SecretKey.adopt(bytes)
}

/**
 * Makes a key file with a random key, whole and durable when this resolves; gives false where there is one already.
 * @throws {StoreError} it cannot be created
 */
export async function createKeyFile(path: string): Promise<boolean> {
  const draft = `${path}.${process.pid}.tmp`
  const secret = SecretKey.random(KEK_BYTES)
  try {
    await writeKeyFile(draft, secret, 'wx')
    // A link refuses where a rename would replace; what reads the file never sees half of it.
    await link(draft, path)
    await syncDirectory(dirname(path))
    return true
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new StoreError(`Cannot create the key encryption key ${path}: ${(cause as Error).message}`, { cause })
  } finally {
    secret.wipe()
    await rm(draft, { force: true })
  }
}

/** Writes a key where it lies (`r+`) or to a new file (`wx`); durable when this resolves. */
export async function writeKeyFile(path: string, secret: SecretKey, flags: 'r+' | 'wx'): Promise<void> {
  const file = await open(path, flags, 0o600)
  try {
    await secret.expose('key-encryption-key-file', bytes => file.write(bytes, 0, bytes.byteLength, 0))
    await file.sync()
  } finally {
    await file.close()
  }
}

/** What a file holds that nobody but its owner may read; a buffer of its own. */
async function readPrivate(
  path: string,
  checkSize: (size: number) => void,
  what = 'key encryption key',
): Promise<Buffer> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw new StoreError(`Cannot read the ${what} ${path}: ${cause.message}`, { cause })
  })
  try {
    const { mode, size } = await file.stat()
    if ((mode & 0o077) !== 0) throw new StoreError(`The ${what} ${path} is readable by others; run chmod 600`)
    checkSize(size)
    const bytes = Buffer.allocUnsafeSlow(size)
    await file.read(bytes, 0, size, 0)
    return bytes
  } finally {
    await file.close()
  }
}

/** The PIN of a token, in a buffer of its own. */
async function readPin(path: string): Promise<Buffer> {
  const { bytes, end } = await readFirstLine(path, 'PIN')
  if (end === 0) throw new StoreError(`The first line of ${path} has no PIN`)
  const pin = Buffer.from(bytes.subarray(0, end))
  bytes.fill(0)
  return pin
}

async function readFirstLine(path: string, what: string): Promise<{ bytes: Buffer; end: number }> {
  const bytes = await readPrivate(
    path,
    size => {
      if (size > MAX_PASSPHRASE_BYTES) throw new StoreError(`The ${what} in ${path} is longer than 1,024 bytes`)
    },
    what,
  )
  const newline = bytes.indexOf('\n')
  return { bytes, end: newline === -1 ? bytes.byteLength : newline }
}

async function readPassphrase(path: string): Promise<SecretKey> {
  const { bytes, end } = await readFirstLine(path, 'passphrase')
  if (end < MIN_PASSPHRASE_BYTES) {
    bytes.fill(0)
    throw new StoreError(`The passphrase in ${path} has ${end} bytes; at least ${MIN_PASSPHRASE_BYTES} are needed`)
  }
  const passphrase = SecretKey.copyOf(bytes.subarray(0, end))
  bytes.fill(0)
  return passphrase
}

async function readSalt(directory: string, create: boolean): Promise<{ salt: Buffer; cost: ScryptCost }> {
  const path = join(directory, SALT_FILE)
  const missing = await stat(path).then(
    () => false,
    () => true,
  )
  if (missing && create) {
    const fresh = { salt: randomBytes(32).toString('base64'), ...SCRYPT }
    await writeFile(path, JSON.stringify(fresh), { mode: 0o600, flush: true })
  }
  try {
    const { salt, n, r, p } = JSON.parse(await readFile(path, 'utf8')) as { salt: string } & ScryptCost
    return { salt: Buffer.from(salt, 'base64'), cost: { n, r, p } }
  } catch (cause) {
    throw new StoreError(`Cannot read the salt of the passphrase ${path}: without it the store does not open`, {
      cause,
    })
  }
}

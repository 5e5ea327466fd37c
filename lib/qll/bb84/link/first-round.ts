import { open } from 'node:fs/promises'
import { ConfigError } from '../../../errors.ts'
import { SecretKey } from '../../../key/secret-key.ts'
import { type Authenticator, SignedTranscripts } from '../session/authenticator.ts'
import { CertifiedKeys, type LinkIdentity } from '../session/certified-keys.ts'
import { SharedKeyTranscripts } from '../session/shared-key-transcripts.ts'

const LEAST_KEY_BYTES = 32
const MOST_KEY_BYTES = 4096

/** What proves the first round of a link: one of both. */
export interface FirstRoundOptions {
  /** Path of the pre-shared key. */
  readonly psk?: string
  /** This site's certificate; used where no key is named. */
  readonly identity?: LinkIdentity
  readonly remoteSiteId: string
}

/**
 * The proof of first rounds, as the ends of a link take it.
 * @throws {ConfigError} neither is given, or the file of the key can't be used
 * @throws {InvalidArgumentError} the certificate is not one of ML-DSA-65, or not the key's
 */
export async function openFirstRound({ psk, identity, remoteSiteId }: FirstRoundOptions): Promise<() => Authenticator> {
  if (psk !== undefined) {
    const secret = await readPreSharedKey(psk)
    return () => new SharedKeyTranscripts(secret)
  }
  if (identity === undefined)
    throw new ConfigError('A BB84 link needs a pre-shared key, or a certificate with ML-DSA-65')
  const keys = new CertifiedKeys({ identity, remoteSiteId })
  return () => new SignedTranscripts(keys)
}

/**
 * The key in a file that only its owner may read: its bytes as they are.
 * @throws {ConfigError} it can't be read, others may read it, or it is too short or too long
 */
export async function readPreSharedKey(path: string): Promise<SecretKey> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw new ConfigError(`Cannot read the pre-shared key ${path} of the link: ${cause.message}`, { cause })
  })
  try {
    const { mode, size } = await file.stat()
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new ConfigError(`The pre-shared key ${path} of the link is readable by others; run: chmod 600 ${path}`)
    }
    if (size < LEAST_KEY_BYTES || size > MOST_KEY_BYTES) {
      throw new ConfigError(
        `The pre-shared key ${path} of the link has ${size} bytes; it must have ${LEAST_KEY_BYTES} to ${MOST_KEY_BYTES}`,
      )
    }
    const bytes = Buffer.allocUnsafeSlow(size)
    const { bytesRead } = await file.read(bytes, 0, size, 0)
    if (bytesRead < LEAST_KEY_BYTES) throw new ConfigError(`The pre-shared key ${path} of the link was cut short`)
    return SecretKey.adopt(bytes.subarray(0, bytesRead))
  } finally {
    await file.close()
  }
}

import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { objectSchema, text } from './schema-parts.ts'
import { openToOthers, unreadable } from './tls-files.ts'

/**
 * Where a key encryption key comes from, which only the site's own user may read: a file of 32 bytes that the first start
 * makes; the same as a systemd credential; a passphrase, the first line of a file; or a key in a device, by PKCS#11.
 */
export type KekConfig =
  | { readonly file: string }
  | { readonly credential: string }
  | { readonly passphraseFile: string }
  | { readonly pkcs11: Pkcs11Config }

/** A key that stays in a device: its PKCS#11 module, the labels of token and key, and the file with the PIN. */
export interface Pkcs11Config {
  readonly module: string
  readonly token: string
  readonly key: string
  readonly pinFile: string
}

/** The same with the key before, where it was replaced: slots that are sealed under that are sealed anew at the start. */
export type StoreKekConfig = KekConfig & { readonly previous?: KekConfig }

const KINDS = ['file', 'credential', 'passphraseFile', 'pkcs11'] as const
const KEK_BYTES = 32

const kekSchema = (description: string, more: Record<string, JsonSchema> = {}) =>
  objectSchema(
    description,
    {
      file: text('File of 32 bytes, mode 0600, relative to this file; made at the first start'),
      credential: text('Name of a systemd credential (LoadCredential=) of 32 bytes'),
      passphraseFile: text(
        'File, mode 0600, relative to this one, whose first line is a passphrase, stretched by scrypt',
      ),
      pkcs11: objectSchema('Key that stays in a device, by PKCS#11; needs the package pkcs11js', {
        module: text('PKCS#11 module of the device, for example /usr/lib/softhsm/libsofthsm2.so'),
        token: text('Label of the token'),
        key: text('Label of an AES key of 256 bits in it, sensitive and not extractable; made with the store'),
        pinFile: text('File, mode 0600, relative to this one, whose first line is the PIN'),
      }),
      ...more,
    },
    [...KINDS, ...Object.keys(more)],
  )

/** A key encryption key in the configuration of a store. */
export const storeKekSchema: JsonSchema = kekSchema(
  'Key encryption key: exactly one of file, credential, passphraseFile and pkcs11',
  {
    previous: kekSchema('The key before, where it was replaced: what it wraps is wrapped anew at the start'),
  },
)

/** What `resolveStoreKek` needs to know of the place it is read at. */
export interface KekPlace {
  /** Directory of the configuration file. */
  readonly baseDir: string
  /** Directory of systemd's credentials, where the process was given any. */
  readonly credentialsDirectory?: string
  /** Where in the file it stands, as a JSON pointer. */
  readonly pointer: string
}

/** The same with whole paths; what is wrong with it goes to `faults`. */
export async function resolveStoreKek(
  { previous, ...kek }: StoreKekConfig,
  place: KekPlace,
  faults: SchemaFault[],
): Promise<StoreKekConfig> {
  const current = await resolveKek(kek as KekConfig, place, faults)
  if (previous === undefined) return current
  const pointer = `${place.pointer}/previous`
  return { ...current, previous: await resolveKek(previous, { ...place, pointer }, faults) }
}

async function resolveKek(kek: KekConfig, place: KekPlace, faults: SchemaFault[]): Promise<KekConfig> {
  const given = KINDS.filter(kind => kind in kek)
  if (given.length !== 1) {
    faults.push({ path: place.pointer, message: `must have exactly one of ${KINDS.join(', ')}, not ${given.length}` })
    return kek
  }
  if ('file' in kek) {
    const file = resolve(place.baseDir, kek.file)
    await checkKekFile(file, `${place.pointer}/file`, faults)
    return { file }
  }
  if ('passphraseFile' in kek) {
    const passphraseFile = resolve(place.baseDir, kek.passphraseFile)
    await checkFile(passphraseFile, `${place.pointer}/passphraseFile`, {}, faults)
    return { passphraseFile }
  }
  if ('pkcs11' in kek) {
    const pinFile = resolve(place.baseDir, kek.pkcs11.pinFile)
    await checkFile(pinFile, `${place.pointer}/pkcs11/pinFile`, {}, faults)
    return { pkcs11: { ...kek.pkcs11, module: resolve(place.baseDir, kek.pkcs11.module), pinFile } }
  }
  if (place.credentialsDirectory === undefined) {
    const message = `needs the credential ${kek.credential}, and the process has none: start it by systemd with LoadCredential=${kek.credential}:/path`
    faults.push({ path: `${place.pointer}/credential`, message })
    return kek
  }
  const credential = join(place.credentialsDirectory, kek.credential)
  await checkFile(credential, `${place.pointer}/credential`, { sizeBytes: KEK_BYTES }, faults)
  return { credential }
}

/** Faults of a key file: 32 bytes, its owner's alone. One that is missing is made together with the store. */
export function checkKekFile(path: string, pointer: string, faults: SchemaFault[]): Promise<void> {
  return checkFile(path, pointer, { sizeBytes: KEK_BYTES, mayBeMissing: true }, faults)
}

async function checkFile(
  path: string,
  pointer: string,
  { sizeBytes, mayBeMissing = false }: { sizeBytes?: number; mayBeMissing?: boolean },
  faults: SchemaFault[],
): Promise<void> {
  try {
    const { size } = await stat(path)
    if (sizeBytes !== undefined && size !== sizeBytes)
      faults.push({ path: pointer, message: `${path} has ${size} bytes; a key encryption key has ${sizeBytes}` })
    const open = await openToOthers(path)
    if (open !== undefined) faults.push({ path: pointer, message: open })
  } catch (error) {
    if (mayBeMissing && (error as NodeJS.ErrnoException).code === 'ENOENT') return
    faults.push({ path: pointer, message: unreadable(path, error) })
  }
}

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { platform } from 'node:os'
import { resolve } from 'node:path'
import type { SchemaFault } from '../util/json-schema.ts'
import type { TlsIdentity } from './site-config.ts'

/** What reading a file's parts turned up: `faults` stop the start, `warnings` are for a person to read. */
export interface Findings {
  readonly faults: SchemaFault[]
  readonly warnings: string[]
}

/** Reads and checks the three PEM files of a `tls` field; what can't be read stands in `findings`. */
export async function readTlsFiles(
  baseDir: string,
  files: Readonly<Record<keyof TlsIdentity, string>>,
  findings: Findings,
): Promise<TlsIdentity> {
  const identity = await readIdentity(baseDir, files, { pointer: '/tls', findings })
  if (identity === undefined) return { cert: '', key: '', ca: '' }
  checkPems(identity, { pointer: '/tls', findings })
  return identity
}

/** The texts of certificate, key and authority; undefined, with faults, where one of them can't be read. */
export async function readIdentity(
  baseDir: string,
  files: Readonly<Record<keyof TlsIdentity, string>>,
  { pointer, findings }: { pointer: string; findings: Findings },
): Promise<TlsIdentity | undefined> {
  const read = async (field: keyof TlsIdentity) => {
    const path = resolve(baseDir, files[field])
    try {
      return await readFile(path, 'utf8')
    } catch (error) {
      const message = `${unreadable(path, error)} (development: qkd pki init)`
      findings.faults.push({ path: `${pointer}/${field}`, message })
      return undefined
    }
  }
  const [cert, key, ca] = await Promise.all([read('cert'), read('key'), read('ca')])
  if (cert === undefined || key === undefined || ca === undefined) return undefined
  const open = await openToOthers(resolve(baseDir, files.key))
  if (open !== undefined) findings.warnings.push(`${pointer}/key: ${open}`)
  return { cert, key, ca }
}

/** Says why a file can't be read, and what to do. */
export function unreadable(path: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT' || code === 'ENOTDIR') return `no such file: ${path}; correct the path, or make the file`
  if (code === 'EACCES') return `not allowed to read ${path}; run as its owner, or change the owner`
  if (code === 'EISDIR') return `${path} is a directory; name the file in it`
  return `can't read ${path} (${code ?? String(error)})`
}

/** What to say of a file with a secret in it that others may read or write; undefined where all is well. */
export async function openToOthers(path: string): Promise<string | undefined> {
  const { mode } = await stat(path)
  if (platform() === 'win32' || (mode & 0o077) === 0) return undefined
  const octal = (mode & 0o777).toString(8).padStart(4, '0')
  return `others may read or write ${path} (mode ${octal}); run: chmod 600 ${path}`
}

/** Looks whether the texts are what they should be and belong together. */
export function checkPems(
  pems: TlsIdentity,
  { pointer, findings: { faults, warnings } }: { pointer: string; findings: Findings },
): void {
  const certificate = parse(() => new X509Certificate(pems.cert))
  const authority = parse(() => new X509Certificate(pems.ca))
  const key = parse(() => createPrivateKey(pems.key))
  if (certificate === undefined) faults.push({ path: `${pointer}/cert`, message: 'not a certificate in PEM form' })
  if (authority === undefined) faults.push({ path: `${pointer}/ca`, message: 'not a certificate in PEM form' })
  if (key === undefined) {
    faults.push({ path: `${pointer}/key`, message: 'not a private key in PEM form without passphrase' })
  }
  if (certificate === undefined || key === undefined) return
  if (!certificate.checkPrivateKey(key)) {
    const message = `not the private key of ${pointer}/cert; name the key that belongs to it`
    faults.push({ path: `${pointer}/key`, message })
  }
  const end = Date.parse(certificate.validTo)
  if (end < Date.now()) {
    faults.push({ path: `${pointer}/cert`, message: `expired on ${certificate.validTo}; issue a new one` })
  } else if (end < Date.now() + 14 * 86_400_000) {
    warnings.push(`${pointer}/cert: expires on ${certificate.validTo}`)
  }
}

function parse<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

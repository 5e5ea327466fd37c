import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from '../../test/helpers/peer-program.ts'
import { createTempDir } from '../../test/helpers/temp-dir.ts'
import { createTestAuthority } from '../../test/helpers/test-certificates.ts'

/** A certificate of one server, and the authority that its clients trust. */
export interface ServerCertificate {
  readonly key: string
  readonly cert: string
  readonly ca: string
}

/** On P-256. */
export function ecdsaCertificate(): ServerCertificate {
  return createTestAuthority().issue('bob.example')
}

/** RSA with 2048 bits, signed by itself; undefined where there is no openssl to make one. */
export async function rsaCertificate(): Promise<ServerCertificate | undefined> {
  const openssl = findProgram('openssl')
  if (openssl === undefined) return undefined
  await using dir = await createTempDir()
  const [keyFile, certFile] = [join(dir.path, 'key'), join(dir.path, 'cert')]
  await promisify(execFile)(openssl, [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=bob.example'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyFile, '-out', certFile],
  ])
  const [key, cert] = [await readFile(keyFile, 'utf8'), await readFile(certFile, 'utf8')]
  return { key, cert, ca: cert }
}

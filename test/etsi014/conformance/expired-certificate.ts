import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { authority } from './ways-in.ts'

const run = promisify(execFile)

/** A certificate of the checklist's authority that ended yesterday. Made by openssl: ours makes none of that kind. */
export async function expiredCredentials(commonName: string): Promise<{ key: string; cert: string }> {
  await using dir = await createTempDir()
  const path = (name: string) => join(dir.path, name)
  await writeFile(path('ca.pem'), authority.ca)
  await writeFile(path('ca.key'), authority.caKey, { mode: 0o600 })
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await run('openssl', [
    'req',
    ...curve,
    '-subj',
    `/CN=${commonName}`,
    '-keyout',
    path('key.pem'),
    '-out',
    path('csr.pem'),
  ])
  const signed = ['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-set_serial', '1', '-days', '-1']
  await run('openssl', ['x509', '-req', '-in', path('csr.pem'), ...signed, '-out', path('cert.pem')])
  return { key: await readFile(path('key.pem'), 'utf8'), cert: await readFile(path('cert.pem'), 'utf8') }
}

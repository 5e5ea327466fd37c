import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createMlDsaAuthority, issueMlDsaCertificate, type MlDsaPair } from '../../lib/key/ml-dsa-issue.ts'
import { createCertificateAuthority, issueCertificate } from '../../lib/pki.ts'

const ca = createCertificateAuthority({ commonName: 'Test CA', days: 30 })
const own = issueCertificate(ca, { commonName: 'kme-a', usage: 'both', days: 30 })
const other = issueCertificate(ca, { commonName: 'kme-b', usage: 'both', days: 30 })

const mlDsaCa = createMlDsaAuthority({ commonName: 'Test CA', days: 30 })
const [ownMlDsa, otherMlDsa] = [1, 2].map(() =>
  issueMlDsaCertificate(mlDsaCa, { commonName: 'site-a', uris: ['urn:qkdkit:site:site-a'], days: 30 }),
) as [MlDsaPair, MlDsaPair]

/** The same of its certificate with ML-DSA-65. */
export const mlDsaPems = {
  ca: mlDsaCa.certificatePem,
  cert: ownMlDsa.certificatePem,
  key: ownMlDsa.privateKeyPem,
}

/** PEM texts of the fixture, for comparison with what was read. */
export const pems = { ca: ca.certificatePem, cert: own.certificatePem, key: own.privateKeyPem }

/**
 * A configuration with every field that has no default, and then `fields` set at their JSON pointers (undefined takes the
 * field away).
 */
export function siteFile(fields: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const file: Record<string, unknown> = {
    siteId: 'site-a',
    kmeId: 'kme-a',
    listen: { port: 8014 },
    peerListen: { host: '0.0.0.0', port: 0 },
    tls: { cert: 'pki/kme.pem', key: 'pki/kme-key.pem', ca: 'pki/ca.pem' },
    saes: [{ saeId: 'alice' }],
    peers: [{ siteId: 'site-b', kmeId: 'kme-b', saes: ['bob'], host: '127.0.0.1', port: 8124 }],
    links: [
      {
        linkId: 'a-b',
        peerSiteId: 'site-b',
        kind: 'simulated',
        rateBps: 100_000,
        host: '127.0.0.1',
        port: 8200,
      },
    ],
  }
  for (const [pointer, value] of Object.entries(fields)) {
    const steps = pointer.split('/').slice(1)
    const last = steps.pop()!
    const parent = steps.reduce((at, step) => at[step] as Record<string, unknown>, file)
    if (value === undefined) delete parent[last]
    else parent[last] = value
  }
  return file
}

/** Writes the PEM files and `text` (or a value, as JSON) as `site.json` into `dir`; gives the configuration's path. */
export async function writeSite(dir: string, content: unknown): Promise<string> {
  await mkdir(join(dir, 'pki'), { recursive: true })
  const files = {
    'pki/ca.pem': pems.ca,
    'pki/kme.pem': pems.cert,
    'pki/kme-key.pem': pems.key,
    'pki/ml-dsa-ca.pem': mlDsaPems.ca,
    'pki/ml-dsa.pem': mlDsaPems.cert,
    'pki/ml-dsa-key.pem': mlDsaPems.key,
    'pki/other-ml-dsa.pem': otherMlDsa.certificatePem,
    'pki/other-key.pem': other.privateKeyPem,
    'pki/open-key.pem': pems.key,
    'pki/broken.pem': 'not PEM',
    'short-kek': 'short',
    'good-kek': Buffer.alloc(32, 7),
    'open-kek': Buffer.alloc(32, 7),
  }
  for (const [name, data] of Object.entries(files)) await writeFile(join(dir, name), data, { mode: 0o600 })
  await chmod(join(dir, 'pki/open-key.pem'), 0o644)
  await chmod(join(dir, 'open-kek'), 0o640)
  const path = join(dir, 'site.json')
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

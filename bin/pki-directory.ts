import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CertificatePair,
  ConfigError,
  createCertificateAuthority,
  createMlDsaAuthority,
  type IssueOptions,
  issueCertificate,
  issueMlDsaCertificate,
} from '../lib/index.ts'
import { placeFile } from './file-once.ts'

/** What `qkd pki init` shall make. */
export interface PkiRequest {
  /** Directory of the whole PKI; made where it's missing. */
  readonly dir: string
  readonly siteId: string
  readonly kmeId: string
  readonly saeIds: readonly string[]
  /** Further DNS names and IP addresses of the KME. */
  readonly hosts: { readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] }
  /** Base URL of the KME, for the profiles of the hosts. */
  readonly kmeUrl: string
  readonly days: number
  /** Replaces what stands there of the site and the named hosts; the certificate authority is always kept. */
  readonly force: boolean
  /** The same for the named hosts alone. Default as `force`. */
  readonly forceSaes?: boolean
}

/** What became of one file. */
export interface PlacedFile {
  readonly path: string
  readonly outcome: 'made' | 'replaced' | 'kept'
}

const AUTHORITY_DAYS = 3_650
const PUBLIC = 0o644
const SECRET = 0o600

/**
 * A development PKI on disk: `ca.crt` for all sites, and in a directory for each site `kme.crt`, and `sae-<id>.crt` with
 * the profile `sae-<id>.json` for each host; and of ML-DSA-65 `ca-ml-dsa.crt` and each site's `ml-dsa.crt`, for the first
 * round of its links. The private key lies beside each certificate as `*.key`. What is there is kept unless forced, so a
 * second call adds to the first.
 * @throws {ConfigError} half of a pair is missing, or another process makes the same files
 */
export async function initPki(request: PkiRequest): Promise<PlacedFile[]> {
  const { dir, siteId, kmeId, saeIds, hosts } = request
  const siteDir = join(dir, siteId)
  await mkdir(siteDir, { recursive: true, mode: 0o700 })
  const files: PlacedFile[] = []
  const authority = await keepOrMakePair(join(dir, 'ca'), { replace: false }, files, () =>
    createCertificateAuthority({ commonName: 'qkdkit development CA', days: AUTHORITY_DAYS }),
  )
  const { forceSaes = request.force } = request
  const issue = (path: string, options: Omit<IssueOptions, 'days'>, replace = request.force) =>
    keepOrMakePair(path, { replace }, files, () => issueCertificate(authority, { ...options, days: request.days }))
  await issue(join(siteDir, 'kme'), {
    commonName: kmeId,
    uriSans: [`urn:qkdkit:kme:${kmeId}`],
    dnsNames: ['localhost', ...hosts.dnsNames],
    ipAddresses: ['127.0.0.1', '::1', ...hosts.ipAddresses],
    // A server to its hosts and to the KMSs that dial it, a client where it dials.
    usage: 'both',
  })
  const mlDsaAuthority = await keepOrMakePair(join(dir, 'ca-ml-dsa'), { replace: false }, files, () =>
    createMlDsaAuthority({ commonName: 'qkdkit development CA', days: AUTHORITY_DAYS }),
  )
  await keepOrMakePair(join(siteDir, 'ml-dsa'), { replace: request.force }, files, () =>
    issueMlDsaCertificate(mlDsaAuthority, {
      commonName: siteId,
      uris: [`urn:qkdkit:site:${siteId}`],
      days: request.days,
    }),
  )
  for (const saeId of saeIds) {
    const name = `sae-${saeId}`
    await issue(
      join(siteDir, name),
      { commonName: saeId, uriSans: [`urn:qkdkit:sae:${saeId}`], usage: 'client' },
      forceSaes,
    )
    const tls = { cert: `${name}.crt`, key: `${name}.key`, ca: '../ca.crt' }
    const profileFile = join(siteDir, `${name}.json`)
    if (!forceSaes && (await readIfThere(profileFile)) !== undefined) {
      files.push({ path: profileFile, outcome: 'kept' })
      continue
    }
    const profile = `${JSON.stringify({ saeId, kme: request.kmeUrl, kmeId, tls }, undefined, 2)}\n`
    await place(profileFile, profile, { mode: PUBLIC, replace: forceSaes }, files)
  }
  return files
}

/** The pair at `path` (`.crt` and `.key`), made where there is none. */
async function keepOrMakePair(
  path: string,
  { replace }: { replace: boolean },
  files: PlacedFile[],
  make: () => CertificatePair,
): Promise<CertificatePair> {
  const [certificateFile, keyFile] = [`${path}.crt`, `${path}.key`]
  const [certificatePem, privateKeyPem] = await Promise.all([readIfThere(certificateFile), readIfThere(keyFile)])
  if ((certificatePem === undefined) !== (privateKeyPem === undefined) && !replace) {
    const [there, missing] = certificatePem === undefined ? [keyFile, certificateFile] : [certificateFile, keyFile]
    throw new ConfigError(`${missing} is missing beside ${there}; bring it back, or remove the other as well`)
  }
  if (certificatePem !== undefined && privateKeyPem !== undefined && !replace) {
    files.push({ path: certificateFile, outcome: 'kept' }, { path: keyFile, outcome: 'kept' })
    return { certificatePem, privateKeyPem }
  }
  const pair = make()
  // The key first: a certificate that stands there has its key beside it.
  await place(keyFile, pair.privateKeyPem, { mode: SECRET, replace }, files)
  await place(certificateFile, pair.certificatePem, { mode: PUBLIC, replace }, files)
  return pair
}

async function place(
  path: string,
  text: string,
  options: { mode: number; replace: boolean },
  files: PlacedFile[],
): Promise<void> {
  const before = options.replace && (await readIfThere(path)) !== undefined
  if (!(await placeFile(path, text, options))) throw new ConfigError(`${path} was made by another process; try again`)
  files.push({ path, outcome: before ? 'replaced' : 'made' })
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

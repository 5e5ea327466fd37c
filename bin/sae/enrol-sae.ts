import { randomBytes, X509Certificate } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ConfigError, certificateIdentity, createPkcs12 } from '../../lib/index.ts'
import { placeFile } from '../file-once.ts'
import { initPki, type PlacedFile } from '../pki-directory.ts'
import { SNIPPET_FILES, type SnippetKind, snippets } from './snippets.ts'

/** What `qkd sae add` shall make. */
export interface EnrolRequest {
  /** Directory of the PKI, as `qkd pki init` made it. */
  readonly dir: string
  readonly siteId: string
  readonly saeId: string
  /** Base URL of the site's KME. */
  readonly kmeUrl: string
  readonly days: number
  readonly force: boolean
  /** SAE ID of the device at the other end; without it there are no snippets. */
  readonly peerSaeId: string | undefined
  readonly peerAddress: string
  /** Where the site serves SKIP. */
  readonly skip: { readonly host: string; readonly port: number }
  readonly kinds: readonly SnippetKind[]
}

const SECRET = 0o600
const PUBLIC = 0o644
const PASSWORD_BYTES = 18
const PSK_BYTES = 32

/**
 * Makes what a host needs to get keys: certificate and key, the same as a PKCS #12 file with its password beside it, the
 * profile, and a snippet for each kind of device. What is there is kept unless forced.
 * @throws {ConfigError} the PKI or the site in it is not there
 */
export async function enrolSae(request: EnrolRequest): Promise<PlacedFile[]> {
  const { dir, siteId, saeId, days, force } = request
  const siteDir = join(dir, siteId)
  const kmeId = await kmeIdOf(siteDir)
  for (const site of await sitesIn(dir)) {
    // Sites know each other by the names in their certificates: a host's must not pass for one of them.
    if ((await kmeIdOf(join(dir, site))) !== saeId) continue
    throw new ConfigError(`"${saeId}" is the KME of ${site}: a host of that name could pass for it; take another name`)
  }
  const made = await initPki({
    dir,
    siteId,
    kmeId,
    saeIds: [saeId],
    hosts: { dnsNames: [], ipAddresses: [] },
    kmeUrl: request.kmeUrl,
    days,
    force: false,
    forceSaes: force,
  })
  const stem = join(siteDir, `sae-${saeId}`)
  const files = made.filter(({ path }) => path.startsWith(`${stem}.`))
  const renewed = files.some(({ path, outcome }) => path === `${stem}.crt` && outcome !== 'kept')
  await placePkcs12(stem, join(dir, 'ca.crt'), { saeId, replace: renewed }, files)
  await placeSnippets(request, { stem, kmeId }, files)
  return files
}

/** Sites that have a KME in this PKI. */
export async function sitesIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  const names = entries.filter(entry => entry.isDirectory()).map(({ name }) => name)
  const known = await Promise.all(
    names.map(async name => ((await readIfThere(join(dir, name, 'kme.crt'))) ? [name] : [])),
  )
  return known.flat().sort()
}

async function kmeIdOf(siteDir: string): Promise<string> {
  const pem = await readIfThere(join(siteDir, 'kme.crt'))
  if (pem === undefined) {
    throw new ConfigError(`There is no KME certificate in ${siteDir}; make the site first: qkd pki init`)
  }
  const { commonName } = certificateIdentity(new X509Certificate(pem))
  if (commonName !== undefined) return commonName
  throw new ConfigError(`${join(siteDir, 'kme.crt')} names no KME: it has no common name`)
}

async function placePkcs12(
  stem: string,
  caPath: string,
  { saeId, replace }: { saeId: string; replace: boolean },
  files: PlacedFile[],
): Promise<void> {
  const [path, passwordPath] = [`${stem}.p12`, `${stem}.p12.password`]
  const [there, before] = await Promise.all([readIfThere(path), readIfThere(passwordPath)])
  if (there !== undefined && before !== undefined && !replace) {
    files.push({ path, outcome: 'kept' }, { path: passwordPath, outcome: 'kept' })
    return
  }
  const [certificatePem, privateKeyPem, ca] = await Promise.all(
    [`${stem}.crt`, `${stem}.key`, caPath].map(file => readFile(file, 'utf8')),
  )
  const passphrase = randomBytes(PASSWORD_BYTES).toString('base64url')
  const pair = { certificatePem: certificatePem!, privateKeyPem: privateKeyPem! }
  const file = createPkcs12(pair, { passphrase, name: saeId, authorities: [ca!] })
  // The password first: a file that stands there can be opened.
  await placeFile(passwordPath, `${passphrase}\n`, { mode: SECRET, replace: true })
  await placeFile(path, file, { mode: SECRET, replace: true })
  const outcome = there === undefined ? 'made' : 'replaced'
  files.push({ path, outcome }, { path: passwordPath, outcome })
}

async function placeSnippets(
  { dir, saeId, peerSaeId, peerAddress, kmeUrl, skip, kinds, force }: EnrolRequest,
  { stem, kmeId }: { stem: string; kmeId: string },
  files: PlacedFile[],
): Promise<void> {
  if (peerSaeId === undefined) return
  const url = new URL(kmeUrl)
  const kme = { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port || 443) }
  const psk = `${stem}.psk`
  const paths = { cert: `${stem}.crt`, key: `${stem}.key`, ca: join(dir, 'ca.crt'), psk }
  const absolute = Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, resolve(path)]))
  if (kinds.includes('cisco')) {
    const made = await placeFile(psk, `${randomBytes(PSK_BYTES).toString('hex')}\n`, { mode: SECRET, replace: false })
    files.push({ path: psk, outcome: made ? 'made' : 'kept' })
  }
  for (const kind of kinds) {
    const facts = { saeId, peerSaeId, peerAddress, kmeId, kme, skip, files: absolute as typeof paths }
    const path = `${stem}.${SNIPPET_FILES[kind]}`
    const isThere = (await readIfThere(path)) !== undefined
    // Somebody may have worked on it.
    const isNew = await placeFile(path, snippets[kind](facts), { mode: PUBLIC, replace: force })
    files.push({ path, outcome: !isNew ? 'kept' : isThere ? 'replaced' : 'made' })
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { InvalidArgumentError } from '../errors.ts'
import { openPkcs12 } from '../pkcs12.ts'
import type { KmeTlsFiles } from './kme-access.ts'
import type { LinkConfigFile } from './link-config.ts'
import type { TlsIdentity } from './site-config.ts'
import { checkPems, type Findings, openToOthers, readIdentity, unreadable } from './tls-files.ts'

/** Where a `tls` field stands, and where its faults go. */
interface Place {
  readonly baseDir: string
  readonly pointer: string
  readonly findings: Findings
}

/** Certificate, key and authority as PEM text from the files that vendors hand out; undefined where there are faults. */
export async function readKmeTls(files: KmeTlsFiles, place: Place): Promise<TlsIdentity | undefined> {
  const { pointer, findings } = place
  const misfit = misfitOf(files)
  if (misfit !== undefined) {
    findings.faults.push({ path: pointer, message: misfit })
    return undefined
  }
  const before = findings.faults.length
  const passphrase = await readPassphrase(files, place)
  if (findings.faults.length > before) return undefined
  const identity =
    files.pfx === undefined ? await fromPem(files, passphrase, place) : await fromPfx(files, passphrase, place)
  if (identity === undefined) return undefined
  checkPems(identity, { pointer, findings })
  return findings.faults.length > before ? undefined : identity
}

/** The `tls` of each link that has a `device`, at the link's place. */
export async function readDeviceTls(
  baseDir: string,
  links: readonly LinkConfigFile[],
  findings: Findings,
): Promise<(TlsIdentity | undefined)[]> {
  const identities: (TlsIdentity | undefined)[] = []
  for (const [index, { device }] of links.entries()) {
    const place = { baseDir, pointer: `/links/${index}/device/tls`, findings }
    identities.push(device === undefined ? undefined : await readKmeTls(device.tls, place))
  }
  return identities
}

function misfitOf({ cert, key, ca, pfx }: KmeTlsFiles): string | undefined {
  if (pfx !== undefined) {
    return cert === undefined && key === undefined
      ? undefined
      : 'pfx stands in place of cert and key; remove those, or pfx'
  }
  const missing = Object.entries({ cert, key, ca }).filter(([, path]) => path === undefined)
  if (missing.length === 0) return undefined
  return `${missing.map(([name]) => `field "${name}"`).join(' and ')} missing: name cert, key and ca (PEM), or pfx (PKCS #12)`
}

async function fromPem(
  files: KmeTlsFiles,
  passphrase: string | undefined,
  place: Place,
): Promise<TlsIdentity | undefined> {
  const { cert = '', key = '', ca = '' } = files
  const identity = await readIdentity(place.baseDir, { cert, key, ca }, place)
  if (identity === undefined || passphrase === undefined) return identity
  try {
    const opened = createPrivateKey({ key: identity.key, passphrase })
    return { ...identity, key: opened.export({ type: 'pkcs8', format: 'pem' }).toString() }
  } catch {
    place.findings.faults.push({
      path: `${place.pointer}/key`,
      message: 'the passphrase does not open this private key',
    })
    return undefined
  }
}

async function fromPfx(
  files: KmeTlsFiles,
  passphrase: string | undefined,
  place: Place,
): Promise<TlsIdentity | undefined> {
  const file = await read(files.pfx!, 'pfx', { ...place, secret: true })
  const ca = files.ca === undefined ? undefined : await read(files.ca, 'ca', { ...place, secret: false })
  if (file === undefined || (ca === undefined && files.ca !== undefined)) return undefined
  const { faults } = place.findings
  try {
    const { certificatePem, privateKeyPem, authoritiesPem } = openPkcs12(file, passphrase)
    const authority = ca?.toString('utf8') ?? authoritiesPem
    if (authority !== '') return { cert: certificatePem, key: privateKeyPem, ca: authority }
    const message =
      'field "ca" is missing, and the PKCS #12 file has no authority in it: name the one that signed the KME'
    faults.push({ path: place.pointer, message })
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    faults.push({ path: `${place.pointer}/pfx`, message: error.message })
  }
  return undefined
}

async function readPassphrase({ passphraseFile }: KmeTlsFiles, place: Place): Promise<string | undefined> {
  if (passphraseFile === undefined) return undefined
  const bytes = await read(passphraseFile, 'passphraseFile', { ...place, secret: true })
  const [line = ''] = bytes?.toString('utf8').split(/\r?\n/) ?? []
  bytes?.fill(0)
  return line
}

async function read(
  path: string,
  field: keyof KmeTlsFiles,
  { baseDir, pointer, findings, secret }: Place & { secret: boolean },
): Promise<Buffer | undefined> {
  const whole = resolve(baseDir, path)
  try {
    const bytes = await readFile(whole)
    const open = secret ? await openToOthers(whole) : undefined
    if (open !== undefined) findings.warnings.push(`${pointer}/${field}: ${open}`)
    return bytes
  } catch (error) {
    findings.faults.push({ path: `${pointer}/${field}`, message: unreadable(whole, error) })
    return undefined
  }
}

import { MlDsaCertificate } from '../key/ml-dsa-certificate.ts'
import { mlDsaSeed } from '../key/ml-dsa-key.ts'
import { createMlDsa65 } from '../key/post-quantum.ts'
import type { MlDsaIdentity } from './link-config.ts'
import { type Findings, readIdentity } from './tls-files.ts'

/** Reads and checks the three PEM files of an `mlDsa` field; what can't be read stands in `findings`. */
export async function readMlDsaFiles(
  baseDir: string,
  files: Readonly<Record<keyof MlDsaIdentity, string>>,
  findings: Findings,
): Promise<MlDsaIdentity> {
  const identity = await readIdentity(baseDir, files, { pointer: '/mlDsa', findings })
  if (identity === undefined) return { cert: '', key: '', ca: '' }
  const certificate = part(findings, '/mlDsa/cert', () => new MlDsaCertificate(identity.cert))
  const authority = part(findings, '/mlDsa/ca', () => new MlDsaCertificate(identity.ca))
  const publicKey = part(findings, '/mlDsa/key', () => publicKeyOf(identity.key))
  if (certificate === undefined || authority === undefined || publicKey === undefined) return identity
  if (!certificate.publicKey.equals(publicKey)) {
    const message = 'not the private key of /mlDsa/cert; name the key that belongs to it'
    findings.faults.push({ path: '/mlDsa/key', message })
  }
  const fault = certificate.faultUnder(authority, Date.now())
  if (fault !== undefined)
    findings.faults.push({ path: '/mlDsa/cert', message: `of no use: ${fault}; issue a new one` })
  return identity
}

function publicKeyOf(pem: string): Uint8Array {
  const seed = mlDsaSeed(pem)
  try {
    return createMlDsa65().publicKeyOf(seed)
  } finally {
    seed.wipe()
  }
}

function part<T>({ faults }: Findings, path: string, read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    faults.push({ path, message: (error as Error).message })
    return undefined
  }
}

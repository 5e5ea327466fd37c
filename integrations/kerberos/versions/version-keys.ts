import { createHash } from 'node:crypto'
import { type AgreedKey, hkdf } from '../../../lib/index.ts'
import { type Enctype, enctypeProfile, type KerberosKey } from '../enctype.ts'

/** What a version's key is bound to. */
export interface VersionIdentity {
  readonly principal: string
  readonly epoch: number
  readonly enctypes: readonly Enctype[]
}

/** The purpose of the agreement on one version: both ends must mean the same one. */
export function versionPurpose({ principal, epoch, enctypes }: VersionIdentity): string {
  const whole = `kerberos ${principal} ${epoch} ${enctypes.join(',')}`
  // A purpose has at most 128 characters, and two names may not begin alike.
  return whole.length <= 128 ? whole : `kerberos sha256 ${createHash('sha256').update(whole).digest('hex')}`
}

/** One key for each encryption type out of an agreed key, the same at both ends. The caller owns them. */
export function versionKeys(agreed: AgreedKey, { principal, epoch, enctypes }: VersionIdentity): KerberosKey[] {
  return enctypes.map(enctype => ({
    enctype,
    secret: hkdf(agreed.secret, {
      hash: 'sha256',
      info: `qkdkit/1 kerberos ${enctype} ${epoch} ${principal}`,
      sizeBytes: enctypeProfile(enctype).keyBytes,
    }),
  }))
}

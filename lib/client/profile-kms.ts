import type { KmeAccess } from '../config/kme-access.ts'
import type { SaeProfile } from '../config/sae-profile.ts'
import type { Kms } from '../interface/kms.ts'
import type { Logger } from '../interface/logger.ts'
import { createFrontDoorKms } from './front-door-kms.ts'
import { createRemoteKms } from './remote-kms.ts'

/** Options of `createProfileKms` besides the profile. */
export interface ProfileKmsOptions {
  /** How long a call waits for its answer where it does not say, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number
  readonly logger?: Logger
}

/**
 * The KMS of a host by its profile (`loadSaeProfile`): its KME, of whatever make, or several of them behind one front door
 * where the profile has `peerKmes`. Connects on demand.
 * @throws {InvalidArgumentError} credentials or a URL can't be used
 */
export function createProfileKms(profile: SaeProfile, options: ProfileKmsOptions = {}): Kms {
  const { saeId, peerKmes = [] } = profile
  const main = createAccessKms(profile, { ...options, saeId })
  if (peerKmes.length === 0) return main
  const peers = peerKmes.map(peer => ({ saes: peer.saes, kms: createAccessKms(peer, { ...options, saeId }) }))
  return createFrontDoorKms({ main, peers })
}

/** The KMS behind one KME as `saeId` sees it. */
export function createAccessKms(access: KmeAccess, options: ProfileKmsOptions & { readonly saeId: string }): Kms {
  const { kme, kmeId, kmeFingerprint256, servername, profile, method, tls } = access
  return createRemoteKms({
    ...options,
    ...tls,
    baseUrl: kme,
    ...(kmeId === undefined ? {} : { expectedKmeId: kmeId }),
    ...(kmeFingerprint256 === undefined ? {} : { expectedFingerprint256: kmeFingerprint256 }),
    ...(servername === undefined ? {} : { servername }),
    ...(profile === undefined ? {} : { profile }),
    ...(method === undefined ? {} : { method }),
  })
}

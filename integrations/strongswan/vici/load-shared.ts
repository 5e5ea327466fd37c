import { InvalidArgumentError, type SecretKey } from '../../../lib/index.ts'
import { requireSuccess } from './answers.ts'
import type { ViciCallOptions } from './connection.ts'
import type { ViciSession } from './session.ts'

/** A secret as charon takes it. */
export interface SharedSecret {
  /** Under which it is listed, replaced and unloaded; charon keeps one of each. */
  readonly id: string
  /** `ppk` for RFC 8784, `ike` for the pre-shared key of IKE. */
  readonly type: 'ppk' | 'ike'
  /** Identities that it belongs to: the PPK_ID, or those of both ends. */
  readonly owners: readonly string[]
  readonly secret: SecretKey
}

/**
 * Gives charon a secret; of several for the same owners it uses the one that was loaded last. Key bytes go over the local
 * socket as they are, from buffers that are wiped.
 * @throws {InvalidArgumentError} no owner is named: the secret would fit every identity
 * @throws {ViciError} charon refused
 */
export async function loadShared(
  session: ViciSession,
  { id, type, owners, secret }: SharedSecret,
  options?: ViciCallOptions,
): Promise<void> {
  if (owners.length === 0) throw new InvalidArgumentError('owners must name at least one identity')
  const answer = secret.expose('vici', data => session.request('load-shared', { id, type, data, owners }, options))
  requireSuccess('load-shared', await answer)
}

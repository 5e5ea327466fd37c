import {
  type AgreedKey,
  type AgreementOutcome,
  ClosedError,
  KeyNotFoundError,
  KmeUnreachableError,
  PoolExhaustedError,
  ProtocolError,
  QkdError,
} from '../../../lib/index.ts'

/** The agent at the other end gave a rotation up. */
export class PeerGaveUp extends QkdError {
  constructor(reason: string) {
    super('ERR_QKD_PROTOCOL', `The agent at the other end gave up: ${reason}`)
  }
}

/**
 * The key of an agreement that came out well.
 * @throws {QkdError} it did not; says why in a way that tells what to do
 */
export function requireAgreed(outcome: AgreementOutcome, peer: string): AgreedKey {
  switch (outcome.outcome) {
    case 'agreed':
      return outcome.key
    case 'refused':
      if (outcome.code === 'kms-failed') throw new PoolExhaustedError(`The KMS of ${peer} could not give the key`)
      if (outcome.code === 'kms-refused') throw new KeyNotFoundError(`The KMS of ${peer} refuses the key`)
      throw new ProtocolError(`${peer} refused the agreement on a key: ${outcome.code}`)
    case 'mismatch':
      throw new ProtocolError(`The agreement on a key with ${peer} does not fit: ${outcome.fault}`)
    case 'timed-out':
      if (outcome.waitingFor === 'kms') throw new KmeUnreachableError('The KMS did not answer in time')
      throw new ClosedError(`${peer} did not answer in time`)
    case 'peer-closed':
      throw new ClosedError(`${peer} closed the channel`)
  }
}

/** What went wrong, in one line. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

import {
  type AgreedKey,
  type AgreementOutcome,
  type AgreementRefusal,
  ClosedError,
  KeyNotFoundError,
  KmeUnreachableError,
  ProtocolError,
  type QkdError,
} from '../lib/index.ts'

/** The key of an agreement with `peer` that came about; otherwise throws an error that says why it did not. */
export function requireAgreed(
  outcome: AgreementOutcome,
  { peer, timeoutMs }: { peer: string; timeoutMs: number },
): AgreedKey {
  switch (outcome.outcome) {
    case 'agreed':
      return outcome.key
    case 'refused':
      throw refused(outcome.code, peer)
    case 'mismatch':
      throw new ProtocolError(`No agreement: ${peer} does not fit (${outcome.fault})`)
    case 'timed-out':
      throw outcome.waitingFor === 'kms'
        ? new KmeUnreachableError(`The KME gave no key within ${timeoutMs} ms`)
        : new ClosedError(`${peer} did not answer within ${timeoutMs} ms`)
    case 'peer-closed':
      throw new ClosedError(`${peer} closed the connection before the agreement was made`)
  }
}

function refused(code: AgreementRefusal, peer: string): QkdError {
  switch (code) {
    case 'kms-refused':
      return new KeyNotFoundError(`${peer} gave up: its KME refuses the key`)
    case 'kms-failed':
      return new KmeUnreachableError(`${peer} gave up: its KME has no key now, or gives no answer`)
    case 'busy':
    case 'timed-out':
    case 'cancelled':
      return new ClosedError(`${peer} gave up (${code})`)
    default:
      return new ProtocolError(`${peer} refuses (${code})`)
  }
}

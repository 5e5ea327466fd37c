import { randomBytes } from 'node:crypto'
import type { Key, Kms } from '../../interface/kms.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { agreedKey } from './agreed-key.ts'
import { type Conversation, converse, mismatch } from './conversation.ts'
import { KeySchedule } from './key-schedule.ts'
import { NONCE_BYTES, type OfferMessage, type SelectionMessage } from './message.ts'
import type { AgreedKey, AgreementOutcome } from './outcome.ts'
import { takeKey } from './take-key.ts'
import { type AcceptAgreementOptions, type ResponderTerms, responderTerms } from './terms.ts'

/**
 * Waits for the SAE at the other end of `channel` to begin an agreement with `initiateAgreement`, and takes part in it once.
 * What the other end is comes from the channel alone. An offer that does not fit is refused before anything is consumed;
 * a key that was fetched is held until the other end has proven it, at most until the time is over, and wiped otherwise.
 * @throws {InvalidArgumentError} an option is wrong
 * @throws {QkdError} this end's KMS did not give the key that the other end selected; the other end was told
 */
export async function acceptAgreement(
  kms: Kms,
  channel: MessageChannel,
  options: AcceptAgreementOptions,
): Promise<AgreementOutcome> {
  const terms = responderTerms(kms, channel, options)
  const waiting = { timeoutMs: terms.offerTimeoutMs, signal: options.signal }
  return await converse(channel, waiting, talk => accept(kms, talk, terms))
}

async function accept(kms: Kms, talk: Conversation, terms: ResponderTerms): Promise<AgreedKey> {
  const { masterSaeId, slaveSaeId, timeoutMs } = terms
  const offer = await talk.receive('offer')
  const { agreementId, purpose } = offer
  talk.begin(agreementId, { timeoutMs })
  requireTerms(offer, terms)
  const ready = await talk.send({ type: 'ready', agreementId, nonce: randomBytes(NONCE_BYTES) })

  const selection = await talk.receive('selection')
  const { keyId, level } = selection
  talk.burnedKeyId = keyId
  if (level !== undefined) requireLevel(level, terms)
  const key = await talk.askKms(signal => fetchKey(kms, selection, terms, signal))
  using secret = key.secret
  if (key.keyId.toLowerCase() !== keyId.toLowerCase() || secret.sizeBits !== offer.sizeBits) throw mismatch('wrong-key')
  requireLevel(key.level, terms)
  if (level !== undefined && key.level !== undefined && level !== key.level) throw mismatch('wrong-level')

  const schedule = new KeySchedule(secret, { offer: offer.bytes, ready, keyId, level })
  if (!schedule.verify('initiator', selection.proof)) throw mismatch('wrong-proof')
  await talk.send({ type: 'confirmation', agreementId, proof: schedule.proof('responder') })
  return agreedKey(key, schedule, { masterSaeId, slaveSaeId, purpose })
}

/** Everything that can be refused before a key is taken at either end. */
function requireTerms({ masterSaeId, slaveSaeId, purpose, level }: OfferMessage, terms: ResponderTerms): void {
  if (masterSaeId !== terms.masterSaeId || slaveSaeId !== terms.slaveSaeId) throw mismatch('wrong-names')
  if (!terms.purposes.has(purpose)) throw mismatch('wrong-purpose')
  if (level !== undefined) requireLevel(level, terms)
}

function requireLevel(level: Key['level'], { allowedLevels }: ResponderTerms): void {
  if (allowedLevels === undefined || (level !== undefined && allowedLevels.has(level))) return
  throw mismatch('wrong-level')
}

function fetchKey(kms: Kms, { keyId }: SelectionMessage, terms: ResponderTerms, signal: AbortSignal): Promise<Key> {
  const { masterSaeId, timeoutMs } = terms
  return takeKey(kms.getKeyWithIds(masterSaeId, [keyId], { signal, timeoutMs }), { signal })
}

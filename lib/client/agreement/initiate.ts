import { randomBytes } from 'node:crypto'
import { KmeResponseError } from '../../errors.ts'
import type { Key, Kms } from '../../interface/kms.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { agreedKey } from './agreed-key.ts'
import { type Conversation, converse, mismatch } from './conversation.ts'
import { KeySchedule } from './key-schedule.ts'
import { NONCE_BYTES } from './message.ts'
import type { AgreedKey, AgreementOutcome } from './outcome.ts'
import { takeKey } from './take-key.ts'
import { type InitiateAgreementOptions, type InitiatorTerms, initiatorTerms } from './terms.ts'

/**
 * Agrees on a fresh key with the SAE at the other end of `channel`, which runs `acceptAgreement` (the paper's generic
 * protocol, Fig. 4). Once the other end is there and takes the terms, this end takes a key from its KMS and sends the
 * selection, never the key; the other end takes the same key from its own KMS, and each proves to the other that it has it.
 *
 * In `agreed`, the other end has the key as well and has said so. It may have it where this end's outcome is another, if
 * its last message was lost; so the initiator is the one to use the key first. A key that was taken is never tried a second
 * time. The channel is left open: after `agreed` for whatever follows, otherwise for another agreement, which passes over
 * what the failed one may have left in it.
 * @throws {InvalidArgumentError} an option is wrong or the channel leads to somebody else; nothing was consumed
 * @throws {QkdError} this end's KMS gave no key; the other end was told
 */
export async function initiateAgreement(
  kms: Kms,
  channel: MessageChannel,
  options: InitiateAgreementOptions,
): Promise<AgreementOutcome> {
  const terms = initiatorTerms(kms, channel, options)
  const { timeoutMs } = terms
  return await converse(channel, { timeoutMs, signal: options.signal }, talk => initiate(kms, talk, terms))
}

async function initiate(kms: Kms, talk: Conversation, terms: InitiatorTerms): Promise<AgreedKey> {
  const { masterSaeId, slaveSaeId, purpose, sizeBits, timeoutMs } = terms
  const agreementId = randomBytes(NONCE_BYTES)
  talk.begin(agreementId, { timeoutMs })
  const offer = await talk.send({ ...terms, type: 'offer', agreementId })
  const ready = await talk.receive('ready')

  const key = await talk.askKms(signal => drawKey(kms, terms, signal))
  using secret = key.secret
  const { keyId, level } = key
  talk.burnedKeyId = keyId
  if (secret.sizeBits !== sizeBits) throw new KmeResponseError(`The KMS gave ${secret.sizeBits} bits, not ${sizeBits}`)
  if (terms.level !== undefined && level !== undefined && level !== terms.level) {
    throw new KmeResponseError(`The KMS gave a key of level ${level}, not ${terms.level}`)
  }

  const schedule = new KeySchedule(secret, { offer, ready: ready.bytes, keyId, level })
  await talk.send({ type: 'selection', agreementId, keyId, level, proof: schedule.proof('initiator') })
  const confirmation = await talk.receive('confirmation')
  if (!schedule.verify('responder', confirmation.proof)) throw mismatch('wrong-proof')
  return agreedKey(key, schedule, { masterSaeId, slaveSaeId, purpose })
}

function drawKey(kms: Kms, terms: InitiatorTerms, signal: AbortSignal): Promise<Key> {
  const { slaveSaeId, sizeBits, level, timeoutMs } = terms
  return takeKey(kms.getKey(slaveSaeId, { number: 1, sizeBits, level, signal, timeoutMs }), { signal })
}

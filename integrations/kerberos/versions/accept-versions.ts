import {
  type AbortOptions,
  acceptAgreement,
  type Kms,
  type Logger,
  type MessageChannel,
  QkdError,
  type SecurityLevel,
} from '../../../lib/index.ts'
import { wipeKeys } from '../kvno-table.ts'
import type { KeyLedger } from './key-ledger.ts'
import { versionKeys, versionPurpose } from './version-keys.ts'
import {
  receiveVersionMessage,
  sendVersionMessage,
  type VersionMessage,
  type VersionRefusal,
} from './version-message.ts'

/** An acceptor's end of a channel. */
export interface AcceptContext extends AbortOptions {
  readonly ledger: KeyLedger
  readonly kms: Kms
  /** Leads to the issuer's agent, which runs `rotateVersion`. */
  readonly channel: MessageChannel
  /** Levels that are taken. Default any. */
  readonly allowedLevels?: readonly SecurityLevel[]
  /** For one agreement, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number
  readonly logger?: Logger
}

type Propose = Extract<VersionMessage, { type: 'propose' }>
type Use = Extract<VersionMessage, { type: 'use' }>

/** Serves the issuer at the other end of the channel until it closes. */
export async function acceptVersions(context: AcceptContext): Promise<void> {
  const { channel, signal } = context
  for (;;) {
    const message = await receiveVersionMessage(channel, { signal })
    if (message === undefined) return
    const answer = await answerTo(message, context)
    await sendVersionMessage(channel, answer, { signal })
  }
}

async function answerTo(message: VersionMessage, context: AcceptContext): Promise<VersionMessage> {
  const { principal } = message
  const terms = context.ledger.terms(principal)
  const { peerId } = context.channel
  if (terms?.role !== 'acceptor' || terms.peerSaeId !== peerId) {
    return refuse(message, 'unknown-principal', `no principal of that name is shared with ${peerId} as its issuer`)
  }
  if (message.type === 'propose') return await answerProposal(message, context)
  if (message.type === 'use') return await answerUse(message, context)
  return refuse(message, 'unknown-version', `${message.type} is nothing that an issuer says`)
}

async function answerProposal(message: Propose, context: AcceptContext): Promise<VersionMessage> {
  const { ledger, kms, channel, signal, allowedLevels, timeoutMs = 5_000, logger } = context
  const { principal, epoch, enctypes, ticketLifeSeconds } = message
  const terms = ledger.terms(principal)!
  if (!enctypes.every(enctype => terms.enctypes.includes(enctype))) {
    return refuse(
      message,
      'enctype',
      `encryption types ${terms.enctypes.join(', ')} are taken, not ${enctypes.join(', ')}`,
    )
  }
  if (ticketLifeSeconds > terms.ticketLifeSeconds) {
    const text = `tickets would live ${ticketLifeSeconds} s, and keys are kept for ${terms.ticketLifeSeconds} s here`
    return refuse(message, 'retention', text)
  }
  const next = await ledger.nextEpoch(principal, { signal })
  if (epoch < next) return { type: 'newer', principal, epoch: next - 1 }
  await sendVersionMessage(channel, { type: 'accept', principal, epoch }, { signal })

  const identity = { principal, epoch, enctypes }
  const options = { purpose: versionPurpose(identity), allowedLevels, timeoutMs, signal }
  const outcome = await acceptAgreement(kms, channel, options)
  if (outcome.outcome !== 'agreed') {
    logger?.warn({ principal, epoch, outcome: outcome.outcome }, 'no agreement on a key version')
    return refuse(message, 'no-agreement', `the agreement ended with ${outcome.outcome}`)
  }
  using agreedSecret = outcome.key.secret
  const keys = versionKeys({ ...outcome.key, secret: agreedSecret }, identity)
  const { keyId } = outcome.key
  try {
    await ledger.announce({ principal, epoch, keyId, keys }, { signal })
    return { type: 'installed', principal, epoch, keyId }
  } catch (error) {
    wipeKeys(keys)
    if (!(error instanceof QkdError)) throw error
    logger?.error({ principal, epoch, reason: error.message }, 'a key version could not be installed')
    return refuse(message, 'not-installed', error.message)
  }
}

async function answerUse(message: Use, { ledger, signal, logger }: AcceptContext): Promise<VersionMessage> {
  const { principal, epoch } = message
  const current = ledger.table.current(principal)?.epoch
  if (current !== epoch) {
    const version = ledger.table.versions(principal).find(each => each.epoch === epoch)
    if (version?.state !== 'announced') return refuse(message, 'unknown-version', `epoch ${epoch} was not announced`)
    try {
      await ledger.promote(principal, epoch, { signal })
    } catch (error) {
      // Every version is in place since it was announced; what waits is only that older ones go.
      if (!(error instanceof QkdError)) throw error
      logger?.error({ principal, epoch, reason: error.message }, 'older key versions could not be removed')
    }
  }
  return { type: 'noted', principal, epoch, atMs: Date.now() }
}

function refuse({ principal }: VersionMessage, reason: VersionRefusal, text: string): VersionMessage {
  return { type: 'refuse', principal, reason, text: text.replace(/[^\x20-\x7e]/g, '?').slice(0, 1_000) }
}

import {
  type AbortOptions,
  InvalidArgumentError,
  initiateAgreement,
  type Kms,
  type MessageChannel,
  ProtocolError,
  QkdError,
  type SecurityLevel,
} from '../../../lib/index.ts'
import { type KvnoEntry, kvnoOf, MAX_KVNO, wipeKeys } from '../kvno-table.ts'
import type { KeyLedger } from './key-ledger.ts'
import type { KeyedPrincipal } from './keyed-principal.ts'
import { versionKeys, versionPurpose } from './version-keys.ts'
import { receiveVersionMessage, sendVersionMessage, type VersionMessage } from './version-message.ts'

/** An issuer's way to its acceptor. */
export interface IssueContext extends AbortOptions {
  readonly ledger: KeyLedger
  readonly kms: Kms
  /** Leads to the acceptor's agent, which runs `acceptVersions`. */
  readonly channel: MessageChannel
  /** Level of the keys. Default the policy's. */
  readonly level?: SecurityLevel
  /** For one agreement, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number
}

/** What a step of `rotate` did. */
export interface Rotation {
  /** The version that is in use now. */
  readonly current: KvnoEntry
  /** How many versions were agreed on. */
  readonly agreed: number
  /** How far the acceptor's clock is ahead of ours, in milliseconds, the way of a message included; undefined if it did not say. */
  readonly clockSkewMs: number | undefined
}

/** Options of `rotateVersion`. */
export interface RotateOptions {
  /**
   * Begins again at kvno 1 and drops what the issuer has besides: the way on when mode setup has come to kvno 65535.
   * Tickets that are out stay good, for the acceptor keeps its versions.
   */
  readonly rekey?: boolean
}

/**
 * Agrees on what is missing of the window and makes the next version the current one: first the acceptor's end has it,
 * then the issuer's KDC seals with it. Begins with telling the acceptor what is in use, in case that was lost.
 * @throws {InvalidArgumentError} the kvno has come to its end; `rekey` goes on
 * @throws {ProtocolError} the acceptor refuses, with its reason
 */
export async function rotateVersion(
  principal: string,
  context: IssueContext,
  { rekey = false }: RotateOptions = {},
): Promise<Rotation> {
  const { ledger, signal } = context
  const { terms, agreed } = await fillWindow(principal, context, { rekey })
  // The oldest that is ahead: of a window, the others wait their turn. A new beginning passes all others over.
  const ahead = aheadOf(ledger, principal)
  const next = (rekey ? ahead[0] : ahead.at(-1))!
  const current = await ledger.promote(principal, next.epoch, { signal })
  if (rekey && !terms.wraps) await ledger.dropOlder(principal, { signal })
  const clockSkewMs = await tellUse(terms, current.epoch, context)
  return { current, agreed, clockSkewMs }
}

/**
 * Agrees on what is missing of the window, and leaves the current version as it is. Begins with telling the acceptor what
 * is in use, in case that was lost.
 * @throws as `rotateVersion`
 */
export async function fillWindow(
  principal: string,
  context: IssueContext,
  { rekey = false }: RotateOptions = {},
): Promise<{ readonly terms: KeyedPrincipal; readonly agreed: number }> {
  const { ledger } = context
  const terms = ledger.terms(principal)
  if (terms?.role !== 'issuer') throw new InvalidArgumentError(`This agent is not the issuer of ${principal}`)
  if (context.channel.peerId !== terms.peerSaeId) {
    throw new InvalidArgumentError(`${principal} is shared with ${terms.peerSaeId}, not ${context.channel.peerId}`)
  }
  // The KDC may still seal with an older one, if what is written down could not be put in place.
  await ledger.settle(principal, { signal: context.signal })
  const inUse = ledger.table.current(principal)
  if (inUse !== undefined) await tellUse(terms, inUse.epoch, context)
  const wanted = rekey ? 1 : terms.window
  let agreed = 0
  for (
    let ahead = aheadOf(ledger, principal);
    rekey ? agreed === 0 : ahead.length < wanted;
    ahead = aheadOf(ledger, principal)
  ) {
    await agreeOnVersion(terms, context, { rekey })
    agreed += 1
  }
  return { terms, agreed }
}

/** Versions that the acceptor holds and the issuer does not use yet, the newest first. */
export function aheadOf(ledger: KeyLedger, principal: string): KvnoEntry[] {
  const inUse = ledger.table.current(principal)?.epoch ?? 0
  return ledger.table.versions(principal).filter(({ state, epoch }) => state === 'announced' && epoch > inUse)
}

/** The epoch after `last` with which kvnos begin again: at 1, or above it where low ones are still held. */
function nextBeginning(last: number, held: readonly KvnoEntry[]): number {
  const before = Math.ceil(last / MAX_KVNO) * MAX_KVNO
  let kvno = 1
  while (held.some(entry => entry.kvno === kvno)) kvno += 1
  return before + kvno
}

async function agreeOnVersion(
  terms: KeyedPrincipal,
  context: IssueContext,
  { rekey }: { rekey: boolean },
): Promise<void> {
  const { ledger, kms, channel, signal, level, timeoutMs = 5_000 } = context
  const { principal, enctypes, ticketLifeSeconds, peerSaeId } = terms
  let next = await ledger.nextEpoch(principal, { signal })
  const held = ledger.table.versions(principal)
  if (rekey) next = nextBeginning(next - 1, held)
  let epoch = requireEpoch(terms, next, { rekey })
  const propose = () =>
    ask(context, { type: 'propose', principal, epoch, enctypes, ticketLifeSeconds }, ['accept', 'newer'])
  let answer = await propose()
  if (answer.type === 'newer') {
    const beyond = answer.epoch + 1
    epoch = requireEpoch(terms, rekey ? nextBeginning(answer.epoch, held) : beyond, { rekey })
    answer = await propose()
    if (answer.type === 'newer') throw new ProtocolError(`${peerSaeId} has a newer version of ${principal} each time`)
  }
  const purpose = versionPurpose({ principal, epoch, enctypes })
  const options = { peerSaeId, purpose, level, timeoutMs, signal }
  const outcome = await initiateAgreement(kms, channel, options)
  if (outcome.outcome !== 'agreed') {
    const why = 'code' in outcome ? outcome.code : 'fault' in outcome ? outcome.fault : outcome.outcome
    throw new ProtocolError(`No agreement with ${peerSaeId} on a key of ${principal}, kvno ${kvnoOf(epoch)}: ${why}`)
  }
  using agreedSecret = outcome.key.secret
  const keys = versionKeys({ ...outcome.key, secret: agreedSecret }, { principal, epoch, enctypes })
  try {
    const installed = await ask(context, undefined, ['installed'], principal)
    if (installed.type !== 'installed' || installed.epoch !== epoch || installed.keyId !== outcome.key.keyId) {
      throw new ProtocolError(`${peerSaeId} has installed another key of ${principal} than was agreed`)
    }
    await ledger.announce({ principal, epoch, keyId: outcome.key.keyId, keys }, { signal })
  } catch (error) {
    wipeKeys(keys)
    throw error
  }
}

function requireEpoch({ principal, wraps }: KeyedPrincipal, epoch: number, { rekey }: { rekey: boolean }): number {
  // In a database that picks the highest kvno, 1 would never be used while 65535 is there.
  if (wraps || rekey || kvnoOf(epoch) !== 1 || epoch === 1) return epoch
  throw new InvalidArgumentError(
    `${principal} has come to kvno ${MAX_KVNO}, the last one that a KDC database holds: begin again with qkd kerberos trust rekey`,
  )
}

/** Tells the acceptor which version is in use, so that it lets older ones end. Gives how far its clock is ahead. */
async function tellUse(
  { principal }: KeyedPrincipal,
  epoch: number,
  context: IssueContext,
): Promise<number | undefined> {
  try {
    const { atMs } = await ask(context, { type: 'use', principal, epoch }, ['noted'])
    return atMs - Date.now()
  } catch (error) {
    // An acceptor that has lost its versions says so; the next agreement mends that.
    if (!(error instanceof QkdError && error.details.some(({ reason }) => reason === 'unknown-version'))) throw error
    return undefined
  }
}

async function ask<T extends VersionMessage['type']>(
  { channel, signal }: IssueContext,
  message: VersionMessage | undefined,
  types: readonly T[],
  principal = message?.principal,
): Promise<Extract<VersionMessage, { type: T }>> {
  if (message !== undefined) await sendVersionMessage(channel, message, { signal })
  const answer = await receiveVersionMessage(channel, { signal })
  const { peerId } = channel
  if (answer === undefined) throw new ProtocolError(`${peerId} closed the channel in the middle of a rotation`)
  if (answer.type === 'refuse') {
    throw new ProtocolError(`${peerId} refuses ${answer.principal}: ${answer.text}`, {
      details: [{ reason: answer.reason }],
    })
  }
  if (answer.principal !== principal || !types.some(type => type === answer.type)) {
    throw new ProtocolError(`${peerId} answers with ${answer.type} of ${answer.principal} out of turn`)
  }
  return answer as Extract<VersionMessage, { type: T }>
}

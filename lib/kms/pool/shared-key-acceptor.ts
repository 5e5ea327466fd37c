import { PolicyError, ProtocolError, QkdError } from '../../errors.ts'
import type { SecurityLevel, TrustClass } from '../../interface/kms.ts'
import { canonicalKeyId } from '../../key/key-id.ts'
import { lp, u64 } from '../../key/lp.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { openTransfer, transferBytes } from '../../key/transfer.ts'
import type { BlockLedger } from './block-ledger.ts'
import { decodeWays } from './block-way.ts'
import type { MessageHandlers } from './peer-session.ts'
import type { MessageFields, PeerMessage } from './peer-wire.ts'
import type { Retriever } from './retriever.ts'
import { LEVELS, TRUST_CLASSES } from './shared-key-record.ts'
import type { SharedKey, SharedKeys } from './shared-keys.ts'
import { lowestLabel } from './way-label.ts'

/** The pair that pads are sealed for: names that no SAE can have, so that no host ever fetches one. */
export const PAD_PAIR = { masterSaeId: '\u0000qkdkit/1 multicast', slaveSaeId: '\u0000pad' }

/** What another site asks this one to hold for hosts here. */
export interface ShareQuestion {
  readonly masterSaeId: string
  readonly slaveSaeId: string
  /** SAEs that are said to be of this site. */
  readonly saeIds: readonly string[]
  readonly keyIds: readonly string[]
  readonly sizeBytes: number
  readonly level: SecurityLevel
  readonly trustClass: TrustClass
}

/** What the acceptor works on and with. */
export interface SharedKeyAcceptorOptions {
  readonly ledger: BlockLedger
  readonly shared: SharedKeys
  readonly retriever: Retriever
  readonly send: (message: PeerMessage) => void
  /**
   * Lets the keys in, written to the audit log before this resolves. Where it rejects, nothing was consumed.
   * @throws {PolicyError} not for these SAEs
   * @throws {InvalidArgumentError} an SAE is not of this site, or the master not of the peer's
   */
  readonly admit: (question: ShareQuestion) => Promise<void>
  /** The way to hosts of other domains; undefined where this site has none. */
  readonly abroad: ShareRelay | undefined
}

/** Keys that a peer hands over for hosts behind this site's border. */
export interface ShareRelay {
  isAbroad(saeId: string): boolean
  /** Resolves when the other domain holds the keys, which stay the caller's. */
  handOn(question: ShareQuestion, keys: readonly SharedKey[]): Promise<void>
  /** Takes them back. */
  withdraw(keys: Pick<ShareQuestion, 'masterSaeId' | 'slaveSaeId' | 'keyIds'>): void
}

/**
 * The far side of multicast: records keys for hosts of this site on the word of the master's KMS, and confirms when that is
 * durable. A key comes in cells of this pool, or hidden under fresh cells of it.
 */
export class SharedKeyAcceptor {
  readonly #options: SharedKeyAcceptorOptions

  constructor(options: SharedKeyAcceptorOptions) {
    this.#options = options
  }

  readonly handlers: MessageHandlers = {
    share: message => this.#onShare(message),
    unshare: message => this.#onUnshare(message),
  }

  async #onShare(message: MessageFields<'share'>): Promise<void> {
    const { send } = this.#options
    const { nonce } = message
    try {
      const handOn = await this.#accept(message)
      // The way across a border takes its time, and no other message shall wait for it.
      if (handOn !== undefined) void handOn().then(() => send({ name: 'shareOk', nonce }), refuse)
      else send({ name: 'shareOk', nonce })
    } catch (error) {
      if (!(error instanceof QkdError)) throw error
      refuse(error)
    }

    function refuse(error: unknown): void {
      const { code, message } = error instanceof QkdError ? error : { code: 'ERR_QKD_NO_ROUTE', message: 'it failed' }
      send({ name: 'shareNo', nonce, code, reason: message.slice(0, 250) })
    }
  }

  /** Records the keys; or, for hosts behind the border, gives what hands them on. */
  async #accept(message: MessageFields<'share'>): Promise<(() => Promise<void>) | undefined> {
    const { shared, admit, abroad } = this.#options
    const { keyIds, saeIds, sizeBytes, pads, masterSaeId, slaveSaeId } = message
    const level = LEVELS[message.level]
    const trustClass = TRUST_CLASSES[message.trustClass]
    const isWhole = level !== undefined && trustClass !== undefined && keyIds.length > 0 && saeIds.length > 0
    const isUnique = new Set(keyIds).size === keyIds.length && new Set(saeIds).size === saeIds.length
    if (!isWhole || !isUnique || keyIds.some(id => canonicalKeyId(id) !== id))
      throw new ProtocolError('The message about keys of several hosts is not right')
    const ways = decodeWays(message.ways)
    const question = { masterSaeId, slaveSaeId, saeIds, keyIds, sizeBytes, level, trustClass }
    const inCells = pads.length === 0 ? this.#keysInCells(question) : undefined
    const fits = pads.length === keyIds.length && message.sealed.byteLength === keyIds.length * transferBytes(sizeBytes)
    if (inCells === undefined && !fits)
      throw new ProtocolError('The keys of several hosts do not fit their number and size')
    await admit(question)
    if (abroad?.isAbroad(saeIds[0]!)) return this.#handingOn(abroad, question, pads.length)
    const keys = inCells ?? (await this.#openAll(message, question))
    try {
      await shared.record(keys, { masterSaeId, slaveSaeId, saeIds, sizeBytes, level, trustClass, ways })
    } finally {
      for (const { secret } of keys) secret?.wipe()
    }
    return undefined
  }

  /** Takes the keys out of their cells, once and for all: they are for the other domain alone. */
  async #handingOn(abroad: ShareRelay, question: ShareQuestion, pads: number): Promise<() => Promise<void>> {
    if (pads > 0) throw new ProtocolError('Keys for another domain come in cells of the pool')
    const keys = await this.#options.retriever.retrieve(question, question.keyIds)
    return async () => {
      try {
        await abroad.handOn(question, keys)
      } finally {
        for (const { secret } of keys) secret.wipe()
      }
    }
  }

  /** The key_IDs must name cells that are live here, and no better than the label says. */
  #keysInCells({ keyIds, sizeBytes, level, trustClass, ...pair }: ShareQuestion): SharedKey[] {
    const { retriever } = this.#options
    return keyIds.map(keyId => {
      const label = retriever.labelOf(pair, keyId)
      if (label?.block === undefined || label.sizeBits !== sizeBytes * 8)
        throw new ProtocolError('A key of several hosts is not to be had here')
      requireHonest({ level, trustClass }, label)
      return { keyId, secret: undefined, block: label.block }
    })
  }

  /** Takes the pads out, once and for all, and opens the keys with them. */
  async #openAll(message: MessageFields<'share'>, question: ShareQuestion): Promise<SharedKey[]> {
    const { ledger, retriever } = this.#options
    const { keyIds, sizeBytes, pads, sealed } = message
    const padKeys = await retriever.retrieve(PAD_PAIR, pads)
    const opened: (SecretKey | undefined)[] = padKeys.map(({ secret }, at) => {
      const size = transferBytes(sizeBytes)
      const header = transferHeader(ledger.poolId, question, { keyId: keyIds[at]!, padId: pads[at]! })
      return openTransfer(sealed.subarray(at * size, (at + 1) * size), secret, header)
    })
    try {
      for (const label of padKeys) requireHonest(question, label)
      if (opened.includes(undefined)) throw new ProtocolError('A key of several hosts was altered on its way')
    } catch (error) {
      for (const secret of opened) secret?.wipe()
      throw error
    }
    return keyIds.map((keyId, at) => ({ keyId, secret: opened[at]! }))
  }

  /** The master was refused: nobody has these key_IDs, and nobody shall have the keys. */
  async #onUnshare({ keyIds, masterSaeId, slaveSaeId }: MessageFields<'unshare'>): Promise<void> {
    const { shared, retriever, abroad } = this.#options
    const canonical = keyIds.filter(id => canonicalKeyId(id) === id)
    if (abroad?.isAbroad(slaveSaeId)) abroad.withdraw({ keyIds: canonical, masterSaeId, slaveSaeId })
    await shared.forget(canonical, masterSaeId)
    for (const keyId of canonical) await retriever.discard({ masterSaeId, slaveSaeId }, keyId)
  }
}

/** What a key's transfer is bound to: everything that is recorded of it. */
export function transferHeader(
  poolId: Uint8Array,
  { masterSaeId, slaveSaeId, saeIds, sizeBytes, level, trustClass }: Omit<ShareQuestion, 'keyIds'>,
  { keyId, padId }: { keyId: string; padId: string },
): Buffer {
  const label = lp(u64(sizeBytes), level, trustClass)
  return lp('qkdkit/1 multicast', poolId, keyId, padId, masterSaeId, slaveSaeId, lp(...saeIds), label)
}

/** A label may be lower than what lies here, because of another site's way; never higher. */
function requireHonest(
  told: { level: SecurityLevel; trustClass: TrustClass },
  real: { level: SecurityLevel | undefined; trustClass: TrustClass | undefined },
): void {
  const lowest = lowestLabel([told, { level: real.level!, trustClass: real.trustClass! }])
  if (lowest.level === told.level && lowest.trustClass === told.trustClass) return
  throw new ProtocolError(
    `A key of several hosts is called ${told.level}, ${told.trustClass}; it is ${lowest.level}, ${lowest.trustClass}`,
  )
}

/** Where nobody has said who may share keys with hosts here. */
export async function refuseShares(): Promise<void> {
  throw new PolicyError('Keys of several hosts are not taken here')
}

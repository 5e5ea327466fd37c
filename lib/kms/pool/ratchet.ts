import { timingSafeEqual } from 'node:crypto'
import { ProtocolError, QkdError, UnauthorizedError } from '../../errors.ts'
import type { Logger } from '../../interface/logger.ts'
import { createKem, type KemName } from '../../key/post-quantum.ts'
import { ratchetProof } from '../../key/ratchet.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { SiteIdentity } from '../../key/site-identity.ts'
import type { BlockLedger } from './block-ledger.ts'
import type { PairSecrets } from './pair-secrets.ts'
import type { MessageHandlers } from './peer-session.ts'
import type { MessageFields, PeerMessage } from './peer-wire.ts'
import { offered, RefreshExchange, type RefreshOffer, requireStrength, strongest } from './refresh-exchange.ts'
import { KEMS } from './secret-note.ts'

/** How long one refresh may take, in milliseconds; a session that left it open is ended, and the next one settles it. */
const EXCHANGE_MS = 20_000
/** After a refusal or a failure, in milliseconds. */
const PAUSE_MS = 10_000
/** How long a due refresh waits for a moment without unverified blocks, which would be lost, in milliseconds. */
const QUIET_MS = 2000

/** When and how the pair secret is refreshed. */
export interface RefreshSchedule {
  /** After so long, in milliseconds. */
  readonly refreshMs: number
  /** After so many keys of this site, whichever is first. */
  readonly refreshKeys: number
  /** The weakest parameter set that this site takes; the strongest that both have is used. */
  readonly kem: KemName
}

/** The schedule with its defaults. */
export function scheduleOf({
  refreshMs = 3_600_000,
  refreshKeys = 2 ** 28,
  kem = 'ML-KEM-768',
}: Partial<RefreshSchedule>): RefreshSchedule {
  return { refreshMs, refreshKeys, kem }
}

/** What the ratchet works on and with. */
export interface RatchetOptions {
  readonly ledger: BlockLedger
  readonly secrets: PairSecrets
  readonly schedule: RefreshSchedule
  /** Signs for this site, and demands that the peer signs; undefined where neither is. */
  readonly identity: SiteIdentity | undefined
  readonly send: (message: PeerMessage) => void
  readonly isConnected: () => boolean
  /** What the peer's hello offered. */
  readonly offeredByPeer: () => number
  /** Ends the session, so that the next one's hellos settle what this one left open. */
  readonly endSession: () => void
  readonly now: () => number
  readonly monotonicMs: () => number
  readonly logger: Logger
}

/**
 * Refreshes the secret of two sites (epochs): an ephemeral ML-KEM key of the site that sorts first, a ciphertext of the other, both
 * signed over everything that was said, and a MAC of each under the new root. The one that asked stores the new root before it
 * proves it, the other before it confirms; who issues under it knows by then that the other has it.
 *
 *     first   ratchetOffer(epoch, sets, set, key, certificate, transcript before)
 *     second  ratchetAnswer(epoch, sets, ciphertext, certificate, signature)
 *     first   ratchetProof(epoch, signature, mac)      has stored the root as pending
 *     second  ratchetDone(epoch, mac)                  goes by it
 */
export class Ratchet {
  readonly #options: RatchetOptions
  #exchange: RefreshExchange | undefined
  #pausedUntilMs = Number.NEGATIVE_INFINITY
  #dueSinceMs: number | undefined
  /** The epoch that somebody wants to be over. */
  #unwantedEpoch: number | undefined
  #refused = 0

  constructor(options: RatchetOptions) {
    this.#options = options
  }

  readonly handlers: MessageHandlers = {
    ratchetAsk: () => this.request(),
    ratchetOffer: message => this.#guarded(message.epoch, () => this.#onOffer(message)),
    ratchetAnswer: message => this.#guarded(message.epoch, () => this.#onAnswer(message)),
    ratchetProof: message => this.#guarded(message.epoch, () => this.#onProof(message)),
    ratchetDone: message => this.#guarded(message.epoch, () => this.#onDone(message)),
    ratchetNo: message => this.#onNo(message),
  }

  /**
   * Attempts of the peer that this side refused: replays, older epochs, weaker parameters, missing or wrong signatures, those of
   * secrets to begin anew with included.
   */
  get refused(): number {
    return this.#refused
  }

  /** A refresh is due whatever the schedule says. */
  request(): void {
    this.#unwantedEpoch = this.#options.ledger.pool.sealEpoch
  }

  /** Begins a refresh when it is due, and ends one that hangs. */
  sweep(): void {
    const { isConnected, monotonicMs, endSession } = this.#options
    const nowMs = monotonicMs()
    if (this.#exchange !== undefined && nowMs - this.#exchange.offer.sinceMs > EXCHANGE_MS) {
      const { isProposed } = this.#exchange
      this.#fail('it did not end in time')
      // Whether the peer has stored what is pending here is told by its next hello.
      if (isProposed) endSession()
      return
    }
    if (!isConnected() || this.#exchange !== undefined || nowMs < this.#pausedUntilMs || !this.#isDue()) return
    if (this.#isFirst) this.#offer()
    else {
      this.#unwantedEpoch = undefined
      this.#pausedUntilMs = nowMs + PAUSE_MS
      this.#options.send({ name: 'ratchetAsk' })
    }
  }

  /** The session is lost, and with it what was begun. */
  abandon(): void {
    this.#clear()
    this.#pausedUntilMs = Number.NEGATIVE_INFINITY
  }

  get #isFirst(): boolean {
    const { localSiteId, pair } = this.#options.ledger
    return localSiteId === pair.siteIds[0]
  }

  #isDue(): boolean {
    const { secrets, ledger, schedule, now, monotonicMs } = this.#options
    const { secret } = ledger
    if (secret === undefined || !secrets.isSettled) return false
    const isTime = now() - secrets.note.sinceMs >= schedule.refreshMs
    const isWanted = this.#unwantedEpoch === ledger.pool.sealEpoch
    if (!isWanted && !isTime && secret.seal.sealed < schedule.refreshKeys) {
      this.#dueSinceMs = undefined
      return false
    }
    this.#dueSinceMs ??= monotonicMs()
    // Blocks that are not verified yet would be lost with the root that their tags are made with.
    for (const { state } of ledger.blocks())
      if (state === 'received') return monotonicMs() - this.#dueSinceMs > QUIET_MS
    return true
  }

  #offer(): void {
    const { ledger, secrets, schedule, identity, offeredByPeer, send, monotonicMs } = this.#options
    const own = offered(schedule.kem)
    const kem = strongest(own & offeredByPeer())
    if (kem === undefined) {
      this.#fail('the two sites have no parameter set of ML-KEM in common')
      return
    }
    if (KEMS.indexOf(kem) < KEMS.indexOf(secrets.note.kem)) {
      this.refuse(`the peer offers ${kem} at best, which is weaker than what the last refresh was made with`)
      return
    }
    const epoch = ledger.pool.sealEpoch + 1
    const pair = createKem(kem).generateKeyPair()
    const certificate = identity?.certificate ?? NOTHING
    this.#begin({
      epoch,
      kem,
      sinceMs: monotonicMs(),
      encapsulationKey: pair.publicKey,
      offered: [own, 0],
      certificates: [certificate, NOTHING],
    }).pair = pair
    const { transcript: before } = secrets.note
    const key = pair.publicKey
    send({ name: 'ratchetOffer', epoch, offered: own, kem: KEMS.indexOf(kem), key, certificate, before })
  }

  async #onOffer(message: MessageFields<'ratchetOffer'>): Promise<void> {
    const { ledger, secrets, schedule, identity, send, monotonicMs } = this.#options
    const { epoch, key, certificate } = message
    const kem = KEMS[message.kem]
    if (this.#isFirst || kem === undefined) throw new ProtocolError('This offer is not one that the peer may make')
    if (epoch !== ledger.pool.sealEpoch + 1) throw new ProtocolError(`Epoch ${epoch} is not the next one here`)
    if (!Buffer.from(secrets.note.transcript).equals(message.before))
      throw new ProtocolError('The offer does not follow the last refresh')
    // The peer's clock may be a moment ahead of this one's sweep.
    await secrets.sweep()
    if (!secrets.isSettled) {
      send({ name: 'ratchetNo', epoch, reason: 'the epoch before still lives here' })
      return
    }
    const own = offered(schedule.kem)
    requireStrength(kem, { common: own & message.offered, last: secrets.note.kem })
    if (identity !== undefined && certificate.byteLength === 0)
      throw new UnauthorizedError(`${ledger.remoteSiteId} did not sign: its configuration has no mlDsa`)
    const { ciphertext, secret: shared } = encapsulate(kem, key)
    const ownCertificate = identity?.certificate ?? NOTHING
    const exchange = this.#begin({
      epoch,
      kem,
      sinceMs: monotonicMs(),
      encapsulationKey: key,
      offered: [message.offered, own],
      certificates: [certificate, ownCertificate],
    })
    exchange.shared = shared
    exchange.conclude(ciphertext)
    const signature = exchange.sign('second')
    send({ name: 'ratchetAnswer', epoch, offered: own, ciphertext, certificate: ownCertificate, signature })
  }

  async #onAnswer({ epoch, ...answer }: MessageFields<'ratchetAnswer'>): Promise<void> {
    const { secrets, send, ledger, schedule } = this.#options
    const exchange = this.#expect(epoch)
    const { pair, offer } = exchange
    if (pair === undefined || exchange.isProposed) throw new ProtocolError('The peer answered what was not asked')
    offer.offered[1] = answer.offered
    offer.certificates[1] = answer.certificate
    requireStrength(offer.kem, { common: offered(schedule.kem) & answer.offered, last: secrets.note.kem })
    exchange.conclude(answer.ciphertext)
    exchange.verify('second', answer.signature)
    exchange.shared = pair.decapsulate(answer.ciphertext)
    exchange.isProposed = true
    const root = exchange.nextRoot()
    const mac = ratchetProof(root, ledger.localSiteId, exchange.transcript)
    // It is stored here before the peer can store it.
    await secrets.propose(root, exchange.terms)
    send({ name: 'ratchetProof', epoch, signature: exchange.sign('first'), mac })
  }

  async #onProof({ epoch, signature, mac }: MessageFields<'ratchetProof'>): Promise<void> {
    const { secrets, send, ledger } = this.#options
    const exchange = this.#expect(epoch)
    if (this.#isFirst) throw new ProtocolError('This proof is not one that the peer may give')
    exchange.verify('first', signature)
    const root = this.#provenRoot(exchange, mac)
    const own = ratchetProof(root, ledger.localSiteId, exchange.transcript)
    const dropped = await secrets.advance(root, exchange.terms)
    send({ name: 'ratchetDone', epoch, mac: own })
    this.#succeed(exchange, dropped)
  }

  async #onDone({ epoch, mac }: MessageFields<'ratchetDone'>): Promise<void> {
    const exchange = this.#expect(epoch)
    if (!exchange.isProposed) throw new ProtocolError('The peer confirmed what was not proven to it')
    this.#provenRoot(exchange, mac).wipe()
    this.#succeed(exchange, await this.#options.secrets.promote())
  }

  /** The next root, if the peer has come to the same one; the caller owns it. */
  #provenRoot(exchange: RefreshExchange, mac: Uint8Array): SecretKey {
    const root = exchange.nextRoot()
    if (timingSafeEqual(mac, ratchetProof(root, this.#options.ledger.remoteSiteId, exchange.transcript))) return root
    root.wipe()
    throw new UnauthorizedError('The peer did not come to the same secret')
  }

  #onNo({ epoch, reason }: MessageFields<'ratchetNo'>): void {
    if (this.#exchange?.offer.epoch === epoch && !this.#exchange.isProposed) this.#fail(`the peer refused: ${reason}`)
  }

  /** What the peer may not do is refused and counted; a store that fails is no fault of the peer's. */
  async #guarded(epoch: number, handle: () => void | Promise<void>): Promise<void> {
    try {
      await handle()
    } catch (error) {
      if (!(error instanceof QkdError)) throw error
      const isPeers = error.code === 'ERR_QKD_PROTOCOL' || error.code === 'ERR_QKD_UNAUTHORIZED'
      const isProposed = this.#exchange?.isProposed
      if (isPeers) this.refuse(error.message)
      else this.#fail(error.message)
      this.#options.send({ name: 'ratchetNo', epoch, reason: error.message.slice(0, 250) })
      if (isProposed) this.#options.endSession()
    }
  }

  #begin(offer: RefreshOffer): RefreshExchange {
    const { ledger, secrets, identity } = this.#options
    this.#clear()
    this.#exchange = new RefreshExchange(offer, { ledger, last: secrets.note, identity })
    return this.#exchange
  }

  #expect(epoch: number): RefreshExchange {
    if (this.#exchange?.offer.epoch === epoch) return this.#exchange
    throw new ProtocolError('The peer speaks of a refresh that is not under way')
  }

  #succeed({ offer: { epoch, kem } }: RefreshExchange, dropped: readonly bigint[]): void {
    const { ledger, send } = this.#options
    for (const block of dropped) {
      const grant = ledger.block(block)?.grant ?? 0
      send({ name: 'drop', block, grant, reason: 'the pair secret was refreshed' })
    }
    this.#clear()
    this.#dueSinceMs = undefined
    const peerSiteId = ledger.remoteSiteId
    ledger.telemetry.emit({ type: 'pair-secret', peerSiteId, outcome: 'refreshed', epoch, kem })
  }

  /** Something that the peer may not do is counted and told. */
  refuse(reason: string): void {
    this.#refused++
    this.#end('refused', reason)
  }

  #fail(reason: string): void {
    this.#end('failed', reason)
  }

  #end(outcome: 'refused' | 'failed', reason: string): void {
    const { ledger, logger, monotonicMs } = this.#options
    const peerSiteId = ledger.remoteSiteId
    this.#clear()
    this.#pausedUntilMs = monotonicMs() + PAUSE_MS
    logger.warn({ peerSiteId, reason }, 'The pair secret was not refreshed')
    const epoch = ledger.pool.sealEpoch
    ledger.telemetry.emit({ type: 'pair-secret', peerSiteId, outcome, epoch, reason })
  }

  #clear(): void {
    this.#exchange?.wipe()
    this.#exchange = undefined
  }
}

const NOTHING = new Uint8Array(0)

function encapsulate(kem: KemName, key: Uint8Array) {
  try {
    return createKem(kem).encapsulate(key)
  } catch (cause) {
    throw new ProtocolError(`The peer sent a key that is not one of ${kem}`, { cause })
  }
}

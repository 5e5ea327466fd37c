import { createHash, timingSafeEqual } from 'node:crypto'
import { ProtocolError, QkdError, UnauthorizedError } from '../../errors.ts'
import type { Logger } from '../../interface/logger.ts'
import { lp, u64 } from '../../key/lp.ts'
import { createKem, type KemKeyPair, type KemName } from '../../key/post-quantum.ts'
import { nextRoot, ratchetProof } from '../../key/ratchet.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { SiteIdentity } from '../../key/site-identity.ts'
import type { BlockLedger } from './block-ledger.ts'
import type { PairSecrets } from './pair-secrets.ts'
import type { MessageHandlers } from './peer-session.ts'
import type { MessageFields, PeerMessage } from './peer-wire.ts'
import { KEMS, type RefreshTerms } from './secret-note.ts'

const CONTEXT = 'qkdkit/1 site-kem'
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

/** What both sides have said so far. */
interface Exchange {
  readonly epoch: number
  readonly kem: KemName
  readonly sinceMs: number
  readonly encapsulationKey: Uint8Array
  /** Parameter sets of the site that asked, and of the one that answered. */
  readonly offered: [number, number]
  /** Their certificates, in the same order. */
  readonly certificates: [Uint8Array, Uint8Array]
  pair?: KemKeyPair
  shared?: SecretKey
  transcript?: Buffer
  /** At the side that asked: the next root is stored here. */
  isProposed?: boolean
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
  #exchange: Exchange | undefined
  #pausedUntilMs = Number.NEGATIVE_INFINITY
  #dueSinceMs: number | undefined
  #isWanted = false
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

  /** Attempts of the peer that this side refused: replays, older epochs, weaker parameters, missing or wrong signatures. */
  get refused(): number {
    return this.#refused
  }

  /** A refresh is due whatever the schedule says. */
  request(): void {
    this.#isWanted = true
  }

  /** Begins a refresh when it is due, and ends one that hangs. */
  sweep(): void {
    const { isConnected, monotonicMs, endSession } = this.#options
    const nowMs = monotonicMs()
    if (this.#exchange !== undefined && nowMs - this.#exchange.sinceMs > EXCHANGE_MS) {
      const { isProposed } = this.#exchange
      this.#fail('it did not end in time')
      // Whether the peer has stored what is pending here is told by its next hello.
      if (isProposed) endSession()
      return
    }
    if (!isConnected() || this.#exchange !== undefined || nowMs < this.#pausedUntilMs || !this.#isDue()) return
    if (this.#isFirst) this.#offer()
    else {
      this.#isWanted = false
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
    if (!this.#isWanted && !isTime && secret.seal.sealed < schedule.refreshKeys) {
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
      this.#refuse(`the peer offers ${kem} at best, which is weaker than what the last refresh was made with`)
      return
    }
    const epoch = ledger.pool.sealEpoch + 1
    const pair = createKem(kem).generateKeyPair()
    const certificate = identity?.certificate ?? NOTHING
    this.#exchange = {
      epoch,
      kem,
      sinceMs: monotonicMs(),
      encapsulationKey: pair.publicKey,
      offered: [own, 0],
      certificates: [certificate, NOTHING],
      pair,
    }
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
    this.#requireStrength(message.offered, kem)
    if (identity !== undefined && certificate.byteLength === 0)
      throw new UnauthorizedError(`${ledger.remoteSiteId} did not sign: its configuration has no mlDsa`)
    this.#clear()
    const { ciphertext, secret: shared } = encapsulate(kem, key)
    const exchange: Exchange = {
      epoch,
      kem,
      sinceMs: monotonicMs(),
      encapsulationKey: key,
      offered: [message.offered, own],
      certificates: [certificate, identity?.certificate ?? NOTHING],
      shared,
    }
    this.#exchange = exchange
    const transcript = this.#transcribe(exchange, ciphertext)
    const signature = this.#sign(transcript, 'second')
    const [, ownCertificate] = exchange.certificates
    send({ name: 'ratchetAnswer', epoch, offered: own, ciphertext, certificate: ownCertificate, signature })
  }

  async #onAnswer({ epoch, ...answer }: MessageFields<'ratchetAnswer'>): Promise<void> {
    const { secrets, send, ledger } = this.#options
    const exchange = this.#expect(epoch, 'pair')
    if (exchange.isProposed) throw new ProtocolError('The peer answered twice')
    exchange.offered[1] = answer.offered
    exchange.certificates[1] = answer.certificate
    this.#requireStrength(answer.offered, exchange.kem)
    const transcript = this.#transcribe(exchange, answer.ciphertext)
    this.#verify(transcript, 'second', { certificate: answer.certificate, signature: answer.signature })
    exchange.shared = exchange.pair!.decapsulate(answer.ciphertext)
    exchange.isProposed = true
    const root = this.#nextRoot(exchange)
    // Before the peer can store it, it is here.
    const mac = ratchetProof(root, ledger.localSiteId, transcript)
    await secrets.propose(root, this.#termsOf(exchange))
    send({ name: 'ratchetProof', epoch, signature: this.#sign(transcript, 'first'), mac })
  }

  async #onProof({ epoch, signature, mac }: MessageFields<'ratchetProof'>): Promise<void> {
    const { secrets, send, ledger } = this.#options
    const exchange = this.#expect(epoch, 'shared')
    const transcript = exchange.transcript!
    if (this.#isFirst) throw new ProtocolError('This proof is not one that the peer may give')
    this.#verify(transcript, 'first', { certificate: exchange.certificates[0], signature })
    const root = this.#nextRoot(exchange)
    if (!timingSafeEqual(mac, ratchetProof(root, ledger.remoteSiteId, transcript))) {
      root.wipe()
      throw new UnauthorizedError('The peer did not come to the same secret')
    }
    const own = ratchetProof(root, ledger.localSiteId, transcript)
    const dropped = await secrets.advance(root, this.#termsOf(exchange))
    send({ name: 'ratchetDone', epoch, mac: own })
    this.#succeed(exchange, dropped)
  }

  async #onDone({ epoch, mac }: MessageFields<'ratchetDone'>): Promise<void> {
    const { secrets, ledger } = this.#options
    const exchange = this.#expect(epoch, 'isProposed')
    const root = this.#nextRoot(exchange)
    const isSame = timingSafeEqual(mac, ratchetProof(root, ledger.remoteSiteId, exchange.transcript!))
    root.wipe()
    if (!isSame) throw new UnauthorizedError('The peer did not come to the same secret')
    this.#succeed(exchange, await secrets.promote())
  }

  #onNo({ epoch, reason }: MessageFields<'ratchetNo'>): void {
    if (this.#exchange?.epoch === epoch && !this.#exchange.isProposed) this.#fail(`the peer refused: ${reason}`)
  }

  /** What the peer may not do is refused and counted; a store that fails is no fault of the peer's. */
  async #guarded(epoch: number, handle: () => void | Promise<void>): Promise<void> {
    try {
      await handle()
    } catch (error) {
      if (!(error instanceof QkdError)) throw error
      const isPeers = error.code === 'ERR_QKD_PROTOCOL' || error.code === 'ERR_QKD_UNAUTHORIZED'
      const isProposed = this.#exchange?.isProposed
      if (isPeers) this.#refuse(error.message)
      else this.#fail(error.message)
      this.#options.send({ name: 'ratchetNo', epoch, reason: error.message.slice(0, 250) })
      if (isProposed) this.#options.endSession()
    }
  }

  /** No weaker than the strongest set that both have, and than the last refresh. */
  #requireStrength(offeredByPeer: number, chosen: KemName): void {
    const { schedule, secrets } = this.#options
    const best = strongest(offered(schedule.kem) & offeredByPeer)
    if (best !== chosen) throw new ProtocolError(`${chosen} is not the strongest parameter set that both sites have`)
    if (KEMS.indexOf(chosen) < KEMS.indexOf(secrets.note.kem))
      throw new ProtocolError(`${chosen} is weaker than what the last refresh was made with`)
  }

  #transcribe(exchange: Exchange, ciphertext: Uint8Array): Buffer {
    const { ledger, secrets } = this.#options
    const { epoch, kem, encapsulationKey, certificates } = exchange
    const [first, second] = ledger.pair.siteIds
    const sets = exchange.offered.map(set => Buffer.of(set))
    const sites = lp(first, certificates[0], sets[0]!, second, certificates[1], sets[1]!)
    const said = lp(kem, encapsulationKey, ciphertext, secrets.note.transcript)
    exchange.transcript = createHash('sha256')
      .update(lp(CONTEXT, ledger.poolId, u64(epoch), sites, said))
      .digest()
    return exchange.transcript
  }

  #sign(transcript: Uint8Array, role: 'first' | 'second'): Uint8Array {
    return this.#options.identity?.sign(lp(role, transcript), CONTEXT) ?? NOTHING
  }

  #verify(
    transcript: Uint8Array,
    role: 'first' | 'second',
    proof: { certificate: Uint8Array; signature: Uint8Array },
  ): void {
    const { identity, ledger, secrets } = this.#options
    if (identity !== undefined) identity.verify(ledger.remoteSiteId, proof, lp(role, transcript), CONTEXT)
    else if (secrets.note.isSigned)
      throw new UnauthorizedError('The last refresh was signed; this one is not: the configuration has lost its mlDsa')
  }

  #nextRoot({ epoch, shared, transcript }: Exchange): SecretKey {
    return nextRoot(this.#options.ledger.secret!.root, { epoch, shared: shared!, transcript: transcript! })
  }

  #termsOf({ kem, transcript }: Exchange): RefreshTerms {
    return { kem, isSigned: this.#options.identity !== undefined, transcript: transcript! }
  }

  #expect(epoch: number, part: 'pair' | 'shared' | 'isProposed'): Exchange {
    const exchange = this.#exchange
    if (exchange === undefined || exchange.epoch !== epoch || exchange[part] === undefined)
      throw new ProtocolError('The peer speaks of a refresh that is not under way')
    return exchange
  }

  #succeed({ epoch, kem }: Exchange, dropped: readonly bigint[]): void {
    const { ledger, send } = this.#options
    for (const block of dropped) {
      const grant = ledger.block(block)?.grant ?? 0
      send({ name: 'drop', block, grant, reason: 'the pair secret was refreshed' })
    }
    this.#clear()
    this.#isWanted = false
    this.#dueSinceMs = undefined
    const peerSiteId = ledger.remoteSiteId
    ledger.telemetry.emit({ type: 'pair-secret', peerSiteId, outcome: 'refreshed', epoch, kem })
  }

  #refuse(reason: string): void {
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
    this.#exchange?.pair?.wipe()
    this.#exchange?.shared?.wipe()
    this.#exchange = undefined
  }
}

const NOTHING = new Uint8Array(0)

/** The parameter sets from `weakest` on, as bits. */
export function offered(weakest: KemName): number {
  return KEMS.reduce((bits, _, at) => (at >= KEMS.indexOf(weakest) ? bits | (1 << at) : bits), 0)
}

function strongest(bits: number): KemName | undefined {
  return KEMS.findLast((_, at) => (bits & (1 << at)) !== 0)
}

function encapsulate(kem: KemName, key: Uint8Array) {
  try {
    return createKem(kem).encapsulate(key)
  } catch (cause) {
    throw new ProtocolError(`The peer sent a key that is not one of ${kem}`, { cause })
  }
}

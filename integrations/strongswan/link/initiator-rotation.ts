import { type AbortOptions, ClosedError, initiateAgreement, ProtocolError, startDeadline } from '../../../lib/index.ts'
import type { RotationTimes } from '../agent-event.ts'
import type { CharonKey } from '../charon/charon.ts'
import type { PeerChannel } from '../peer/peer-channel.ts'
import type { PeerMessage } from '../peer/peer-message.ts'
import type { Link } from './link.ts'
import { provenSa } from './proven-sa.ts'
import { PeerGaveUp, reasonOf, requireAgreed } from './rotation-fault.ts'

/** How long the other end may take for a step of its own, in milliseconds; its charon and its KMS are in it. */
const STEP_TIMEOUT_MS = 5_000

/** A rotation that came out well. */
export interface Rotated {
  readonly keyId: string
  readonly uniqueId: string
  readonly times: RotationTimes
}

/** A rotation that did not; the key, if one was taken, is burned. */
export class RotationFailed extends Error {
  readonly burnedKeyId: string | undefined

  constructor(cause: unknown, burnedKeyId: string | undefined) {
    super(reasonOf(cause), { cause })
    this.burnedKeyId = burnedKeyId
  }
}

/** One rotation as the initiator drives it: prepare, establish, confirm, retire. */
export class InitiatorRotation {
  readonly #link: Link
  readonly #channel: PeerChannel
  readonly #epoch: number
  readonly #signal: AbortSignal
  #keyId: string | undefined
  #key: CharonKey | undefined
  #remembered: Promise<void> | undefined
  /** IKE_SAs that were up before; undefined as long as nothing was initiated. */
  #before: ReadonlySet<string> | undefined

  constructor(link: Link, channel: PeerChannel, { epoch, signal }: { epoch: number } & Required<AbortOptions>) {
    this.#link = link
    this.#channel = channel
    this.#epoch = epoch
    this.#signal = signal
  }

  /** @throws {RotationFailed} what was up before is still up, and nothing else */
  async run(): Promise<Rotated> {
    try {
      return await this.#run()
    } catch (error) {
      await this.#undo(error)
      throw new RotationFailed(error, this.#keyId)
    } finally {
      this.#link.state = 'idle'
    }
  }

  async #run(): Promise<Rotated> {
    const link = this.#link
    const psk = link.config.mode === 'psk'
    const marks = [performance.now()]
    link.state = 'preparing'
    const [keyId, before] = await settled(this.#agree(), this.#lookAround())
    await this.#load(keyId)
    await (psk ? this.#stagePsk(keyId) : this.#hear('ready'))
    link.state = 'prepared'
    marks.push(performance.now())
    await this.#establish(before)
    link.state = 'initiated'
    // Not on the way to the new IKE_SA: a disk may be slow, and what is written here only helps an agent after this one.
    await this.#remembered
    marks.push(performance.now())
    const uniqueId = await provenSa(link, { ppkId: link.ppkIdOf(keyId), before, signal: this.#signal })
    await this.#tell({ type: 'confirm', epoch: this.#epoch, keyId })
    await this.#hear('confirmed', keyId)
    link.state = 'confirmed'
    marks.push(performance.now())
    const latest = await this.#retire(keyId, uniqueId)
    marks.push(performance.now())
    const [prepareMs, establishMs, confirmMs, retireMs] = marks.slice(1).map((mark, at) => mark - marks[at]!)
    const times = { prepareMs, establishMs, confirmMs, retireMs } as RotationTimes
    return { keyId, uniqueId: latest, times }
  }

  /** A fresh key that both ends have. */
  async #agree(): Promise<string> {
    const { config, context, store } = this.#link
    const { name, peer, mode } = config
    this.#channel.clearAgreement()
    await this.#tell({ type: 'prepare', epoch: this.#epoch })
    await this.#hear('prepared')
    const options = { peerSaeId: peer, purpose: purposeOf(name, mode), signal: this.#signal }
    const outcome = await initiateAgreement(context.kms, this.#channel.agreement, options)
    if (outcome.outcome !== 'agreed') this.#keyId = outcome.burnedKeyId
    const { keyId, secret } = requireAgreed(outcome, peer)
    this.#keyId = keyId
    if (store.hasUsed(keyId)) {
      secret.wipe()
      throw new ProtocolError(`The KMS gave the key ${keyId} a second time`)
    }
    this.#key = { connection: name, keyId, ...this.#link.keyKind(keyId), secret }
    this.#remembered = store.take(this.#epoch, keyId)
    this.#remembered.catch(() => {})
    return keyId
  }

  /** What is up before, in a charon that has all that it must have. */
  async #lookAround(): Promise<ReadonlySet<string>> {
    const options = { signal: this.#signal }
    const [before] = await settled(this.#link.uniqueIds(options), this.#link.ensureProvisioned(options))
    return new Set(before)
  }

  /** Gives charon the key and the connection that insists on it. A pre-shared key has its turn later. */
  async #load(keyId: string): Promise<void> {
    const { config, context } = this.#link
    if (config.mode === 'psk') return
    const [variant, options] = [{ ppkId: this.#link.ppkIdOf(keyId) }, { signal: this.#signal }]
    await settled(this.#link.stock.hold(this.#key!, options), context.charon.loadConnection(config, variant, options))
  }

  /**
   * Brings a pre-shared key into both charons so that a new IKE_SA can be authenticated at each moment, whoever begins: each
   * signs with the key that it was given last and takes any that it has. The other end has the new key below the old one
   * when this one puts it on top; then the other end puts it on top as well, and the old one goes here, and there.
   */
  async #stagePsk(keyId: string): Promise<void> {
    const link = this.#link
    await this.#hear('ready', keyId)
    await link.stock.hold(this.#key!, { signal: this.#signal })
    await this.#tell({ type: 'stage', epoch: this.#epoch, stage: 'loaded' })
    await this.#hear('staged')
    await link.stock.dropAllBut(keyId)
    await this.#tell({ type: 'stage', epoch: this.#epoch, stage: 'retired' })
    await this.#hear('staged')
    const variant = { generation: this.#epoch }
    await link.context.charon.loadConnection(link.config, variant, { signal: this.#signal })
  }

  /** A new IKE_SA with all children. */
  async #establish(before: ReadonlySet<string>): Promise<void> {
    const { config, context } = this.#link
    this.#before = before
    const children = config.children.length > 0 ? config.children.map(({ name }) => name) : [undefined]
    for (const child of children) await context.charon.initiate(config.name, child, { signal: this.#signal })
  }

  /** Nothing here fails or undoes anything, because the old IKE_SA may be gone: what does not succeed is mended later. */
  async #retire(keyId: string, uniqueId: string): Promise<string> {
    const [latest] = await Promise.all([
      this.#replace(uniqueId),
      this.#commit(keyId),
      this.#remember(keyId),
      this.#link.config.mode === 'psk' ? undefined : this.#link.stock.drop(keyId),
    ])
    return latest
  }

  /** Takes down what was before, and rekeys the new IKE_SA; gives its number. */
  async #replace(uniqueId: string): Promise<string> {
    try {
      await this.#link.terminateAll([...(this.#before ?? [])], { signal: this.#signal })
    } catch {
      // The agent ends; the one after it finds two IKE_SAs, and has another rotation replace them.
      return uniqueId
    }
    return this.#link.config.mode === 'psk' ? uniqueId : await this.#rekey(uniqueId)
  }

  async #remember(keyId: string): Promise<void> {
    const { store, context, name } = this.#link
    try {
      await store.commit({ epoch: this.#epoch, keyId, sinceMs: context.now() })
    } catch (error) {
      // An agent after this one takes the key for one in the middle of a rotation, and rotates.
      context.logger.warn({ connection: name, keyId, reason: reasonOf(error) }, 'the key in use was not written down')
    }
  }

  async #commit(keyId: string): Promise<void> {
    const { context, name } = this.#link
    try {
      await this.#tell({ type: 'commit', epoch: this.#epoch, keyId })
      await this.#hear('committed', keyId)
    } catch (error) {
      // The other end hears of it when the agents meet again.
      context.logger.warn({ connection: name, keyId, reason: reasonOf(error) }, 'the commit was not answered')
      await this.#channel.close()
    }
  }

  /** The IKE_SA's own keys were made before the PPK came in (RFC 8784, section 3): rekeying puts it under the PPK as well. */
  async #rekey(uniqueId: string): Promise<string> {
    try {
      const latest = await this.#link.context.charon.rekeyIke(uniqueId, { signal: this.#signal })
      this.#link.clear('ike-rekey')
      return latest
    } catch (error) {
      this.#link.raise('ike-rekey', 'minor', `The IKE_SA itself is not under the PPK yet: ${reasonOf(error)}`)
      return uniqueId
    }
  }

  /** Back to what was before; whatever of it fails is found by the next comparison with charon. */
  async #undo(error: unknown): Promise<void> {
    const link = this.#link
    const failed = { type: 'failed', epoch: this.#epoch, reason: reasonOf(error) } as const
    const telling = this.#channel.send(failed, { signal: AbortSignal.timeout(1_000) }).catch(() => {})
    if (error instanceof ProtocolError) await this.#channel.close().catch(() => {})
    try {
      await this.#remembered?.catch(() => {})
      if (this.#keyId !== undefined) {
        // Of two pre-shared keys nobody knows which the other end signs with: both stay until the next one is agreed.
        if (link.config.mode !== 'psk') await link.stock.drop(this.#keyId)
        if (!link.stock.has(this.#keyId)) this.#key?.secret.wipe()
      }
      if (this.#before !== undefined) {
        const { watch } = link.context.charon
        const known = new Set([...this.#before].map(uniqueId => watch.rootOf(uniqueId)))
        const fresh = (await link.uniqueIds({})).filter(uniqueId => !known.has(watch.rootOf(uniqueId)))
        await link.terminateAll(fresh, {})
      }
      // The last, because a disk may be full.
      if (this.#keyId !== undefined) await link.store.burn(this.#keyId)
    } catch (cause) {
      link.context.logger.warn({ connection: link.name, reason: reasonOf(cause) }, 'a failed rotation was not undone')
    }
    await telling
  }

  async #tell(message: PeerMessage): Promise<void> {
    await this.#channel.send(message, { signal: this.#signal })
  }

  /** The answer of that type, about this rotation and key; what is left of earlier rotations is passed over. */
  async #hear(type: PeerMessage['type'], keyId?: string): Promise<void> {
    using deadline = startDeadline(this.#signal, STEP_TIMEOUT_MS)
    for (;;) {
      const message = await this.#channel.receive({ signal: deadline.signal }).catch(error => {
        if (!deadline.signal.aborted || this.#signal.aborted) throw error
        throw new ClosedError(`${this.#channel.peerId} did not say "${type}" in time`)
      })
      if (!('epoch' in message) || message.epoch > this.#epoch)
        throw new ProtocolError(`"${message.type}" has no place`)
      if (message.epoch < this.#epoch) continue
      if (message.type === 'failed') throw new PeerGaveUp(message.reason)
      if (message.type !== type) throw new ProtocolError(`"${message.type}" came in place of "${type}"`)
      const about = 'keyId' in message ? message.keyId : undefined
      if (about !== undefined && about !== (keyId ?? this.#keyId))
        throw new ProtocolError(`"${type}" is about another key`)
      return
    }
  }
}

/** What an agreed key is for; keys for two connections or modes have nothing in common. */
export function purposeOf(connection: string, mode: 'ppk' | 'psk' | 'vendor'): string {
  return `strongswan ${mode} ${connection}`
}

/** Waits for both, and rejects with the first failure only when neither is under way any more. */
async function settled<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other])
  return await Promise.all([one, other])
}

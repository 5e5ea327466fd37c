import {
  type AbortOptions,
  abortable,
  acceptAgreement,
  ClosedError,
  ProtocolError,
  startDeadline,
} from '../../../lib/index.ts'
import { ppkIdPattern } from '../charon/names.ts'
import type { PeerChannel } from '../peer/peer-channel.ts'
import type { CommittedKey, PeerMessage } from '../peer/peer-message.ts'
import { purposeOf } from './initiator-rotation.ts'
import { Link } from './link.ts'
import { provenSa } from './proven-sa.ts'
import { PeerGaveUp, reasonOf, requireAgreed } from './rotation-fault.ts'

/** How long the initiator may take for a step of its own, in milliseconds: it waits for our charon in it. */
const STEP_TIMEOUT_MS = 30_000
/** How long the initiator may take for a rotation that was asked for, in milliseconds. */
const ASKED_TIMEOUT_MS = 30_000

/** The end that follows: has each key before the initiator uses it, and says whether its charon uses the same. */
export class ResponderLink extends Link {
  readonly #stop = new AbortController()
  readonly #waiters = new Set<{ resolve(): void; reject(error: unknown): void }>()
  #channel: PeerChannel | undefined
  #serving: Promise<void> = Promise.resolve()
  /** A key that both ends had proven when the channel was lost: the initiator knows whether it counts. */
  #inDoubt: CommittedKey | undefined

  get peerConnected(): boolean {
    return this.#channel !== undefined && !this.#channel.closed
  }

  get nextRotationMs(): undefined {
    return undefined
  }

  override async open(): Promise<void> {
    await super.open()
    const { pending } = this.store.record
    if (pending !== null) this.#inDoubt = pending
  }

  async start(): Promise<void> {
    this.raise('no-peer', 'warning', `The agent of ${this.config.peer}, which is to begin, was not heard of yet`)
  }

  async close(): Promise<void> {
    this.#stop.abort(new ClosedError('The agent is closed'))
    await this.#channel?.close()
    await this.#serving
    this.#failWaiters(new ClosedError('The agent is closed'))
    this.stock.wipe()
  }

  async rotate({ signal }: AbortOptions): Promise<void> {
    if (!this.peerConnected) {
      throw new ClosedError(`The agent of ${this.config.peer} is not connected, and it is the one to begin`)
    }
    using deadline = startDeadline(signal, ASKED_TIMEOUT_MS)
    const done = new Promise<void>((resolve, reject) => this.#waiters.add({ resolve, reject }))
    await this.#ask('it was asked for')
    await abortable(done, deadline)
  }

  restingVariant() {
    return this.config.mode === 'psk' ? {} : { ppkId: ppkIdPattern(this.name) }
  }

  onDown(reason: string): void {
    void this.#ask(reason)
  }

  /** Takes the channel of an initiator that was found to be the right one, in place of an earlier one. */
  async serve(channel: PeerChannel, committed: CommittedKey | null): Promise<void> {
    const before = this.#channel
    this.#channel = channel
    await before?.close()
    await this.#serving
    if (this.#stop.signal.aborted) return await channel.close()
    this.#serving = this.#serve(channel, committed)
  }

  async #serve(channel: PeerChannel, committed: CommittedKey | null): Promise<void> {
    const { emit } = this.context
    try {
      await this.#resolveDoubt(committed)
      await channel.send({ type: 'welcome', epoch: this.store.record.epoch }, { signal: this.#stop.signal })
      this.clear('no-peer')
      emit({ type: 'peer', connection: this.name, connected: true })
      if (this.current?.uniqueId === undefined) await this.#ask('nothing is up')
      while (!channel.closed) await this.#take(channel)
    } catch (error) {
      if (!(error instanceof ClosedError)) {
        this.context.logger.warn({ connection: this.name, reason: reasonOf(error) }, 'the channel was given up')
      }
    }
    await channel.close()
    this.#failWaiters(new ClosedError(`The agent of ${this.config.peer} went`))
    emit({ type: 'peer', connection: this.name, connected: false })
  }

  async #take(channel: PeerChannel): Promise<void> {
    const message = await channel.receive({ signal: this.#stop.signal })
    const { committed, epoch } = this.store.record
    if (message.type === 'prepare') {
      if (message.epoch > epoch) await this.#rotation(channel, message.epoch)
      else
        await this.#tell(channel, { type: 'failed', epoch: message.epoch, reason: `epoch ${epoch} was seen already` })
      return
    }
    if (message.type === 'commit' && message.keyId === committed?.keyId) {
      await this.#tell(channel, { ...message, type: 'committed' })
      return
    }
    // What the initiator said of a rotation that this end has given up.
    if ('epoch' in message && message.epoch <= epoch) return
    if (message.type !== 'failed') throw new ProtocolError(`"${message.type}" has no place here`)
  }

  async #rotation(channel: PeerChannel, epoch: number): Promise<void> {
    const began = { keyId: undefined as string | undefined, proven: false }
    try {
      await this.#follow(channel, epoch, began)
      this.#settleWaiters()
    } catch (error) {
      const { keyId, proven } = began
      const told = error instanceof PeerGaveUp
      if (!told) await this.#tell(channel, { type: 'failed', epoch, reason: reasonOf(error) })
      if (keyId !== undefined) {
        // A pre-shared key that the initiator may sign with stays until the next one has replaced it.
        if (this.config.mode !== 'psk') await this.stock.drop(keyId)
        if (proven && !told) this.#inDoubt = { epoch, keyId }
        else await this.store.burn(keyId)
      }
      this.failed(error, { epoch, burnedKeyId: keyId })
      this.#failWaiters(error)
      if (error instanceof ProtocolError) await channel.close()
    } finally {
      this.state = 'idle'
    }
  }

  async #follow(channel: PeerChannel, epoch: number, began: { keyId: string | undefined; proven: boolean }) {
    const { config, context, store } = this
    const { signal } = this.#stop
    const psk = config.mode === 'psk'
    this.state = 'preparing'
    channel.clearAgreement()
    await channel.send({ type: 'prepared', epoch }, { signal })
    const provisioned = this.ensureProvisioned({ signal })
    provisioned.catch(() => {})
    const terms = { purpose: purposeOf(this.name, config.mode), signal }
    const outcome = await acceptAgreement(context.kms, channel.agreement, terms)
    if (outcome.outcome !== 'agreed') began.keyId = outcome.burnedKeyId
    const { keyId, secret } = requireAgreed(outcome, config.peer)
    began.keyId = keyId
    if (store.hasUsed(keyId)) {
      secret.wipe()
      throw new ProtocolError(`The key ${keyId} was used before`)
    }
    await provisioned
    const remembered = store.take(epoch, keyId)
    remembered.catch(() => {})
    const former = this.stock.newest
    await this.stock.hold({ connection: this.name, keyId, ...this.keyKind(keyId), secret }, { signal })
    // The initiator can't check yet what is signed with the new pre-shared key, so the old one goes back on top.
    if (psk && former !== undefined) await this.stock.hold(former, { signal })
    // Before the initiator can begin anything.
    const before = new Set(await this.uniqueIds({ signal }))
    this.state = 'prepared'
    await channel.send({ type: 'ready', epoch, keyId }, { signal })
    if (psk) await this.#stagePsk(channel, epoch, keyId)

    await this.#hear(channel, 'confirm', { epoch, keyId })
    this.state = 'initiated'
    const uniqueId = await provenSa(this, { ppkId: this.ppkIdOf(keyId), before, signal })
    await remembered
    began.proven = true
    await channel.send({ type: 'confirmed', epoch, keyId }, { signal })
    this.state = 'confirmed'
    await this.#hear(channel, 'commit', { epoch, keyId })
    await Promise.all([
      store.commit({ epoch, keyId, sinceMs: context.now() }),
      psk ? undefined : this.stock.drop(keyId),
    ])
    this.inUse(keyId, uniqueId, { epoch })
    await this.#tell(channel, { type: 'committed', epoch, keyId })
  }

  async #stagePsk(channel: PeerChannel, epoch: number, keyId: string): Promise<void> {
    const { signal } = this.#stop
    await this.#hear(channel, 'stage', { epoch, stage: 'loaded' })
    await this.stock.hold(this.stock.get(keyId)!, { signal })
    await channel.send({ type: 'staged', epoch, stage: 'loaded' }, { signal })
    await this.#hear(channel, 'stage', { epoch, stage: 'retired' })
    await this.stock.dropAllBut(keyId)
    await channel.send({ type: 'staged', epoch, stage: 'retired' }, { signal })
  }

  /** What became of the key that was in doubt: the initiator says which one counts. */
  async #resolveDoubt(committed: CommittedKey | null): Promise<void> {
    const doubt = this.#inDoubt
    this.#inDoubt = undefined
    if (doubt === undefined) return
    if (committed?.keyId !== doubt.keyId) return await this.store.burn(doubt.keyId)
    await this.store.commit({ ...doubt, sinceMs: this.context.now() })
    const ppkId = this.ppkIdOf(doubt.keyId)
    const { watch } = this.context.charon
    const live = watch.live(this.name)
    const uniqueId = live.find(each => ppkId !== undefined && watch.seen(each)?.ppkId === ppkId) ?? live.at(-1)
    this.inUse(doubt.keyId, uniqueId, { epoch: doubt.epoch })
  }

  async #ask(reason: string): Promise<void> {
    const channel = this.#channel
    if (channel === undefined || channel.closed || this.state !== 'idle') return
    await this.#tell(channel, { type: 'wanted', reason })
  }

  /** Says something that nothing here depends on. */
  async #tell(channel: PeerChannel, message: PeerMessage): Promise<void> {
    await channel.send(message, { signal: AbortSignal.timeout(1_000) }).catch(() => {})
  }

  async #hear(
    channel: PeerChannel,
    type: PeerMessage['type'],
    about: { readonly epoch: number; readonly keyId?: string; readonly stage?: string },
  ): Promise<void> {
    using deadline = startDeadline(this.#stop.signal, STEP_TIMEOUT_MS)
    for (;;) {
      const message = await channel.receive(deadline)
      if (!('epoch' in message) || message.epoch > about.epoch)
        throw new ProtocolError(`"${message.type}" has no place`)
      if (message.epoch < about.epoch) continue
      if (message.type === 'failed') throw new PeerGaveUp(message.reason)
      const fits = Object.entries(about).every(
        ([field, value]) => (message as Record<string, unknown>)[field] === value,
      )
      if (message.type === type && fits) return
      throw new ProtocolError(`"${message.type}" came in place of "${type}"`)
    }
  }

  #settleWaiters(): void {
    for (const { resolve } of this.#waiters) resolve()
    this.#waiters.clear()
  }

  #failWaiters(error: unknown): void {
    for (const { reject } of this.#waiters) reject(error)
    this.#waiters.clear()
  }
}

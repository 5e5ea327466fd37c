import {
  type AbortOptions,
  ClosedError,
  InvalidArgumentError,
  type Key,
  PolicyError,
  SecretKey,
  startDeadline,
} from '../../../lib/index.ts'
import type { SaNews } from '../charon/sa-watch.ts'
import { Link } from './link.ts'
import { LookupBudget } from './lookup-budget.ts'
import { reasonOf } from './rotation-fault.ts'

/** How long a key that was named may wait for the gateway to use it, in milliseconds. */
const UNUSED_MS = 30_000
/** Names that were refused and are not asked for again. */
const MAX_REFUSED = 1_024
/** A key_ID of ETSI GS QKD 014. */
const KEY_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** Without any PPK charon does not even offer to use one. Nobody can name this one, and it is random. */
const PLACEHOLDER = 'placeholder'

/**
 * A connection to a gateway that takes its keys from a KME itself and puts the key_ID into the PPK_ID. Its first try fails,
 * charon's log says which key it named, and the KMS is asked for it: when the gateway tries again the key is there. Whoever
 * reaches UDP port 500 can name keys, so that look-ups are few and only for what can be a key_ID.
 */
export class VendorLink extends Link {
  readonly #stop = new AbortController()
  readonly #budget = new LookupBudget()
  readonly #refused = new Set<string>()
  readonly #busy = new Set<string>()
  readonly #work = new Set<Promise<void>>()
  #epoch = 0

  get peerConnected(): boolean {
    return false
  }

  get nextRotationMs(): undefined {
    return undefined
  }

  async start(): Promise<void> {}

  async close(): Promise<void> {
    this.#stop.abort(new ClosedError('The agent is closed'))
    await Promise.all(this.#work)
    await this.stock.dropAll()
  }

  async rotate(): Promise<void> {
    throw new InvalidArgumentError(`Connection "${this.name}" rotates at the gateway of ${this.config.peer}`)
  }

  /** Any PPK_ID: the gateway names it, and none that is not loaded comes through. */
  restingVariant() {
    return {}
  }

  onDown(): void {
    // The gateway at the other end begins.
  }

  override async provision(options: Required<AbortOptions>): Promise<void> {
    if (!this.stock.has(PLACEHOLDER)) {
      const owners = [`${PLACEHOLDER}@${this.name}.qkd`]
      const secret = SecretKey.random(32)
      this.stock.add({ connection: this.name, keyId: PLACEHOLDER, type: 'ppk', owners, secret })
    }
    await super.provision(options)
  }

  override ppkIdOf(keyId: string | undefined): string | undefined {
    return keyId
  }

  override hear(news: SaNews): void {
    super.hear(news)
    if (news.type !== 'ppk-missing' || news.connection !== this.name) return
    const work = this.#learn(news.ppkId).catch(error => {
      this.context.logger.warn({ connection: this.name, reason: reasonOf(error) }, 'a key that was named is not there')
    })
    this.#work.add(work)
    void work.finally(() => this.#work.delete(work))
  }

  async #learn(named: string): Promise<void> {
    const keyId = named.toLowerCase()
    if (this.#stop.signal.aborted || !KEY_ID.test(keyId)) return
    if (this.#busy.has(keyId) || this.#refused.has(keyId) || this.store.hasUsed(keyId)) return
    const done = this.#budget.take()
    if (done === undefined) {
      this.raise('vendor-rate', 'warning', 'More keys were named than may be looked up; some were passed over')
      return
    }
    this.clear('vendor-rate')
    this.#busy.add(keyId)
    try {
      await this.#serve(keyId, await this.#fetch(keyId).finally(done))
    } finally {
      this.#busy.delete(keyId)
    }
  }

  async #fetch(keyId: string): Promise<SecretKey> {
    const { kms } = this.context
    try {
      const keys: Key[] = await kms.getKeyWithIds(this.config.peer, [keyId], { signal: this.#stop.signal })
      const [key] = keys
      if (key?.keyId.toLowerCase() === keyId && keys.length === 1) return key.secret
      for (const { secret } of keys) secret.wipe()
      throw new PolicyError(`The KMS gave another key than ${keyId}`)
    } catch (error) {
      this.#refused.add(keyId)
      if (this.#refused.size > MAX_REFUSED) this.#refused.delete(this.#refused.values().next().value!)
      throw error
    }
  }

  /** Has the key in charon until an IKE_SA stands on it. */
  async #serve(keyId: string, secret: SecretKey): Promise<void> {
    const { charon, now } = this.context
    this.#epoch = Math.max(this.#epoch, this.store.record.epoch) + 1
    const epoch = this.#epoch
    try {
      await this.store.take(epoch, keyId)
      const { signal } = this.#stop
      await this.stock.hold({ connection: this.name, keyId, type: 'ppk', owners: [keyId], secret }, { signal })
      using deadline = startDeadline(signal, UNUSED_MS)
      const uniqueId = await charon.watch.ppkUsed(this.name, keyId, deadline)
      await charon.watch.standing(uniqueId, [], deadline)
      await this.stock.drop(keyId)
      await this.store.commit({ epoch, keyId, sinceMs: now() })
      this.inUse(keyId, uniqueId, { epoch })
    } catch (error) {
      await this.stock.drop(keyId)
      await this.store.burn(keyId)
      if (!this.#stop.signal.aborted) this.failed(error, { epoch, burnedKeyId: keyId })
      throw error
    }
  }
}

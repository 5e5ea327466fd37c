import type { AbortOptions, Logger } from '../../../lib/index.ts'
import type { IpsecConnectionConfig } from '../agent-config.ts'
import type { Charon, CharonKey } from '../charon/charon.ts'
import type { ConnectionVariant } from '../charon/connection-body.ts'
import { readStaticSecret } from '../charon/static-secret.ts'
import type { ListedConnection } from '../vici/commands.ts'
import { reasonOf } from './rotation-fault.ts'

/** What charon was found to have. */
export interface FoundStock {
  readonly connections: readonly ListedConnection[]
  readonly keys: readonly { readonly connection: string; readonly keyId: string }[]
}

/** Options of `CharonStock`. */
export interface CharonStockOptions {
  readonly config: IpsecConnectionConfig
  readonly charon: Charon
  readonly logger: Logger
  /** The connection as it is loaded while no rotation is under way. */
  readonly variant: () => ConnectionVariant
}

const STATIC_SECRET = 'auth'
/** Pre-shared keys of rotations that came to nothing: nobody knows which the other end signs with, but not for ever. */
const MAX_HELD = 16

/** What one connection must have in charon: itself, the static secret of both gateways, and keys. */
export class CharonStock {
  readonly #options: CharonStockOptions
  readonly #name: string
  /** In the order in which they were loaded: of several for one owner charon uses the last. */
  readonly #held = new Map<string, CharonKey>()

  constructor(options: CharonStockOptions) {
    this.#options = options
    this.#name = options.config.name
  }

  has(keyId: string): boolean {
    return this.#held.has(keyId)
  }

  get(keyId: string): CharonKey | undefined {
    return this.#held.get(keyId)
  }

  /** The key that charon was given last. */
  get newest(): CharonKey | undefined {
    return [...this.#held.values()].at(-1)
  }

  /** Remembers a key that charon is to be given with everything else. */
  add(key: CharonKey): void {
    this.#held.set(key.keyId, key)
  }

  /** Gives charon everything. */
  async provide(options: AbortOptions): Promise<void> {
    const { config, charon, variant } = this.#options
    await charon.loadConnection(config, variant(), options)
    await this.#loadStaticSecret(options)
    for (const key of this.#held.values()) await charon.loadKey(key, options)
  }

  /** Gives charon what it lacks; true if that was anything. */
  async supply(found: FoundStock, options: AbortOptions): Promise<boolean> {
    const { config, charon, variant } = this.#options
    const ours = new Set(found.keys.filter(({ connection }) => connection === this.#name).map(({ keyId }) => keyId))
    // One that an admin has loaded under our name, and that asks for no PPK, is none.
    const fits = (connection: ListedConnection) => config.mode === 'psk' || connection.ppkRequired
    const missing = !found.connections.some(connection => connection.name === this.#name && fits(connection))
    const secretLost = config.secretFile !== undefined && !ours.has(STATIC_SECRET)
    const lost = [...this.#held.keys()].some(keyId => !ours.has(keyId))
    if (missing) await charon.loadConnection(config, variant(), options)
    if (secretLost) await this.#loadStaticSecret(options)
    // All of them, because their order counts.
    if (lost) for (const key of this.#held.values()) await charon.loadKey(key, options)
    return missing || secretLost || lost
  }

  /** Takes from charon the keys that serve nothing; gives their IDs. Those of an agent before this one still serve in mode `psk`. */
  async takeStrays(found: FoundStock, options: AbortOptions): Promise<string[]> {
    const unloaded: string[] = []
    for (const { connection, keyId } of found.keys) {
      if (connection !== this.#name || keyId === STATIC_SECRET) continue
      if (this.#held.has(keyId) || this.#options.config.mode === 'psk') continue
      await this.#options.charon.unloadKey(this.#name, keyId, options)
      unloaded.push(keyId)
    }
    return unloaded
  }

  /** Gives charon a key, on top of the others, and remembers it until `drop`. The secret is the stock's from here on. */
  async hold(key: CharonKey, options: AbortOptions): Promise<void> {
    this.#held.delete(key.keyId)
    this.#held.set(key.keyId, key)
    await this.#options.charon.loadKey(key, options)
    const [oldest] = this.#held.keys()
    if (this.#held.size > MAX_HELD) await this.drop(oldest!)
  }

  /** Takes a key from charon and wipes it. That charon is gone is no matter: then so is the key. */
  async drop(keyId: string): Promise<void> {
    const { charon, logger } = this.#options
    const key = this.#held.get(keyId)
    this.#held.delete(keyId)
    key?.secret.wipe()
    await charon.unloadKey(this.#name, keyId).catch(error => {
      logger.debug({ connection: this.#name, keyId, reason: reasonOf(error) }, 'a key was not unloaded')
    })
  }

  /** Takes every other key of the connection from charon, those of an agent before this one too. */
  async dropAllBut(keyId: string): Promise<void> {
    const loaded = (await this.#options.charon.keys()).filter(({ connection }) => connection === this.#name)
    for (const key of new Set([...this.#held.keys(), ...loaded.map(each => each.keyId)])) {
      if (key !== keyId && key !== STATIC_SECRET) await this.drop(key)
    }
  }

  /** Takes every key from charon but the static secret. */
  async dropAll(): Promise<void> {
    for (const keyId of [...this.#held.keys()]) await this.drop(keyId)
  }

  /** Wipes what is held here; charon keeps what it has. */
  wipe(): void {
    for (const { secret } of this.#held.values()) secret.wipe()
    this.#held.clear()
  }

  async #loadStaticSecret(options: AbortOptions): Promise<void> {
    const { config, charon } = this.#options
    const { secretFile, local, remote } = config
    if (secretFile === undefined) return
    using secret = await readStaticSecret(secretFile)
    const owners = [local.id, remote.id]
    await charon.loadKey({ connection: this.#name, keyId: STATIC_SECRET, type: 'ike', owners, secret }, options)
  }
}

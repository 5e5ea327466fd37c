import type { AbortOptions, Kms, Logger, Telemetry } from '../../../lib/index.ts'
import type { IpsecConnectionConfig } from '../agent-config.ts'
import type { IpsecAgentEvent, RotationTimes } from '../agent-event.ts'
import type { IpsecAlarm, IpsecConnectionStatus, IpsecLinkState } from '../agent-status.ts'
import type { Alarms } from '../alarms.ts'
import type { Charon, CharonKey } from '../charon/charon.ts'
import { ppkId } from '../charon/names.ts'
import type { SaNews } from '../charon/sa-watch.ts'
import { TrafficMeter } from '../charon/traffic-meter.ts'
import type { ListedSa } from '../vici/commands.ts'
import { CharonStock, type FoundStock } from './charon-stock.ts'
import type { LinkStore } from './link-record.ts'
import { reasonOf } from './rotation-fault.ts'

/** What all connections of an agent have in common. */
export interface LinkContext {
  readonly kms: Kms
  readonly charon: Charon
  readonly alarms: Alarms
  readonly emit: (event: IpsecAgentEvent) => void
  readonly telemetry: Telemetry | undefined
  readonly logger: Logger
  readonly now: () => number
}

/** What charon was found to have. */
export interface CharonInventory extends FoundStock {
  readonly sas: readonly ListedSa[]
}

/** What a connection had to be given again, and what was taken away. */
export interface LinkRepair {
  readonly provisioned: boolean
  readonly unloaded: readonly string[]
}

/** The key in use, and the IKE_SA that stands on it. */
interface CurrentKey {
  readonly keyId: string | undefined
  readonly uniqueId: string | undefined
  readonly sinceMs: number
}

/** One IKE connection: what charon must have for it, what it stands on, and what became of its rotations. */
export abstract class Link {
  readonly config: IpsecConnectionConfig
  readonly context: LinkContext
  readonly store: LinkStore
  readonly meter = new TrafficMeter()
  /** What charon must have for it. */
  readonly stock: CharonStock
  state: IpsecLinkState = 'idle'
  #current: CurrentKey | undefined
  #rotations = 0
  #failures = 0
  #failuresInARow = 0
  #lastFailure: string | undefined

  constructor(config: IpsecConnectionConfig, store: LinkStore, context: LinkContext) {
    this.config = config
    this.store = store
    this.context = context
    const { charon, logger } = context
    this.stock = new CharonStock({ config, charon, logger, variant: () => this.restingVariant() })
  }

  abstract get peerConnected(): boolean
  /** When the next rotation is due by schedule, wall clock; undefined where it is not for this end to say. */
  abstract get nextRotationMs(): number | undefined
  /** Meets the peer for the first time, as far as there is one to meet. */
  abstract start(options: Required<AbortOptions>): Promise<void>
  abstract close(options: AbortOptions): Promise<void>
  /** Brings a new key into use, or has the other end do so. */
  abstract rotate(options: AbortOptions): Promise<void>
  /** The connection as it is loaded while no rotation is under way. */
  abstract restingVariant(): { ppkId?: string; generation?: number }
  /** charon is there and has what it must have. */
  onCharon(): void {}
  /** Nothing is up: a rotation is due. */
  abstract onDown(reason: string): void

  /** Reads what an agent before this one has left. */
  async open(): Promise<void> {
    await this.store.open()
  }

  /** The key in use, as far as this agent knows. */
  get current(): CurrentKey | undefined {
    return this.#current
  }

  get name(): string {
    return this.config.name
  }

  /** Gives a charon what it must have, when it was met a moment ago. */
  async provision({ signal }: Required<AbortOptions>): Promise<void> {
    const { charon } = this.context
    await this.stock.provide({ signal })
    const sas = await charon.sas(this.name, { signal })
    for (const sa of sas) if (sa.state === 'ESTABLISHED') charon.watch.seed(sa)
    this.#adopt(sas)
    if (this.#current?.uniqueId === undefined) this.onDown('charon has no IKE_SA of it')
    else if (sas.length > 1) this.onDown('nobody knows which of several IKE_SAs counts')
  }

  /** Before a rotation: an admin may have loaded a configuration of his own since the last look. */
  async ensureProvisioned(options: Required<AbortOptions>): Promise<void> {
    const { charon } = this.context
    const [connections, keys] = await Promise.all([charon.connections(this.name, options), charon.keys(options)])
    if (!(await this.stock.supply({ connections, keys }, options))) return
    this.context.emit({ type: 'provisioned', connection: this.name, reason: 'charon had lost it' })
  }

  /** Compares with what charon has, gives what is missing and takes what nobody uses. */
  async repair(found: CharonInventory, options: AbortOptions): Promise<LinkRepair> {
    // What a rotation needs it has looked after itself.
    const provisioned = this.state === 'idle' && (await this.stock.supply(found, options))
    const unloaded = await this.stock.takeStrays(found, options)
    await this.inspect(
      found.sas.filter(({ name }) => name === this.name),
      options,
    )
    return { provisioned, unloaded }
  }

  /** Hears what charon says of any connection. */
  hear(news: SaNews): void {
    if (news.type === 'up' && news.sa.name === this.name) void this.#guard(news.sa)
    if (news.type === 'down' && news.sa.name === this.name) this.#hearDown(news.sa)
    if (news.type === 'rekeyed' && news.connection === this.name && news.from === this.#current?.uniqueId) {
      this.#current = { ...this.#current, uniqueId: news.to }
    }
  }

  status(sas: readonly ListedSa[]): IpsecConnectionStatus {
    const { name, peer, mode, role } = this.config
    const { epoch, burned } = this.store.record
    return {
      name,
      peer,
      mode,
      role,
      state: this.state,
      peerConnected: this.peerConnected,
      epoch,
      keyId: this.#current?.keyId,
      ppkId: this.ppkIdOf(this.#current?.keyId),
      inUseSinceMs: this.#current?.sinceMs,
      nextRotationMs: this.nextRotationMs,
      rotations: this.#rotations,
      failures: this.#failures,
      lastFailure: this.#lastFailure,
      burnedKeyIds: burned,
      sas: sas
        .filter(sa => sa.name === name)
        .map(({ uniqueId, state, ppk, children }) => ({
          uniqueId,
          state,
          ppk,
          keyId: this.keyIdOf(this.context.charon.watch.seen(uniqueId)?.ppkId),
          children: children.map(({ reqId: _, uniqueId: __, ...child }) => child),
        })),
    }
  }

  /** The key that a PPK_ID of this connection names; undefined for one that never was. */
  keyIdOf(id: string | undefined): string | undefined {
    if (id === undefined) return undefined
    return this.store.record.used.find(keyId => this.ppkIdOf(keyId)?.toLowerCase() === id.toLowerCase())
  }

  /** What charon calls a key; undefined where it is no PPK. */
  ppkIdOf(keyId: string | undefined): string | undefined {
    return keyId === undefined || this.config.mode === 'psk' ? undefined : ppkId(this.name, keyId)
  }

  /** What charon must know of a key besides its bytes. */
  keyKind(keyId: string): Pick<CharonKey, 'type' | 'owners'> {
    const { mode, local, remote } = this.config
    const id = this.ppkIdOf(keyId)
    return mode === 'psk' || id === undefined
      ? { type: 'ike', owners: [local.id, remote.id] }
      : { type: 'ppk', owners: [id] }
  }

  /** A key is in use from now on. */
  inUse(keyId: string, uniqueId: string | undefined, { epoch, times }: { epoch: number; times?: RotationTimes }): void {
    const before = this.#current?.keyId
    this.#current = { keyId, uniqueId: this.#latest(uniqueId), sinceMs: this.context.now() }
    this.#rotations += 1
    this.meter.reset()
    const { name, config } = this
    this.#failuresInARow = 0
    this.measure()
    for (const id of ['rotation-failed', 'no-key-in-use', 'no-ppk', 'hard-expiry']) this.clear(id)
    this.context.telemetry?.emit({
      type: 'rotation',
      integration: 'strongswan',
      peer: config.peer,
      keyId,
      outcome: 'in-use',
    })
    if (before !== undefined && before !== keyId) {
      const retired = { integration: 'strongswan', peer: config.peer, keyId: before, outcome: 'retired' } as const
      this.context.telemetry?.emit({ type: 'rotation', ...retired })
    }
    this.context.emit({ type: 'rotated', connection: name, epoch, keyId, ppkId: this.ppkIdOf(keyId), uniqueId, times })
  }

  /** A rotation came to nothing. */
  failed(
    error: unknown,
    { epoch, burnedKeyId, retryInMs }: { epoch?: number; burnedKeyId?: string; retryInMs?: number },
  ): void {
    const reason = reasonOf(error)
    this.#failures += 1
    this.#failuresInARow += 1
    this.measure()
    this.#lastFailure = reason
    const { name, config } = this
    this.raise('rotation-failed', 'major', `No new key came into use: ${reason}`)
    this.context.telemetry?.emit({
      type: 'rotation',
      integration: 'strongswan',
      peer: config.peer,
      keyId: burnedKeyId ?? '',
      outcome: 'failed',
      reason,
    })
    this.context.emit({ type: 'rotation-failed', connection: name, epoch, burnedKeyId, reason, retryInMs })
  }

  /** Writes how its rotations go. */
  measure(): void {
    const { telemetry } = this.context
    const labels = { integration: 'strongswan', peer: this.config.peer, name: this.name }
    telemetry?.gauge('rotation_failures', labels, this.#failuresInARow)
    const sinceMs = this.#current?.sinceMs ?? this.store.record.committed?.sinceMs
    if (sinceMs !== undefined) telemetry?.gauge('rotation_key_since_ms', labels, sinceMs)
  }

  raise(id: string, severity: IpsecAlarm['severity'], text: string): void {
    this.context.alarms.raise({ id, connection: this.name, severity, text })
  }

  clear(id: string): void {
    this.context.alarms.clear({ id, connection: this.name })
  }

  /** Looks at the IKE_SAs from time to time. */
  async inspect(sas: readonly ListedSa[], { signal }: AbortOptions): Promise<void> {
    for (const sa of sas) if (sa.state === 'ESTABLISHED') await this.#guard(sa)
    this.meter.read(sas.filter(({ uniqueId }) => uniqueId === this.#current?.uniqueId))
    const { hardExpirySeconds } = this.config
    const sinceMs = this.#current?.sinceMs ?? this.store.record.committed?.sinceMs
    if (hardExpirySeconds === undefined || sas.length === 0 || this.state !== 'idle' || sinceMs === undefined) return
    if (this.context.now() - sinceMs < hardExpirySeconds * 1000) return
    this.raise('hard-expiry', 'critical', `Taken down: its key is older than ${hardExpirySeconds} s`)
    for (const { uniqueId } of sas) await this.#terminate(uniqueId, { signal })
  }

  /** Numbers of its IKE_SAs: those that charon lists, and those that it was busy with but has told of. */
  async uniqueIds(options: AbortOptions): Promise<string[]> {
    const listed = await this.context.charon.sas(this.name, options)
    return [...new Set([...this.context.charon.watch.live(this.name), ...listed.map(({ uniqueId }) => uniqueId)])]
  }

  /** Takes IKE_SAs down; that one is gone already is no error. */
  async terminateAll(uniqueIds: readonly string[], options: AbortOptions): Promise<void> {
    await Promise.all(uniqueIds.map(uniqueId => this.#terminate(uniqueId, options)))
  }

  /** An IKE_SA that was up before this agent, or that a rotation cut short has left up. */
  #adopt(sas: readonly ListedSa[]): void {
    const up = sas.filter(sa => sa.state === 'ESTABLISHED' && (sa.ppk || this.config.mode === 'psk'))
    const { committed } = this.store.record
    const sa = up.find(({ uniqueId }) => uniqueId === this.#current?.uniqueId) ?? up.at(-1)
    if (sa === undefined) {
      this.#current = undefined
      return
    }
    this.#current = {
      keyId: this.#current?.keyId ?? committed?.keyId,
      uniqueId: sa.uniqueId,
      sinceMs: this.#current?.sinceMs ?? committed?.sinceMs ?? this.context.now() - sa.establishedSeconds * 1000,
    }
  }

  /** No IKE_SA without a PPK is left up where there must be one. */
  async #guard(sa: ListedSa): Promise<void> {
    if (this.config.mode === 'psk' || sa.ppk) return
    this.raise('no-ppk', 'critical', `An IKE_SA came up without a PPK and was taken down: is ppk_required set?`)
    await this.#terminate(sa.uniqueId, {})
  }

  #hearDown({ uniqueId }: ListedSa): void {
    const current = this.#current
    if (current?.uniqueId === undefined) return
    const { watch } = this.context.charon
    if (watch.rootOf(uniqueId) !== watch.rootOf(current.uniqueId)) return
    this.#current = { ...current, uniqueId: undefined }
    if (this.state !== 'idle') return
    this.raise('no-key-in-use', 'major', 'The connection is down')
    this.onDown('the IKE_SA is down')
  }

  #latest(uniqueId: string | undefined): string | undefined {
    return uniqueId === undefined ? undefined : (this.context.charon.watch.seen(uniqueId)?.uniqueId ?? uniqueId)
  }

  async #terminate(uniqueId: string, options: AbortOptions): Promise<void> {
    try {
      await this.context.charon.terminate(uniqueId, options)
    } catch (error) {
      options.signal?.throwIfAborted()
      this.context.logger.debug({ connection: this.name, uniqueId, reason: reasonOf(error) }, 'an IKE_SA is not gone')
    }
  }
}

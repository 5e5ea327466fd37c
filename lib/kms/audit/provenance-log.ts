import type { AuditEntry, AuditLog } from '../../interface/audit.ts'
import type { Logger } from '../../interface/logger.ts'
import type { Qnl, QnlBlock } from '../../interface/qnl.ts'
import type { GaugeLabels, GaugeName, Telemetry, TelemetryEvent } from '../../interface/telemetry.ts'
import type { StoredWay } from '../pool/block-way.ts'

/** What provenance is written with. */
export interface ProvenanceLogOptions {
  readonly log: AuditLog
  readonly telemetry: Telemetry
  readonly logger: Logger
  /** How a live block of the pool with that site came. */
  readonly wayOf: (peerSiteId: string, block: bigint) => StoredWay | undefined
  /** The present epoch of the secret with that site. */
  readonly epochOf: (peerSiteId: string) => number | undefined
}

/**
 * Where the key of a site comes from, in its audit log: each block's way before the pool has it, and what becomes of the block.
 * What its keys are is in the lines of the decisions, which name their blocks. The pools write to it as to their telemetry.
 */
export class ProvenanceLog implements Telemetry {
  readonly #options: ProvenanceLogOptions

  constructor(options: ProvenanceLogOptions) {
    this.#options = options
  }

  emit(event: TelemetryEvent): void {
    this.#options.telemetry.emit(event)
    const entry = this.#entryOf(event)
    if (entry === undefined) return
    this.#options.log.record(entry).catch((error: Error) => {
      this.#options.logger.error({ event: event.type, err: error.message }, 'A block was not written to the audit log')
    })
  }

  gauge<N extends GaugeName>(name: N, labels: GaugeLabels[N], value: number): void {
    this.#options.telemetry.gauge(name, labels, value)
  }

  /** The network with each block's way written down before the block goes on; one that can't be written goes nowhere. */
  recording(qnl: Qnl): Qnl {
    return new Proxy(qnl, {
      get: (target, property) => {
        const value = Reflect.get(target, property, target)
        if (property === 'nextBlock')
          return async (...call: Parameters<Qnl['nextBlock']>) => this.#made(await qnl.nextBlock(...call))
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  async #made(block: QnlBlock): Promise<QnlBlock> {
    const { remoteSiteId: peerSiteId, number, trustClass, way } = block
    const entry = { event: 'block', outcome: 'made', peerSiteId, block: `${number}`, trustClass } as const
    try {
      await this.#options.log.record({ ...entry, ...(way && { way }) })
      return block
    } catch (error) {
      block.secret.wipe()
      throw error
    }
  }

  #entryOf(event: TelemetryEvent): AuditEntry | undefined {
    if (event.type === 'block') return this.#blockEntry(event)
    if (event.type === 'lease') {
      const { peerSiteId, block, from, to, side } = event
      return { event: 'lease', outcome: side, peerSiteId, block, cells: { from, to } }
    }
    if (event.type !== 'pool-reset') return undefined
    const { peerSiteId, reason } = event
    return { event: 'block', outcome: 'reset', peerSiteId, reason }
  }

  /** A reset has one line for all of its blocks. */
  #blockEntry({
    peerSiteId,
    block,
    to,
    row,
    reason,
  }: Extract<TelemetryEvent, { type: 'block' }>): AuditEntry | undefined {
    const { wayOf, epochOf } = this.#options
    if (row === 27) return undefined
    const common = { event: 'block', outcome: to, peerSiteId, block, ...(reason !== undefined && { reason }) } as const
    if (to !== 'received') return common
    const epoch = epochOf(peerSiteId)
    const { seed, ...way } = (row === 30 && wayOf(peerSiteId, BigInt(block))) || {}
    const origin = { ...(seed && { seed }), ...('shares' in way && { way }) }
    return { ...common, ...origin, ...(epoch !== undefined && { epoch }) }
  }
}

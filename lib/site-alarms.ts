import { AlarmDesk } from './alarms/alarm-desk.ts'
import { CommandSink } from './alarms/sinks/command-sink.ts'
import { SinkQueue } from './alarms/sinks/sink-queue.ts'
import { type SyslogAddress, SyslogSink } from './alarms/sinks/syslog-sink.ts'
import { WebhookSink } from './alarms/sinks/webhook-sink.ts'
import { type ConditionSettings, ThresholdWatch } from './alarms/threshold-watch.ts'
import type { AlarmSinkConfig, AlarmsConfig } from './config/alarms-config.ts'
import type { SiteConfig } from './config/site-config.ts'
import type { AlarmSink, Alarms } from './interface/alarm.ts'
import type { AuditLog } from './interface/audit.ts'
import type { Closable } from './interface/lifecycle.ts'
import type { Logger } from './interface/logger.ts'
import { reportCertificates } from './metrics/certificate-dates.ts'
import type { TelemetryHub } from './telemetry.ts'
import { debugLogger } from './util/debug-logger.ts'
import { Opened } from './util/opened.ts'

/** What the alarms of a site are made from. */
export interface SiteAlarmsParts {
  readonly telemetry: TelemetryHub
  readonly audit: AuditLog | undefined
  /** Name of the key encryption key in use, where the store has one. */
  readonly kekName: (() => string) | undefined
  readonly logger: Logger | undefined
}

/** The alarms of a site, with what they are found by and where they go. */
export interface SiteAlarms extends Alarms, Closable {}

/** How often what nobody reports by itself is looked at, in milliseconds. */
const LOOK_EVERY_MS = 1_000

/**
 * Begins to watch a site: thresholds, alarms, sinks. Close it after the layers, so that their last alarms are kept.
 * @throws {StoreError} the file of the alarms is damaged
 */
export async function openSiteAlarms(
  config: SiteConfig,
  { telemetry, audit, kekName, logger = debugLogger('alarms') }: SiteAlarmsParts,
): Promise<SiteAlarms> {
  const { file, clearAfterMs, conditions = {}, sinks = [] }: AlarmsConfig = config.alarms ?? {}
  const opened = new Opened('alarms')
  const queues = sinks.map(sink => {
    const { timeoutMs } = sink
    return opened.add(new SinkQueue({ sink: createSink(sink), telemetry, logger, ...(timeoutMs && { timeoutMs }) }))
  })
  const hold = clearAfterMs === undefined ? {} : { clearAfterMs }
  const desk = opened.add(await AlarmDesk.open({ telemetry, audit, file, logger, ...hold }))
  telemetry.subscribe(event => {
    if (event.type !== 'alarm-state') return
    const alarm = desk.list().find(({ id, state }) => id === event.id && state === event.state)
    if (alarm !== undefined) for (const queue of queues) queue.take({ ...alarm, siteId: config.siteId })
  })
  reportCertificates(telemetry, certificatesOf(config))
  opened.add(new ThresholdWatch({ telemetry, settings: settingsOf(conditions) }))
  opened.add(watchKek({ telemetry, audit, kekName, logger }))
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= opened.close()
    return closing
  }
  return {
    list: () => desk.list(),
    acknowledge: (id, by, options) => desk.acknowledge(id, by, options),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function createSink(config: AlarmSinkConfig): AlarmSink {
  const { kind, name = kind } = config
  if (kind === 'webhook') return new WebhookSink({ ...config, name })
  if (kind === 'command') return new CommandSink({ name, argv: config.argv })
  const { facility, kind: _, name: __, timeoutMs: ___, ...address } = config
  return new SyslogSink({ name, address: address as SyslogAddress, ...(facility !== undefined && { facility }) })
}

function settingsOf(conditions: NonNullable<AlarmsConfig['conditions']>): ConditionSettings {
  const entries = Object.entries(conditions).map(([name, { off, ...limits }]) => [name, off === true ? false : limits])
  return Object.fromEntries(entries)
}

/** Says which key encryption key is in use, and writes down when another one is. */
function watchKek({ telemetry, audit, kekName, logger }: SiteAlarmsParts & { logger: Logger }): Closable {
  let last = kekName?.()
  const look = () => {
    if (kekName === undefined) return
    const name = kekName()
    telemetry.gauge('store_kek_version', {}, Number.parseInt(name, 16))
    if (name === last) return
    const reason = `Key encryption key ${name} in the place of ${last}`
    last = name
    audit?.record({ event: 'rekey', outcome: 'allowed', reason }).catch((error: Error) => {
      logger.error({ reason: error.message }, 'A change of the key encryption key was not written to the audit log')
    })
  }
  look()
  const timer = kekName === undefined ? undefined : setInterval(look, LOOK_EVERY_MS).unref()
  const close = async () => clearInterval(timer)
  return { close, [Symbol.asyncDispose]: close }
}

/** Every certificate that this site shows or trusts, by what it is for. */
function certificatesOf({ tls, mlDsa, border, links }: SiteConfig): Record<string, string> {
  const named: Record<string, string> = { tls: tls.cert, 'tls-ca': tls.ca }
  if (mlDsa !== undefined) Object.assign(named, { 'ml-dsa': mlDsa.cert, 'ml-dsa-ca': mlDsa.ca })
  if (border?.tls !== undefined) Object.assign(named, { border: border.tls.cert, 'border-ca': border.tls.ca })
  for (const link of links) {
    if (!('device' in link) || link.device === undefined) continue
    const { cert, ca } = link.device.tls
    Object.assign(named, { [`device-${link.linkId}`]: cert, [`device-${link.linkId}-ca`]: ca })
  }
  return named
}

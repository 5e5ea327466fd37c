import type { ConditionName } from '../interface/alarm.ts'
import type { JsonSchema } from '../util/json-schema.ts'
import { integer, list, objectSchema, text } from './schema-parts.ts'

/** Names of what a site watches its gauges for. */
export const CONDITION_NAMES = [
  'pool-low',
  'link-down',
  'link-qber-high',
  'store-asynchronous',
  'audit-blocked',
  'clock-skew',
  'certificate-expiring',
  'kvno-near-end',
  'rotation-failing',
] as const satisfies readonly ConditionName[]

/** Changed thresholds of a condition; each that is missing stays as shipped. */
export interface ConditionConfig {
  readonly raise?: number
  readonly clear?: number
  readonly raiseAfterMs?: number
  readonly clearAfterMs?: number
  /** True where it is not watched. */
  readonly off?: boolean
}

interface SinkCommon {
  /** What metrics and log call it. Default its kind and its place in the list. */
  readonly name?: string
  /** For one try, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number
}

/** Where alarms go, files read. */
export type AlarmSinkConfig = SinkCommon &
  (
    | { readonly kind: 'webhook'; readonly url: string; readonly ca?: string; readonly secret?: Buffer }
    | {
        readonly kind: 'syslog'
        readonly transport: 'udp' | 'tcp'
        readonly host: string
        readonly port: number
        readonly facility?: number
      }
    | {
        readonly kind: 'syslog'
        readonly transport: 'tls'
        readonly host: string
        readonly port: number
        readonly ca: string
        readonly facility?: number
      }
    | { readonly kind: 'syslog'; readonly transport: 'unix'; readonly path: string; readonly facility?: number }
    | { readonly kind: 'command'; readonly argv: readonly [string, ...string[]] }
  )

/** What becomes of alarms. */
export interface AlarmsConfig {
  /** Where they are kept over a restart. Default nowhere. */
  readonly file?: string
  /** How long a cause must be gone before its alarm is cleared, in milliseconds. Default 5,000. */
  readonly clearAfterMs?: number
  readonly conditions?: Readonly<Partial<Record<ConditionName, ConditionConfig>>>
  readonly sinks?: readonly AlarmSinkConfig[]
}

/** A sink as it stands in a file. */
export interface AlarmSinkFile extends SinkCommon {
  readonly kind: 'webhook' | 'syslog' | 'command'
  readonly url?: string
  readonly ca?: string
  readonly secretFile?: string
  readonly transport?: 'udp' | 'tcp' | 'tls' | 'unix'
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly facility?: number
  readonly argv?: readonly string[]
}

/** The same as it stands in a file. */
export interface AlarmsConfigFile extends Omit<AlarmsConfig, 'sinks'> {
  readonly sinks?: readonly AlarmSinkFile[]
}

const threshold = (description: string): JsonSchema => ({ type: 'number', description })

const condition: JsonSchema = objectSchema(
  'Thresholds of one condition; what is missing stays as shipped (docs/operator.md)',
  {
    raise: threshold('At and beyond it the alarm is raised'),
    clear: threshold('At and short of it the alarm is cleared; below raise'),
    raiseAfterMs: integer('For how long without a break, ms', 0, 86_400_000),
    clearAfterMs: integer('The same before it is cleared, ms', 0, 86_400_000),
    off: { type: 'boolean', description: 'True: it is not watched' },
  },
  ['raise', 'clear', 'raiseAfterMs', 'clearAfterMs', 'off'],
)

const sink: JsonSchema = objectSchema(
  'One way on which alarms leave the site',
  {
    kind: {
      enum: ['webhook', 'syslog', 'command'],
      description: 'What it is; which fields go with it, says each field',
    },
    name: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,64}$', description: 'What metrics and log call it' },
    timeoutMs: integer('For one try, ms', 100, 600_000, 10_000),
    url: {
      type: 'string',
      pattern: '^https://',
      description: 'webhook: where notices are posted; begins with https://',
    },
    ca: text('webhook, syslog by tls: authority of the receiver (PEM), relative to this file'),
    secretFile: text('webhook: file (mode 0600) whose content signs each notice, relative to this file'),
    transport: { enum: ['udp', 'tcp', 'tls', 'unix'], description: 'syslog: how it is reached' },
    host: text('syslog: address or name of the receiver'),
    port: integer('syslog: its port', 1, 65_535),
    path: text('syslog by unix: path of its stream socket'),
    facility: integer('syslog: facility; 16 is local0', 0, 23, 16),
    argv: {
      ...list(
        'command: absolute path of a program, and its arguments; no shell reads them',
        text('Program or argument'),
        64,
      ),
      minItems: 1,
    },
  },
  ['name', 'timeoutMs', 'url', 'ca', 'secretFile', 'transport', 'host', 'port', 'path', 'facility', 'argv'],
)

/** Alarms of a site, as JSON Schema. */
export const alarmsSchema: JsonSchema = objectSchema(
  'What becomes of alarms',
  {
    file: text('Where alarms are kept over a restart, relative to this file'),
    clearAfterMs: integer('How long a cause must be gone before its alarm is cleared, ms', 0, 3_600_000, 5_000),
    conditions: objectSchema(
      'Thresholds that differ from those shipped',
      Object.fromEntries(CONDITION_NAMES.map(name => [name, condition])),
      CONDITION_NAMES,
    ),
    sinks: list('Where alarms go', sink, 16),
  },
  ['file', 'clearAfterMs', 'conditions', 'sinks'],
)

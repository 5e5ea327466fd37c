import type { QkdErrorCode } from '../errors.ts'
import type { TrustClass } from '../interface/kms.ts'
import type { BlockWay, Demand, DemandGrant, QnlEvent, QnlStatus } from '../interface/qnl.ts'
import { compileSchema, type JsonSchema, type SchemaCheck } from '../util/json-schema.ts'

/** Version of the messages, told in `hello`. */
export const QNL_WIRE_VERSION = 2

/** What a client asks, one method of `Qnl` each. */
export type QnlCall =
  | { op: 'remoteSiteIds' }
  | { op: 'status' }
  | { op: 'setDemand'; remoteSiteId: string; demand: Demand }
  | { op: 'nextBlock'; remoteSiteId: string; after: string }

/** What comes back from each method but `nextBlock`. */
export interface QnlAnswers {
  remoteSiteIds: readonly string[]
  status: QnlStatus
  setDemand: DemandGrant
}

/** The head of each message: everything but key bytes. Block numbers are decimal, as JSON has no 64-bit integers. */
export interface QnlHeads {
  /** First from the serving end. */
  hello: { version: number; siteId: string }
  call: QnlCall
  /** The client has no more use for the answer; it may come all the same. */
  cancel: Record<string, never>
  /** Answers a cancelled call that consumed nothing. */
  cancelled: Record<string, never>
  answer: { value: unknown }
  /** Answers `nextBlock`; the only message with key bytes. */
  block: { remoteSiteId: string; number: string; trustClass: TrustClass; relays: readonly string[]; way?: BlockWay }
  failure: { code: QkdErrorCode; message: string; details: Record<string, unknown>[]; retryAfterMs?: number }
  event: QnlEvent
}

const siteId: JsonSchema = { type: 'string', minLength: 1, maxLength: 128 }
const number: JsonSchema = { type: 'string', pattern: '^(0|[1-9][0-9]{0,18})$' }
const rateBps: JsonSchema = { type: 'number', minimum: 0 }
const bits: JsonSchema = { type: 'number', minimum: 0 }
const text: JsonSchema = { type: 'string' }
const empty = record({})

const demand = record(
  {
    rateBps,
    weight: { type: 'number', exclusiveMinimum: 0 },
    kind: { enum: ['continuous', 'on-demand'] },
    mode: { enum: ['single', 'multipath', 'split'] },
    deadlineMs: { type: 'integer', minimum: 1 },
    shares: { type: 'integer', minimum: 2, maximum: 8 },
    pool: record({ stockBits: bits, targetBits: bits }),
  },
  ['deadlineMs', 'shares', 'pool'],
)

const linkStatus = record(
  {
    linkId: text,
    localSiteId: siteId,
    remoteSiteId: siteId,
    kind: { enum: ['simulated', 'fibre', 'free-space', 'satellite', 'device', 'post-quantum'] },
    secrecy: { enum: ['quantum', 'computational', 'none'] },
    simulated: { type: 'boolean' },
    state: { enum: ['up', 'degraded', 'down'] },
    reason: text,
    rateBps,
    qber: { type: 'number', minimum: 0, maximum: 1 },
    bufferedBits: { type: 'number', minimum: 0 },
    blockSizeBytes: { type: 'integer', minimum: 1 },
  },
  ['reason', 'qber'],
)

const way = record({
  shares: { ...list(list(list(siteId))), minItems: 1 },
  links: list(
    record(
      {
        linkId: text,
        siteIds: { ...list(siteId), minItems: 2, maxItems: 2 },
        secrecy: { enum: ['quantum', 'computational', 'none'] },
        simulated: { type: 'boolean' },
        qber: { type: 'number', minimum: 0, maximum: 1 },
      },
      ['qber'],
    ),
  ),
  sinceMs: { type: 'number', minimum: 0 },
  untilMs: { type: 'number', minimum: 0 },
})

const answers: Record<keyof QnlAnswers, JsonSchema> = {
  remoteSiteIds: list(siteId),
  setDemand: record({ rateBps, epoch: { type: 'integer', minimum: 0 } }),
  status: record({
    siteId,
    epoch: { type: 'integer', minimum: 0 },
    links: list(linkStatus),
    demands: list(record({ remoteSiteId: siteId, askedBps: rateBps, grantedBps: rateBps })),
  }),
}

const heads: Record<keyof QnlHeads, JsonSchema> = {
  hello: record({ version: { type: 'integer' }, siteId }),
  call: {
    oneOf: [
      record({ op: { const: 'remoteSiteIds' } }),
      record({ op: { const: 'status' } }),
      record({ op: { const: 'setDemand' }, remoteSiteId: siteId, demand }),
      record({ op: { const: 'nextBlock' }, remoteSiteId: siteId, after: number }),
    ],
  },
  cancel: empty,
  cancelled: empty,
  answer: record({ value: {} }),
  block: record(
    {
      remoteSiteId: siteId,
      number,
      trustClass: { enum: ['direct', 'split', 'relayed', 'post-quantum'] },
      relays: list(siteId),
      way,
    },
    ['way'],
  ),
  failure: record({ code: text, message: text, details: list({ type: 'object' }), retryAfterMs: { type: 'number' } }, [
    'retryAfterMs',
  ]),
  event: {
    oneOf: [
      record({ type: { const: 'link-down' }, linkId: text, remoteSiteId: siteId, reason: text }),
      record({ type: { const: 'rate-drop' }, remoteSiteId: siteId, rateBps, wasBps: rateBps }),
      record(
        { type: { const: 'pair-unserved' }, remoteSiteId: siteId, reason: text, exhaustionMs: { type: 'number' } },
        ['exhaustionMs'],
      ),
      record({ type: { const: 'restored' }, remoteSiteId: siteId, rateBps }),
    ],
  },
}

type Checks<T> = { readonly [K in keyof T]: SchemaCheck<T[K]> }

/** Holds the head of a message against what its type allows. */
export const headChecks = compileAll<QnlHeads>(heads)
/** Holds an answer against what its call may bring. */
export const answerChecks = compileAll<QnlAnswers>(answers)

function compileAll<T>(schemas: Record<keyof T, JsonSchema>): Checks<T> {
  const entries = Object.entries<JsonSchema>(schemas).map(([name, schema]) => [name, compileSchema(schema)])
  return Object.fromEntries(entries)
}

/** An object with these fields and no others; all but the optional ones must be there. */
function record(properties: Record<string, JsonSchema>, optional: readonly string[] = []): JsonSchema {
  const required = Object.keys(properties).filter(name => !optional.includes(name))
  return { type: 'object', properties, required, additionalProperties: false }
}

function list(items: JsonSchema): JsonSchema {
  return { type: 'array', items, maxItems: 10_000 }
}

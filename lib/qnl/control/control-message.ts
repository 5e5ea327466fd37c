import { ProtocolError, type QkdErrorCode } from '../../errors.ts'
import type { DrainTarget, NetworkEvent, NetworkStatus } from '../../interface/network-controller.ts'
import type { NodePlan, NodeReport } from '../../interface/network-node.ts'
import { compileSchema, describeFaults, type JsonSchema } from '../../util/json-schema.ts'

/** Version of the messages below; both ends must speak the same. */
export const CONTROL_WIRE_VERSION = 1

/** A call to a controller, and what it takes. */
export type ControlCall =
  | { readonly op: 'status' }
  | { readonly op: 'drain'; readonly target: DrainTarget; readonly fillMs: number }
  | { readonly op: 'restore'; readonly target: DrainTarget }

/** Everything that a node, or who watches the network, says to a controller. */
export type ToController =
  | { readonly type: 'join'; readonly siteId: string }
  | { readonly type: 'leave'; readonly siteId: string }
  | { readonly type: 'report'; readonly report: NodeReport }
  | { readonly type: 'call'; readonly id: number; readonly call: ControlCall }

/** Everything that a controller says. */
export type FromController =
  | { readonly type: 'hello'; readonly version: number; readonly controllerId: string }
  | { readonly type: 'plan'; readonly plan: NodePlan }
  | { readonly type: 'answer'; readonly id: number; readonly value: NetworkStatus | readonly string[] }
  | { readonly type: 'failure'; readonly id: number; readonly code: QkdErrorCode; readonly message: string }
  | { readonly type: 'event'; readonly event: NetworkEvent }

const name: JsonSchema = { type: 'string', minLength: 1, maxLength: 128 }
const rateBps: JsonSchema = { type: 'number', minimum: 0, maximum: 1e15 }
const bits: JsonSchema = { type: 'number', minimum: 0, maximum: 1e15 }
const weight: JsonSchema = { type: 'number', exclusiveMinimum: 0, maximum: 1e6 }
const mode: JsonSchema = { enum: ['single', 'multipath', 'split'] }
const epoch: JsonSchema = { type: 'integer', minimum: 0, maximum: 2 ** 53 - 1 }
const id: JsonSchema = { type: 'integer', minimum: 1, maximum: 2 ** 32 }
const linkState: JsonSchema = { enum: ['up', 'degraded', 'down'] }

const demand = record(
  {
    rateBps,
    weight,
    kind: { enum: ['continuous', 'on-demand'] },
    mode,
    deadlineMs: { type: 'integer', minimum: 1 },
    shares: { type: 'integer', minimum: 2, maximum: 8 },
    pool: record({ stockBits: bits, targetBits: bits }),
  },
  ['deadlineMs', 'shares', 'pool'],
)
const report = record({
  siteId: name,
  epoch,
  links: list(
    record({
      linkId: name,
      remoteSiteId: name,
      state: linkState,
      secrecy: { enum: ['quantum', 'computational', 'none'] },
      rateBps,
      stockBits: { type: 'number', minimum: 0 },
    }),
    256,
  ),
  demands: list(record({ remoteSiteId: name, demand }), 1024),
})
const target: JsonSchema = { oneOf: [record({ linkId: name }), record({ siteId: name })] }
const plan = record({
  epoch,
  gap: { type: 'number', minimum: 0, maximum: 1 },
  demands: list(
    record(
      {
        remoteSiteId: name,
        mode,
        weight,
        rateBps,
        reason: { type: 'string', maxLength: 400 },
        paths: list(
          record(
            { sites: list(name, 1000), linkIds: list(name, 1000), rateBps, set: { type: 'integer', minimum: 0 } },
            ['set'],
          ),
          1000,
        ),
      },
      ['reason'],
    ),
    10_000,
  ),
})

const checkUp = compileSchema<ToController>({
  oneOf: [
    record({ type: { const: 'join' }, siteId: name }),
    record({ type: { const: 'leave' }, siteId: name }),
    record({ type: { const: 'report' }, report }),
    record({
      type: { const: 'call' },
      id,
      call: {
        oneOf: [
          record({ op: { const: 'status' } }),
          record({ op: { const: 'drain' }, target, fillMs: { type: 'integer', minimum: 0, maximum: 86_400_000 } }),
          record({ op: { const: 'restore' }, target }),
        ],
      },
    }),
  ],
})

// Status and events are for people to read; their fields are the controller's word, as its plans are.
const checkDown = compileSchema<FromController>({
  oneOf: [
    record({ type: { const: 'hello' }, version: { type: 'integer' }, controllerId: name }),
    record({ type: { const: 'plan' }, plan }),
    record({ type: { const: 'answer' }, id, value: { type: ['object', 'array'] } }),
    record({ type: { const: 'failure' }, id, code: { type: 'string' }, message: { type: 'string' } }),
    record({ type: { const: 'event' }, event: { type: 'object' } }),
  ],
})

const checkPlan = compileSchema<NodePlan>(plan)

/** True for a plan as it may come from a controller, or out of a file. */
export function isNodePlan(value: unknown): value is NodePlan {
  return checkPlan(value).ok
}

/** The message as JSON in UTF-8. */
export function encodeControl(message: ToController | FromController): Uint8Array {
  return Buffer.from(JSON.stringify(message), 'utf8')
}

/** @throws {ProtocolError} not a message that a node may send */
export function decodeToController(bytes: Uint8Array): ToController {
  const checked = checkUp(parse(bytes))
  if (checked.ok) return checked.value
  throw new ProtocolError(`A message to the controller is wrong: ${describeFaults(checked.faults.slice(0, 3))}`)
}

/** @throws {ProtocolError} not a message that a controller may send */
export function decodeFromController(bytes: Uint8Array): FromController {
  const checked = checkDown(parse(bytes))
  if (checked.ok) return checked.value
  throw new ProtocolError(`A message of the controller is wrong: ${describeFaults(checked.faults.slice(0, 3))}`)
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (error) {
    throw new ProtocolError(`A message is not JSON: ${(error as Error).message}`)
  }
}

function record(properties: Record<string, JsonSchema>, optional: readonly string[] = []): JsonSchema {
  const required = Object.keys(properties).filter(field => !optional.includes(field))
  return { type: 'object', properties, required, additionalProperties: false }
}

function list(items: JsonSchema, maxItems: number): JsonSchema {
  return { type: 'array', items, maxItems }
}

import { ConfigError } from '../errors.ts'
import type { NetworkFile } from '../qnl/planner/network.ts'
import { compileSchema, describeFaults, type JsonSchema, type SchemaFault } from '../util/json-schema.ts'

/** Something that happens to the network at a moment of the trace. */
export type TraceEvent = { readonly atS: number } & (
  | { readonly link: string; readonly state: 'up' | 'down' }
  | { readonly link: string; readonly rateBps: number }
  | { readonly demand: string; readonly rateBps: number }
)

/** What happens while a network is simulated. */
export interface NetworkTrace {
  /** How long it goes on, in seconds of virtual time, up to 31 days. */
  readonly durationS: number
  /** Virtual time between two looks of each pool at its demand, in seconds, 1 to 3,600. Default 60. */
  readonly stepS: number
  /** Virtual time between two plans while nothing breaks, in seconds, a multiple of `stepS`. Default 900. */
  readonly planS: number
  /** Of the random numbers: the same trace runs the same way each time. Default 1. */
  readonly seed: number
  /** Demand swings by this share over each day, highest at 15:00: 0 to 1. Default 0.5. */
  readonly daily: number
  /** The yield of each link trembles by this share from step to step, 0 to 1. Default 0.05. */
  readonly tremble: number
  readonly events: readonly TraceEvent[]
}

const name: JsonSchema = { type: 'string', minLength: 1, maxLength: 200 }
const atS: JsonSchema = { type: 'number', minimum: 0, maximum: 2_678_400 }
const rateBps: JsonSchema = { type: 'number', minimum: 0, maximum: 1e15 }
const share = (fallback: number): JsonSchema => ({ type: 'number', minimum: 0, maximum: 1, default: fallback })

const check = compileSchema<NetworkTrace>({
  type: 'object',
  required: ['durationS'],
  additionalProperties: false,
  properties: {
    durationS: { type: 'number', minimum: 1, maximum: 2_678_400 },
    stepS: { type: 'number', minimum: 1, maximum: 3600, default: 60 },
    planS: { type: 'number', minimum: 1, maximum: 86_400, default: 900 },
    seed: { type: 'integer', minimum: 0, maximum: 2 ** 31, default: 1 },
    daily: share(0.5),
    tremble: share(0.05),
    events: {
      type: 'array',
      maxItems: 100_000,
      default: [],
      items: {
        type: 'object',
        required: ['atS'],
        additionalProperties: false,
        properties: { atS, link: name, demand: name, state: { enum: ['up', 'down'] }, rateBps },
      },
    },
  },
})

/**
 * `value` (parsed JSON) as a trace for the network `file`, with its defaults.
 * @throws {ConfigError} it is not one; the message has the path of each bad field and what to do about it
 */
export function parseNetworkTrace(value: unknown, file: NetworkFile): NetworkTrace {
  const checked = check(structuredClone(value))
  const faults = checked.ok ? findFaults(checked.value, file) : checked.faults
  if (checked.ok && faults.length === 0) {
    return { ...checked.value, events: checked.value.events.toSorted((p, q) => p.atS - q.atS) }
  }
  throw new ConfigError(`Trace: ${describeFaults(faults.slice(0, 20))}`, {
    details: faults.slice(0, 20).map(fault => ({ ...fault })),
  })
}

function findFaults({ events, planS, stepS }: NetworkTrace, { links, demands }: NetworkFile): SchemaFault[] {
  const known = { link: new Set(links.map(({ id }) => id)), demand: new Set(demands.map(({ id }) => id)) }
  const faults: SchemaFault[] = []
  if (planS < stepS) faults.push({ path: '/planS', message: `must be at least stepS (${stepS})` })
  for (const [index, event] of events.entries()) {
    const path = `/events/${index}`
    const fields = ['link', 'demand', 'state', 'rateBps']
      .filter(field => field in event)
      .sort()
      .join(' ')
    if (!['link state', 'link rateBps', 'demand rateBps'].includes(fields)) {
      faults.push({ path, message: 'needs "link" with "state" or "rateBps", or "demand" with "rateBps"' })
      continue
    }
    const kind = 'link' in event ? 'link' : 'demand'
    const id = 'link' in event ? event.link : event.demand
    if (!known[kind].has(id)) faults.push({ path: `${path}/${kind}`, message: `the network has no ${kind} "${id}"` })
  }
  return faults
}

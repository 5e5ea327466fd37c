import { ConfigError } from '../../errors.ts'
import { compileSchema, describeFaults, type JsonSchema, type SchemaFault } from '../../util/json-schema.ts'
import { indexById } from './graph.ts'
import { MOST_DEADLINE_MS, type NetworkFile, RATES, WEIGHTS } from './network.ts'

/** Room for a pair of two site IDs. */
const id = { type: 'string', minLength: 1, maxLength: 300 }
const rateBps = { type: 'number', minimum: 0, maximum: RATES.most }

/** Schema of a network file; the types of `network.ts` say what the fields mean. */
const networkFileSchema: JsonSchema = {
  type: 'object',
  required: ['nodes', 'links', 'demands'],
  additionalProperties: false,
  properties: {
    nodes: {
      type: 'array',
      maxItems: 10_000,
      items: {
        type: 'object',
        required: ['id'],
        additionalProperties: false,
        properties: { id, modules: { type: 'integer', minimum: 0, maximum: 1e6 } },
      },
    },
    links: {
      type: 'array',
      maxItems: 100_000,
      items: {
        type: 'object',
        required: ['id', 'a', 'b', 'rateBps'],
        additionalProperties: false,
        properties: { id, a: id, b: id, rateBps },
      },
    },
    demands: {
      type: 'array',
      maxItems: 100_000,
      items: {
        type: 'object',
        required: ['id', 'a', 'b', 'rateBps'],
        additionalProperties: false,
        properties: {
          id,
          a: id,
          b: id,
          rateBps,
          weight: { type: 'number', minimum: WEIGHTS.least, maximum: WEIGHTS.most },
          mode: { enum: ['single', 'multipath', 'split'] },
          shares: { type: 'integer', minimum: 2, maximum: 8 },
          limitBps: { type: 'number', minimum: RATES.least, maximum: RATES.most },
          priority: { type: 'integer', minimum: -100, maximum: 100 },
          deadlineMs: { type: 'number', exclusiveMinimum: 0, maximum: MOST_DEADLINE_MS },
        },
      },
    },
  },
}

const checkSchema = compileSchema<NetworkFile>(networkFileSchema)
/** More faults than these are not listed: the first ones say enough. */
const MAX_FAULTS = 20

/**
 * `value` (parsed JSON) as a network file.
 * @throws {ConfigError} it is not one; the message has the path of each bad field and what to do about it
 */
export function parseNetworkFile(value: unknown): NetworkFile {
  const checked = checkSchema(value)
  const faults = checked.ok ? findFaults(checked.value) : checked.faults
  if (checked.ok && faults.length === 0) return checked.value
  const more = faults.length > MAX_FAULTS ? `; and ${faults.length - MAX_FAULTS} more` : ''
  throw new ConfigError(`Network file: ${describeFaults(faults.slice(0, MAX_FAULTS))}${more}`, {
    details: faults.slice(0, MAX_FAULTS).map(fault => ({ path: fault.path, message: fault.message })),
  })
}

/** What a schema cannot say: ids are unique, ends exist and differ, fields belong to the mode. */
function findFaults({ nodes, links, demands }: NetworkFile): SchemaFault[] {
  const known = indexById(nodes)
  return [
    ...findDuplicates('nodes', nodes),
    ...findDuplicates('links', links),
    ...findDuplicates('demands', demands),
    ...findTinyRates('links', links),
    ...findTinyRates('demands', demands),
    ...findBadEnds('links', links, known),
    ...findBadEnds('demands', demands, known),
    ...demands.flatMap(({ shares, mode }, index) =>
      shares !== undefined && mode !== 'split'
        ? [{ path: `/demands/${index}/shares`, message: 'is for mode "split" only; set the mode or remove it' }]
        : [],
    ),
  ]
}

function findDuplicates(list: string, items: readonly { readonly id: string }[]): SchemaFault[] {
  const first = new Map<string, number>()
  return items.flatMap(({ id: name }, index) => {
    const other = first.get(name)
    if (other === undefined) {
      first.set(name, index)
      return []
    }
    return [{ path: `/${list}/${index}/id`, message: `"${name}" is the id of /${list}/${other} too; ids must differ` }]
  })
}

function findTinyRates(list: string, items: readonly { readonly rateBps: number }[]): SchemaFault[] {
  return items.flatMap(({ rateBps: rate }, index) =>
    rate > 0 && rate < RATES.least
      ? [{ path: `/${list}/${index}/rateBps`, message: `must be 0 or at least ${RATES.least}` }]
      : [],
  )
}

function findBadEnds(
  list: string,
  items: readonly { readonly a: string; readonly b: string }[],
  known: ReadonlyMap<string, number>,
): SchemaFault[] {
  return items.flatMap((item, index) => {
    const faults: SchemaFault[] = (['a', 'b'] as const)
      .filter(end => !known.has(item[end]))
      .map(end => ({ path: `/${list}/${index}/${end}`, message: `no node has the id "${item[end]}"` }))
    if (item.a === item.b) faults.push({ path: `/${list}/${index}/b`, message: 'must differ from "a"' })
    return faults
  })
}

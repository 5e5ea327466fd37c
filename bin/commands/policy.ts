import {
  ConfigError,
  explainPolicy,
  loadPolicyFile,
  type PolicyExplanation,
  policySchema,
  unreachableRules,
} from '../../lib/index.ts'
import { defineCommand, defineGroup, usageError } from '../command.ts'
import { printJson, printLines } from '../terminal.ts'

const checkCommand = defineCommand({
  command: 'check <file>',
  describe: 'Check a policy: every fault with its line, and rules that no request can come to',
  builder: yargs =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: 'The policy, JSON or YAML' })
      .option('strict', { type: 'boolean', default: false, describe: 'Fail on unreachable rules too' })
      .example('$0 policy check policy.yaml', 'says how many rules there are, or what is wrong with them'),
  handler: async ({ file: path, strict, json }) => {
    const { file, placeOf } = await loadPolicyFile(path)
    const unreachable = unreachableRules(file).map(found => ({
      ...found,
      place: `${path}:${placeOf(`/rules/${found.ruleNumber - 1}`)}`,
    }))
    const lines = unreachable.map(
      ({ rule, place, takenBy }) =>
        `${place}: rule "${rule}" is never reached: ${takenBy.length === 0 ? 'it names nobody' : `taken by ${quoted(takenBy)}`}`,
    )
    if (strict && unreachable.length > 0) throw new ConfigError(lines.join('\n'), { details: unreachable })
    const summary = `${path}: ${file.rules.length} rules, otherwise ${file.otherwise}; no faults`
    await (json
      ? printJson({ ok: true, rules: file.rules.length, otherwise: file.otherwise, unreachable })
      : printLines([...lines, summary].join('\n')))
  },
})

const explainCommand = defineCommand({
  command: 'explain <file>',
  describe: 'Say which rule decides about a pair of hosts, with which terms, and why not one before it',
  builder: yargs =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: 'The policy, JSON or YAML' })
      .option('master', { type: 'string', demandOption: true, requiresArg: true, describe: 'SAE that asks for a key' })
      .option('slave', { type: 'string', demandOption: true, requiresArg: true, describe: 'SAE at the other end' })
      .option('peer-site', { type: 'string', requiresArg: true, default: '', describe: 'Site at the other end' })
      .option('integration', { type: 'string', requiresArg: true, describe: 'What the key is for, such as tls' })
      .option('size', {
        type: 'number',
        requiresArg: true,
        describe: 'Size of a key in bits: says too whether the rule gives it',
      })
      .option('at', { type: 'string', requiresArg: true, describe: 'When, as 2026-11-23T12:00Z. Default now' })
      .example('$0 policy explain policy.yaml --master alice --slave bob', 'rule, terms, and rules passed over'),
  handler: async ({ file: path, master, slave, peerSite, integration, size: sizeBits, at, json }) => {
    const { file, placeOf } = await loadPolicyFile(path)
    const atMs = at === undefined ? Date.now() : Date.parse(at)
    if (Number.isNaN(atMs)) throw usageError(`--at ${at} is no time; write it as 2026-11-23T12:00Z`)
    if (sizeBits !== undefined && !(Number.isInteger(sizeBits) && sizeBits > 0 && sizeBits % 8 === 0))
      throw usageError(`--size ${sizeBits} is no size of a key; give a multiple of 8, in bits`)
    const question = { masterSaeId: master, slaveSaeId: slave, peerSiteId: peerSite, integration, atMs }
    const explained = explainPolicy(file, question, { sizeBits })
    const pointer = explained.ruleNumber === undefined ? '/otherwise' : `/rules/${explained.ruleNumber - 1}`
    const place = `${path}:${placeOf(pointer)}`
    await (json ? printJson({ ...explained, place }) : printLines(describe(explained, place)))
  },
})

const schemaCommand = defineCommand({
  command: 'schema',
  describe: 'Print the JSON Schema of policy files, by which editors complete them',
  builder: yargs => yargs.example('$0 policy schema > policy.schema.json', 'for the $schema of a policy'),
  handler: () => printJson(policySchema),
})

/** Rules passed over that are worth a line each. */
const MAX_SHOWN = 10

/** `qkd policy`: who may have which keys. */
export const policyCommands = defineGroup('policy', 'Check and explain policies', [
  checkCommand,
  explainCommand,
  schemaCommand,
])

function describe({ allowed, rule, terms, size, passedOver }: PolicyExplanation, place: string): string {
  const shown = Object.entries(terms).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`)
  const near = passedOver.filter(({ because }) => because.length === 1).slice(0, MAX_SHOWN)
  return [
    `${allowed ? 'allowed' : 'refused'} by ${rule === 'otherwise' ? '"otherwise"' : `rule "${rule}"`} (${place})`,
    ...(shown.length === 0 ? ['  no terms of its own: the limits of the KMS hold'] : shown),
    ...(size === undefined ? [] : [`a key of ${size.sizeBits} bits: ${size.allowed ? 'yes' : 'no'}, ${size.why}`]),
    ...near.map(({ rule: name, because }) => `passed over: rule "${name}", by its ${because[0]} alone`),
    ...(passedOver.length > near.length ? [`passed over: ${passedOver.length - near.length} more`] : []),
  ].join('\n')
}

function quoted(names: readonly string[]): string {
  const shown = names.slice(0, 5).map(name => `"${name}"`)
  return names.length > 5 ? `${shown.join(', ')} and ${names.length - 5} more` : shown.join(', ')
}

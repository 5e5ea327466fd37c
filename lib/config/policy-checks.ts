import type { PolicyFile, PolicyRule, PolicyTerms } from '../interface/policy.ts'
import type { SchemaFault } from '../util/json-schema.ts'
import { nearestName } from '../util/nearest-name.ts'
import { fallbackLevel } from '../util/security-level.ts'

/** What is wrong in a policy that its schema can't say: names without meaning, terms that don't go together. */
export function checkPolicy(file: PolicyFile): SchemaFault[] {
  return [
    ...repeatedNames(file.rules),
    ...file.rules.flatMap((rule, at) => [
      ...unknownGroups(file, rule, `/rules/${at}/match`),
      ...clashingTerms({ ...file.defaults, ...rule }, rule, `/rules/${at}`),
      ...unnamedLowering(rule, `/rules/${at}`),
    ]),
    ...clashingTerms(file.defaults ?? {}, file.defaults ?? {}, '/defaults'),
    ...generalLowering(file.defaults),
    ...overfullReserves(file),
  ]
}

function repeatedNames(rules: readonly PolicyRule[]): SchemaFault[] {
  const first = new Map<string, number>()
  return rules.flatMap(({ name }, at) => {
    const before = first.get(name)
    if (before === undefined) {
      first.set(name, at)
      return []
    }
    return [{ path: `/rules/${at}/name`, message: `rule ${before + 1} has this name too; give each its own` }]
  })
}

function unknownGroups({ groups = {} }: PolicyFile, { match }: PolicyRule, path: string): SchemaFault[] {
  return (['master', 'slave'] as const).flatMap(side =>
    (match?.[side] ?? []).flatMap((name, at) => {
      const group = name.slice(1)
      if (!name.startsWith('@') || Object.hasOwn(groups, group)) return []
      const meant = nearestName(group, Object.keys(groups))
      const fix = meant === undefined ? 'add it under "groups"' : `did you mean "@${meant}"?`
      return [{ path: `${path}/${side}/${at}`, message: `no group is named "${group}"; ${fix}` }]
    }),
  )
}

/** `terms` is what holds in the end, `written` what this place of the file says itself. */
function clashingTerms(terms: PolicyTerms, written: PolicyTerms, path: string): SchemaFault[] {
  const faults: SchemaFault[] = []
  const { levels, level, minKeySizeBits: min, maxKeySizeBits: max, trustClasses, whenLow } = terms
  if (level !== undefined && levels !== undefined && !levels.includes(level)) {
    const at = written.level === undefined ? `${path}/levels` : `${path}/level`
    faults.push({ path: at, message: `the default level "${level}" is not one of the levels; add it or name another` })
  }
  if (min !== undefined && max !== undefined && min > max) {
    const at = written.minKeySizeBits === undefined ? 'maxKeySizeBits' : 'minKeySizeBits'
    faults.push({ path: `${path}/${at}`, message: `the smallest key (${min}) is larger than the largest (${max})` })
  }
  const lower = whenLow === undefined ? undefined : fallbackLevel(whenLow.response)
  if (lower !== undefined && !(levels ?? []).includes(lower)) {
    const message = `"${whenLow!.response}" gives keys of level "${lower}"; add it to "levels"`
    faults.push({ path: written.whenLow === undefined ? path : `${path}/whenLow/response`, message })
  }
  if (
    levels?.includes('post-quantum') &&
    lower !== 'post-quantum' &&
    trustClasses?.includes('post-quantum') === false
  ) {
    const message =
      'keys of level "post-quantum" are of class "post-quantum", so none is ever given; add it to "trustClasses"'
    faults.push({ path: written.levels === undefined ? `${path}/trustClasses` : `${path}/levels`, message })
  }
  if (lower === 'post-quantum' && trustClasses?.includes(lower) === false) {
    const message = '"post-quantum" gives keys of class "post-quantum"; add it to "trustClasses"'
    faults.push({ path: written.whenLow === undefined ? path : `${path}/whenLow/response`, message })
  }
  if (written.whenLow?.rate !== undefined && lower === undefined) {
    const message = `"${written.whenLow.response}" lowers no level, so there is nothing to limit; leave "rate" out`
    faults.push({ path: `${path}/whenLow/rate`, message })
  }
  return faults
}

/** Lowering a level takes a rule that names the pair: whoever can drain a pool must not choose who is weakened. */
function unnamedLowering({ match, whenLow, deny }: PolicyRule, path: string): SchemaFault[] {
  if (whenLow === undefined || fallbackLevel(whenLow.response) === undefined || deny === true) return []
  return (['master', 'slave'] as const).flatMap(side => {
    const names = match?.[side]
    if (names !== undefined && !names.includes('*')) return []
    const message = `"${whenLow.response}" lowers the level of a key, so the rule must name its ${side}s`
    return [{ path: `${path}/whenLow/response`, message }]
  })
}

function generalLowering(defaults: PolicyTerms | undefined): SchemaFault[] {
  const response = defaults?.whenLow?.response
  if (response === undefined || fallbackLevel(response) === undefined) return []
  const message = `"${response}" lowers the level of a key: it stands in rules that name the pair, not in defaults`
  return [{ path: '/defaults/whenLow/response', message }]
}

function overfullReserves({ reserves = [] }: PolicyFile): SchemaFault[] {
  const share = reserves.reduce((sum, reserve) => sum + reserve.share, 0)
  if (share <= 0.9) return []
  return [{ path: '/reserves', message: `the reserves hold ${share.toFixed(2)} of a pool; 0.9 is the most` }]
}

import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { type AbortOptions, QkdError } from '../../../lib/index.ts'
import { configuredDatabase } from '../agent/agent-site.ts'
import type { AgentStatus } from '../agent/agent-status.ts'
import { type KerberosConfig, principalTerms } from '../config/kerberos-config.ts'
import { askAgent } from '../control/control-client.ts'
import { enctypeProfile } from '../enctype.ts'
import type { KdcDatabase } from '../kdb/kdc-database.ts'
import { hasLockFile, lockFileOf } from '../kdb/lock-file.ts'
import type { KeyedPrincipal } from '../versions/keyed-principal.ts'
import { krb5ConfValue, listedEnctypes } from './enctype-list.ts'
import { type Finding, fault, ok, warning } from './finding.ts'

/** Versions of MIT's database interface that our module can be built for. */
const DAL_VERSIONS = [8, 9]
/** Beyond this, in seconds, clocks are said to differ even where Kerberos still takes it. */
const SKEW_WARNING_SECONDS = 60

type Kdc = NonNullable<KerberosConfig['kdc']>

/** Options of `examine`. */
export interface ExamineOptions extends AbortOptions {
  /** Makes a missing lock file again. Default false: doctor only looks. */
  readonly mend?: boolean
}

/** Looks at everything around an agent that can go wrong without it, and says what to do. Never throws for what it finds. */
export async function examine(
  config: KerberosConfig,
  { mend = false, signal }: ExamineOptions = {},
): Promise<Finding[]> {
  const status = await askAgent(config.controlSocket, { command: 'status' }, { signal, timeoutMs: 5_000 }).catch(
    (error: Error) => error,
  )
  const findings = [agentFinding(config, status)]
  const { kdc } = config
  if (kdc === undefined) return [...findings, ...statusFindings(status)]
  findings.push(await programs(), await dalVersion(config))
  // Without the lock file nothing else can be looked at.
  const lockFile = await lockFileFinding(kdc, { mend, signal })
  findings.push(lockFile)
  if (lockFile.state !== 'fault') {
    const database = configuredDatabase(kdc)
    findings.push(await masterKey(database, kdc, { signal }))
    for (const terms of principalTerms(config))
      findings.push(...(await principal(database, terms, { config, status, signal })))
  }
  findings.push(await enctypes(kdc, principalTerms(config)))
  return [...findings, ...statusFindings(status)]
}

function agentFinding({ controlSocket }: KerberosConfig, status: AgentStatus | Error): Finding {
  if (!(status instanceof Error)) return ok('agent', `runs as ${status.saeId}`)
  return fault('agent', status.message, `start it, or name its socket in "controlSocket" (now ${controlSocket})`)
}

async function programs(): Promise<Finding> {
  const missing: string[] = []
  for (const name of ['kdb5_util', 'kadmin.local', 'flock']) {
    const folders = ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/sbin', '/usr/local/bin']
    const found = await Promise.any(folders.map(folder => access(`${folder}/${name}`))).then(
      () => true,
      () => false,
    )
    if (!found) missing.push(name)
  }
  if (missing.length === 0) return ok('programs', 'kdb5_util, kadmin.local and flock are installed')
  return fault(
    'programs',
    `${missing.join(', ')} not installed`,
    'apt-get install krb5-kdc krb5-admin-server util-linux',
  )
}

/** MIT says its release, and each release has one version of the database interface. */
async function dalVersion({ mode }: KerberosConfig): Promise<Finding> {
  const said = await promisify(execFile)('klist', ['-V']).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  )
  const [, major, minor] = /(\d+)\.(\d+)/.exec(said) ?? []
  if (minor === undefined) return warning('DAL version', 'klist -V tells no release', 'apt-get install krb5-user')
  const dal = Number(minor) <= 17 ? 7 : Number(minor) < 20 ? 8 : 9
  const text = `MIT krb5 ${major}.${minor} has database interface ${dal}`
  if (DAL_VERSIONS.includes(dal)) return ok('DAL version', text)
  const fix = 'take mode setup, or a newer release of krb5'
  return mode === 'plugin'
    ? fault('DAL version', `${text}; the module is made for ${DAL_VERSIONS.join(' and ')}`, fix)
    : ok('DAL version', text)
}

async function lockFileFinding({ database, ...kdc }: Kdc, { mend, signal }: ExamineOptions): Promise<Finding> {
  const path = lockFileOf(database)
  try {
    if (mend) {
      const mended = await configuredDatabase({ database, ...kdc }).mend({ signal })
      if (mended !== undefined) return warning('lock file', mended.description, 'see in the log who killed kdb5_util')
    }
    if (await hasLockFile(database)) return ok('lock file', `${path} is there`)
  } catch (error) {
    return fault('lock file', (error as Error).message, 'run doctor on the KDC, as the user that the KDC runs as')
  }
  const text = `${path} is missing: kadmin and a restarted KDC refuse to work`
  return fault('lock file', text, 'qkd kerberos doctor --mend')
}

async function masterKey(database: KdcDatabase, { realm, stashFile }: Kdc, options: AbortOptions): Promise<Finding> {
  try {
    const versions = await database.keys(`K/M@${realm}`, options)
    for (const { keys } of versions) for (const { secret } of keys) secret.wipe()
    return ok('master key', `${stashFile} opens the database of ${realm}`)
  } catch (error) {
    return fault('master key', (error as Error).message, '"stashFile" and "database" must be those of kdc.conf')
  }
}

interface PrincipalContext extends AbortOptions {
  readonly config: KerberosConfig
  readonly status: AgentStatus | Error
}

async function principal(
  database: KdcDatabase,
  terms: KeyedPrincipal,
  { config, status, signal }: PrincipalContext,
): Promise<Finding[]> {
  const name = terms.principal
  try {
    const state = await database.state(name, { signal })
    if (state === undefined) {
      return [fault(name, 'is not in the database', `kadmin.local addprinc -nokey ${name}`)]
    }
    const findings: Finding[] = []
    const own = status instanceof Error ? undefined : status.principals.find(each => each.principal === name)
    const known = [own?.current, ...(own?.announced ?? []), ...(own?.retained ?? [])].map(version => version?.kvno)
    const others = state.kvnos.filter(kvno => config.mode === 'plugin' || (own !== undefined && !known.includes(kvno)))
    if (others.length > 0) {
      const kept = others.every(kvno => own?.foreignKvnos.includes(kvno))
      const text = `the database has a key besides those of the pool (kvno ${others.join(', ')})`
      const drop = config.mode === 'plugin' ? `kadmin.local purgekeys -all ${name}` : 'the next rotation removes it'
      findings.push(
        kept && config.mode === 'setup'
          ? warning(`${name} -nokey`, `${text}, from before the trust`, 'it goes when tickets under it are over')
          : fault(`${name} -nokey`, `${text}: the KDC could fall back to it`, drop),
      )
    } else if (own !== undefined) findings.push(ok(`${name} -nokey`, 'has no keys but those of the pool'))
    return [...findings, ...lives(terms, state)]
  } catch (error) {
    if (!(error instanceof QkdError)) throw error
    return [fault(name, error.message, 'see above')]
  }
}

function lives(
  { principal: name, role, ticketLifeSeconds, skewSeconds }: KeyedPrincipal,
  { maxLife, maxRenewableLife }: { maxLife: number; maxRenewableLife: number },
): Finding[] {
  if (role === 'acceptor') {
    return [
      ok(`${name} retention`, `keys are kept for ${ticketLifeSeconds + skewSeconds} s after they were superseded`),
    ]
  }
  const fix = `kadmin.local modprinc -maxlife ${ticketLifeSeconds}sec -maxrenewlife 0sec ${name}`
  if (maxLife === 0 || maxLife > ticketLifeSeconds) {
    const life = maxLife === 0 ? "the realm's maximum" : `${maxLife} s`
    const text = `tickets may live for ${life}, keys are kept for ${ticketLifeSeconds} s: late ones would fail`
    return [fault(`${name} retention`, text, fix)]
  }
  if (maxRenewableLife > 0) {
    return [
      warning(`${name} retention`, `tickets can be renewed for ${maxRenewableLife} s, past the end of their key`, fix),
    ]
  }
  return [ok(`${name} retention`, `tickets live for ${maxLife} s at most, and keys are kept as long`)]
}

async function enctypes({ krb5Conf = '/etc/krb5.conf' }: Kdc, principals: readonly KeyedPrincipal[]): Promise<Finding> {
  const check = 'permitted enctypes'
  const text = await readFile(krb5Conf, 'utf8').catch(() => undefined)
  if (text === undefined) return warning(check, `${krb5Conf} can't be read`, 'name it in "krb5Conf"')
  const list = krb5ConfValue(text, 'libdefaults', 'permitted_enctypes')
  const permitted = listedEnctypes(list ?? 'DEFAULT')
  const wanted = new Set(principals.flatMap(each => each.enctypes))
  const missing = [...wanted].filter(enctype => !permitted.has(enctype)).map(enctype => enctypeProfile(enctype).name)
  if (missing.length === 0) return ok(check, `${krb5Conf} permits the types of every principal`)
  return fault(check, `${krb5Conf} does not permit ${missing.join(', ')}`, `add to permitted_enctypes in ${krb5Conf}`)
}

/** What only the running agent knows: failures, the end of the kvnos, how far the clocks of two sites differ. */
function statusFindings(status: AgentStatus | Error): Finding[] {
  if (status instanceof Error) return []
  return status.principals.flatMap(({ principal: name, failure, rekeyAdvised, current, clockSkewSeconds }) => {
    const findings: Finding[] = []
    if (failure !== null)
      findings.push(fault(`${name} rotation`, failure, 'qkd kerberos trust rotate, once that is mended'))
    else if (current === null)
      findings.push(warning(`${name} rotation`, 'has no key yet', 'wait for the other site’s agent'))
    else findings.push(ok(`${name} rotation`, `kvno ${current.kvno} since ${current.since}`))
    if (rekeyAdvised)
      findings.push(warning(`${name} kvno`, 'kvnos come to their end at 65535', 'qkd kerberos trust rekey'))
    if (clockSkewSeconds !== null) {
      const text = `the clocks of the two sites differ by ${clockSkewSeconds} s`
      findings.push(
        Math.abs(clockSkewSeconds) > SKEW_WARNING_SECONDS
          ? warning(`${name} clock`, text, 'set both clocks by NTP: Kerberos refuses from 300 s on')
          : ok(`${name} clock`, text),
      )
    }
    return findings
  })
}

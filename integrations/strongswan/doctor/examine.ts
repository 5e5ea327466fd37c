import { type AbortOptions, type Kms, withDeadline } from '../../../lib/index.ts'
import type { IpsecAgentConfig } from '../agent-config.ts'
import type { IpsecAlarm } from '../agent-status.ts'
import { callAgent } from '../control/control-client.ts'
import { ViciSession } from '../vici/session.ts'
import { examineCharon, hasUserSpaceEsp } from './charon-state.ts'
import { type Finding, finder } from './finding.ts'
import { examineClock, examineEsp, examineHooks, examineSecretFiles, examineViciSocket } from './host-state.ts'
import { examineFiles, type StrongswanFiles } from './strongswan-files.ts'

/** What the doctor looks at. */
export interface ExamineOptions extends StrongswanFiles, AbortOptions {
  readonly config: IpsecAgentConfig
  /** The host's face of its KMS; undefined where it can't be had, with the reason in `kmsProblem`. */
  readonly kms?: Kms
  readonly kmsProblem?: string
  /** The certificate of the host (PEM), whose dates show whether the clock is right. */
  readonly cert?: string
  /** Wall clock in milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

const CALL_MS = 5_000

/** Looks at everything that has ever gone wrong beside an agent, and says how to mend it. Changes nothing. */
export async function examine(options: ExamineOptions): Promise<Finding[]> {
  const { config, cert, now = Date.now } = options
  const socket = await examineViciSocket(config)
  return [
    ...socket,
    ...(socket.every(({ verdict }) => verdict === 'ok') ? await examineLive(options) : []),
    ...(await examineFiles(config, options)),
    ...examineOverlap(config),
    ...(await examineHooks(config)),
    ...(await examineSecretFiles(config)),
    ...(await examineKms(options)),
    ...(await examineAgent(options)),
    ...(await examineClock({ cert, nowMs: now() })),
  ]
}

async function examineLive({ config, signal }: ExamineOptions): Promise<Finding[]> {
  const silent = async () => {}
  await using session = new ViciSession({
    path: config.viciSocket,
    events: [],
    onConnect: silent,
    onDisconnect: () => {},
  })
  try {
    const problem = await session.start({ signal: withDeadline(signal, CALL_MS) })
    if (problem !== undefined) throw problem
    const findings = await examineCharon(config, session)
    return [...findings, await examineEsp({ userSpace: await hasUserSpaceEsp(session) })]
  } catch (error) {
    const mend = 'see its log; systemctl restart strongswan if it hangs'
    return [finder('charon').fault(`it does not answer: ${(error as Error).message}`, mend)]
  }
}

/** charon takes the first connection that fits a gateway, and only that. */
function examineOverlap({ connections }: IpsecAgentConfig): Finding[] {
  const find = finder('connections')
  const findings = connections.flatMap((connection, at) => {
    const { local, remote } = connection
    const first = connections.findIndex(
      other => other.local.id === local.id && other.remote.id === remote.id && meet(other, connection),
    )
    if (first === at) return []
    const text = `"${connection.name}" has the gateways of "${connections[first]!.name}": charon answers with one of them`
    return [find.fault(text, 'give both their own identities, or put the children of both into one connection')]
  })
  return findings.length > 0 ? findings : [find.ok('each has gateways of its own')]
}

function meet(a: IpsecAgentConfig['connections'][number], b: IpsecAgentConfig['connections'][number]): boolean {
  return a.remote.addresses.some(address => b.remote.addresses.includes(address))
}

async function examineKms({
  config,
  kms,
  kmsProblem = 'it was not asked',
  signal,
}: ExamineOptions): Promise<Finding[]> {
  if (kms === undefined) return [finder('KMS').fault(kmsProblem, 'see saeProfile, and qkd status')]
  const findings: Finding[] = []
  for (const { saeId } of config.peers) {
    const find = finder(`KMS, ${saeId}`)
    try {
      const { storedKeyCount } = await kms.getStatus(saeId, { timeoutMs: CALL_MS, signal })
      if (storedKeyCount > 0) findings.push(find.ok(`${storedKeyCount} keys`))
      else findings.push(find.warning('no key now: a rotation would wait', 'see qkd status, and the link of the site'))
    } catch (error) {
      findings.push(find.fault((error as Error).message, 'see saeProfile, and qkd status'))
    }
  }
  return findings
}

async function examineAgent({ config, signal }: ExamineOptions): Promise<Finding[]> {
  const find = finder('agent')
  try {
    const { alarms } = await callAgent(config.controlSocket, { call: 'status' }, { timeoutMs: CALL_MS, signal })
    return alarms.length === 0 ? [find.ok('it runs, without an alarm')] : alarms.map(ofAlarm)
  } catch (error) {
    const mend = 'start qkd ipsec agent; only then it shows whether both ends are set up as initiator'
    return [find.unknown((error as Error).message, mend)]
  }
}

function ofAlarm({ id, connection, severity, text }: IpsecAlarm): Finding {
  const find = finder(connection === undefined ? 'agent' : `connection ${connection}`)
  const mends: Record<string, string> = {
    'role-conflict': 'set "role": "responder" at one of the two gateways',
    'charon-unreachable': 'start charon',
  }
  const mend = mends[id] ?? 'see qkd ipsec status'
  return severity === 'warning' || severity === 'minor' ? find.warning(text, mend) : find.fault(text, mend)
}

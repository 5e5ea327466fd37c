/** What charon tells an updown program, of which the agent wants to know (strongSwan, `updown` plugin). */
export const UPDOWN_NAMES = [
  'PLUTO_VERB',
  'PLUTO_CONNECTION',
  'PLUTO_UNIQUEID',
  'PLUTO_REQID',
  'PLUTO_PROTO',
  'PLUTO_INTERFACE',
  'PLUTO_ME',
  'PLUTO_MY_ID',
  'PLUTO_MY_CLIENT',
  'PLUTO_MY_PORT',
  'PLUTO_MY_PROTOCOL',
  'PLUTO_MY_SOURCEIP',
  'PLUTO_PEER',
  'PLUTO_PEER_ID',
  'PLUTO_PEER_CLIENT',
  'PLUTO_PEER_PORT',
  'PLUTO_PEER_PROTOCOL',
  'PLUTO_PEER_SOURCEIP',
  'PLUTO_XAUTH_ID',
  'PLUTO_MARK_IN',
  'PLUTO_MARK_OUT',
  'PLUTO_IF_ID_IN',
  'PLUTO_IF_ID_OUT',
  'PLUTO_UDP_ENC',
] as const

/** One call of the hook: a pair of traffic selectors of a CHILD_SA came up or went down. */
export interface UpdownEvent {
  readonly direction: 'up' | 'down'
  /** When charon called, in nanoseconds since 1970. */
  readonly atNs: bigint
  /** Name of the child in the configuration. */
  readonly child: string
  /** Unique id of the IKE_SA, by which it is known which key it uses. */
  readonly uniqueId: string
  /** What is carried: the same for every SA that carries it. */
  readonly traffic: string
  /** Everything that the hook wrote, by the names without `PLUTO_`; any text may stand in it. */
  readonly values: Readonly<Record<string, string>>
}

const KNOWN = new Set<string>(UPDOWN_NAMES)

/** Reads one file of the hook; undefined where it is none. `atNs` is the time in the file's name. */
export function parseUpdownFile(text: string, atNs: bigint): UpdownEvent | undefined {
  const values: Record<string, string> = Object.create(null)
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=')
    const name = line.slice(0, Math.max(0, equals))
    if (!KNOWN.has(name)) continue
    const value = line.slice(equals + 1).replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped))
    values[name.slice('PLUTO_'.length)] = value
  }
  const verb = /^(up|down)-(client|host)(-v6)?$/.exec(values.VERB ?? '')
  const { CONNECTION: child, UNIQUEID: uniqueId } = values
  if (verb === null || child === undefined || uniqueId === undefined || !/^\d{1,10}$/.test(uniqueId)) return undefined
  return { direction: verb[1] as 'up' | 'down', atNs, child, uniqueId, traffic: trafficOf(values), values }
}

/** In JSON, so that no value can look like two. */
function trafficOf(values: Record<string, string>): string {
  const parts = ['CONNECTION', 'MY_CLIENT', 'MY_PORT', 'MY_PROTOCOL', 'PEER_CLIENT', 'PEER_PORT', 'PEER_PROTOCOL']
  return JSON.stringify(parts.map(name => values[name] ?? ''))
}

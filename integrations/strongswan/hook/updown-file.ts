import type { UpdownEvent } from '../updown-event.ts'

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

const KNOWN = new Set<string>(UPDOWN_NAMES)

/** Reads one file of the hook; undefined where it is none. `atMs` is the time in the file's name. */
export function parseUpdownFile(text: string, atMs: number): UpdownEvent | undefined {
  const variables: Record<string, string> = Object.create(null)
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=')
    const name = line.slice(0, Math.max(0, equals))
    if (!KNOWN.has(name)) continue
    variables[name] = line.slice(equals + 1).replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped))
  }
  const {
    PLUTO_VERB: verb = '',
    PLUTO_CONNECTION: child,
    PLUTO_UNIQUEID: uniqueId = '',
    PLUTO_REQID: reqId,
  } = variables
  const whole = /^(up|down)-(client|host)(-v6)?$/.test(verb) && /^\d{1,10}$/.test(uniqueId)
  if (!whole || child === undefined || reqId === undefined) return undefined
  return { verb, uniqueId, child, reqId, atMs, variables }
}

import { stripVTControlCharacters } from 'node:util'
import type { IpsecAgentEvent, IpsecAgentStatus, IpsecConnectionStatus } from '../integrations/strongswan/index.ts'

/** The state of an agent in words, a line for each thing. */
export function describeAgent(status: IpsecAgentStatus, nowMs: number): string[] {
  return agentLines(status, nowMs).map(plain)
}

/** An event of an agent in words. */
export function describeAgentEvent(event: IpsecAgentEvent): string {
  return plain(eventLine(event))
}

function agentLines(status: IpsecAgentStatus, nowMs: number): string[] {
  const { saeId, charon, connections, alarms } = status
  const daemon = charon.connected ? `strongSwan ${charon.version ?? ''}` : 'charon does not answer'
  return [
    `${saeId} at ${daemon} (${charon.socket})`,
    ...connections.flatMap(connection => ['', ...describeConnection(connection, nowMs)]),
    ...(alarms.length > 0 ? [''] : []),
    ...alarms.map(({ severity, connection, text, sinceMs }) => {
      const where = connection === undefined ? '' : `${connection}: `
      return `alarm (${severity}, for ${age(nowMs - sinceMs)}): ${where}${text}`
    }),
  ]
}

function describeConnection(connection: IpsecConnectionStatus, nowMs: number): string[] {
  const { name, peer, mode, role, state, peerConnected, keyId, inUseSinceMs, nextRotationMs, sas } = connection
  const key = keyId === undefined ? 'no key in use' : `key_ID ${keyId}`
  const since = inUseSinceMs === undefined ? '' : `, for ${age(nowMs - inUseSinceMs)}`
  const next = nextRotationMs === undefined ? '' : `, the next in ${age(nextRotationMs - nowMs)}`
  const { rotations, failures, lastFailure } = connection
  return [
    `${name}  ${role} towards ${peer} (${mode}), ${state}; its agent is ${peerConnected ? 'connected' : 'not connected'}`,
    `  ${key}${since}${next}`,
    `  ${rotations} rotations, ${failures} failed${lastFailure === undefined ? '' : `, the last: ${lastFailure}`}`,
    ...sas.flatMap(sa => [
      `  IKE_SA ${sa.uniqueId}  ${sa.state}, ${sa.ppk ? 'on a PPK' : 'on no PPK'}, key_ID ${sa.keyId ?? 'not seen'}`,
      ...sa.children.map(
        ({ name: child, state: childState, bytesIn, bytesOut }) =>
          `    ${child}  ${childState}, ${bytesIn} bytes in, ${bytesOut} out`,
      ),
    ]),
  ]
}

function eventLine(event: IpsecAgentEvent): string {
  switch (event.type) {
    case 'charon':
      return event.connected ? `charon is there (strongSwan ${event.version ?? '?'})` : 'charon is gone'
    case 'peer':
      return `${event.connection}: the other agent is ${event.connected ? 'connected' : 'gone'}${because(event.reason)}`
    case 'rotated': {
      const { connection, epoch, keyId, uniqueId, times } = event
      const took = times === undefined ? '' : `, in ${Math.round(total(times))} ms`
      const sa = uniqueId === undefined ? '' : `, IKE_SA ${uniqueId}`
      return `${connection}: rotation ${epoch}, key_ID ${keyId} is in use${sa}${took}`
    }
    case 'rotation-failed': {
      const burned = event.burnedKeyId === undefined ? '' : `; key_ID ${event.burnedKeyId} is burned`
      const again = event.retryInMs === undefined ? '' : `; again in ${age(event.retryInMs)}`
      return `${event.connection}: a rotation failed${because(event.reason)}${burned}${again}`
    }
    case 'provisioned':
      return `${event.connection}: charon was given again what it had lost${because(event.reason)}`
    case 'alarm': {
      const { severity, connection, text } = event.alarm
      return `alarm ${event.state} (${severity}): ${connection === undefined ? '' : `${connection}: `}${text}`
    }
    case 'updown': {
      const { connection = '?', keyId = 'not seen', direction, edge, event: call } = event
      const change = edge ? direction : direction === 'up' ? 'moved' : 'late down'
      const traffic = `${call.variables.PLUTO_MY_CLIENT ?? '?'} to ${call.variables.PLUTO_PEER_CLIENT ?? '?'}`
      return `${connection}: ${call.child} ${change}, ${traffic}, IKE_SA ${call.uniqueId}, key_ID ${keyId}`
    }
  }
}

function total(times: { prepareMs: number; establishMs: number; confirmMs: number; retireMs: number }): number {
  return times.prepareMs + times.establishMs + times.confirmMs + times.retireMs
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${reason}`
}

/** Other gateways and charon may say what they like: nothing of that reaches the terminal as more than text. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must go.
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}

/** A time in the largest unit that leaves two digits. */
function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`
}

import type { IpsecMode, IpsecRole } from './agent-config.ts'

/** Something that a person should look at, until it is over. */
export interface IpsecAlarm {
  /** Such as `rotation-failed`, `role-conflict`, `no-key-in-use`, `hard-expiry`, `charon-unreachable`. */
  readonly id: string
  /** The connection; undefined where it is about the agent as a whole. */
  readonly connection: string | undefined
  readonly severity: 'warning' | 'minor' | 'major' | 'critical'
  readonly text: string
  /** Wall clock, in milliseconds. */
  readonly sinceMs: number
}

/** Where a connection stands in a rotation (specified in ARCHITECTURE.md). */
export type IpsecLinkState = 'idle' | 'preparing' | 'prepared' | 'initiated' | 'confirmed'

/** One IKE_SA as charon lists it. */
export interface IpsecSaStatus {
  readonly uniqueId: string
  /** charon's own word: `ESTABLISHED` and so on. */
  readonly state: string
  /** True if charon says that the SA stands on a PPK. */
  readonly ppk: boolean
  /** The key that charon's log named for it; undefined where the agent did not see it come up. */
  readonly keyId: string | undefined
  readonly children: readonly IpsecChildStatus[]
}

/** One CHILD_SA as charon lists it. */
export interface IpsecChildStatus {
  readonly name: string
  readonly state: string
  readonly bytesIn: number
  readonly bytesOut: number
  readonly packetsIn: number
  readonly packetsOut: number
}

/** One connection. */
export interface IpsecConnectionStatus {
  readonly name: string
  readonly peer: string
  readonly mode: IpsecMode
  readonly role: IpsecRole
  readonly state: IpsecLinkState
  /** True while the agent at the other end can be talked to. */
  readonly peerConnected: boolean
  /** Number of the last rotation that began. */
  readonly epoch: number
  /** The key in use, as far as this agent knows. */
  readonly keyId: string | undefined
  /** The IKE identity under which charon knows it; undefined in mode `psk`. */
  readonly ppkId: string | undefined
  /** Since when it is in use, wall clock, in milliseconds. */
  readonly inUseSinceMs: number | undefined
  /** When the next one is due by schedule, wall clock; undefined at a responder. */
  readonly nextRotationMs: number | undefined
  readonly rotations: number
  readonly failures: number
  readonly lastFailure: string | undefined
  /** Keys that were taken and never came into use. */
  readonly burnedKeyIds: readonly string[]
  readonly sas: readonly IpsecSaStatus[]
}

/** The whole agent. Holds no key. */
export interface IpsecAgentStatus {
  readonly saeId: string
  readonly charon: { readonly connected: boolean; readonly version: string | undefined; readonly socket: string }
  readonly connections: readonly IpsecConnectionStatus[]
  readonly alarms: readonly IpsecAlarm[]
}

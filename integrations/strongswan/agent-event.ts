import type { IpsecAlarm } from './agent-status.ts'
import type { UpdownEvent } from './updown-event.ts'

/** How long the parts of one rotation took at this end, in milliseconds; at the responder only those that it takes part in. */
export interface RotationTimes {
  /** From the first message until both charons have the key: agreement and KMS included. */
  readonly prepareMs: number
  /** Until the new IKE_SA and all its children are up. */
  readonly establishMs: number
  /** Until both charons have said that it stands on the key. */
  readonly confirmMs: number
  /** Until the old IKE_SA is gone, the new one rekeyed under the key, and the key unloaded at both ends. */
  readonly retireMs: number
}

/** What the agent tells about itself, in order. No event holds a key. */
export type IpsecAgentEvent =
  /** charon's socket was lost or is back. */
  | { readonly type: 'charon'; readonly connected: boolean; readonly version: string | undefined }
  /** The channel to the agent at the other end of a connection. */
  | { readonly type: 'peer'; readonly connection: string; readonly connected: boolean; readonly reason?: string }
  /** A new key is in use; `uniqueId` names the IKE_SA in this charon. */
  | {
      readonly type: 'rotated'
      readonly connection: string
      readonly epoch: number
      readonly keyId: string
      readonly ppkId: string | undefined
      readonly uniqueId: string | undefined
      readonly times: RotationTimes | undefined
    }
  /** A rotation failed: the key is burned, what was up before is still up. */
  | {
      readonly type: 'rotation-failed'
      readonly connection: string
      readonly epoch: number | undefined
      readonly burnedKeyId: string | undefined
      readonly reason: string
      readonly retryInMs: number | undefined
    }
  /** charon had lost what the agent gave it, and has it again. */
  | { readonly type: 'provisioned'; readonly connection: string; readonly reason: string }
  | { readonly type: 'alarm'; readonly alarm: IpsecAlarm; readonly state: 'raised' | 'cleared' }
  /** A child came up or went down; `last` where it was the last of its kind, so that what serves it may go. */
  | {
      readonly type: 'updown'
      readonly connection: string | undefined
      readonly keyId: string | undefined
      readonly direction: 'up' | 'down'
      /** On `up`: no other IKE_SA had it up. On `down`: no other IKE_SA has it up. */
      readonly edge: boolean
      readonly event: UpdownEvent
    }

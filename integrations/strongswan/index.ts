/**
 * IPsec gateways on keys of a KMS: an agent beside each strongSwan that agrees on a key with the agent of the other gateway,
 * loads it over VICI, brings up a new IKE_SA under it, has charon say that it uses it, and retires the old one.
 *
 * @packageDocumentation
 */
export { createIpsecAgent, type IpsecAgent, type IpsecAgentOptions, type ReconcileReport } from './agent.ts'
export type {
  IpsecAgentAddress,
  IpsecAgentConfig,
  IpsecChildConfig,
  IpsecConnectionConfig,
  IpsecEndConfig,
  IpsecMode,
  IpsecPeerConfig,
  IpsecRole,
  IpsecRotationConfig,
  IpsecSettings,
} from './agent-config.ts'
export { ipsecAgentConfigSchema } from './agent-config-schema.ts'
export type { IpsecAgentEvent, RotationTimes } from './agent-event.ts'
export type {
  IpsecAgentStatus,
  IpsecAlarm,
  IpsecChildStatus,
  IpsecConnectionStatus,
  IpsecLinkState,
  IpsecSaStatus,
} from './agent-status.ts'
export { loadIpsecAgentConfig } from './load-agent-config.ts'
export type { UpdownEvent } from './updown-event.ts'

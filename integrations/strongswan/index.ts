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
export { AgentService, type AgentServiceOptions } from './agent-service.ts'
export type {
  IpsecAgentStatus,
  IpsecAlarm,
  IpsecChildStatus,
  IpsecConnectionStatus,
  IpsecLinkState,
  IpsecSaStatus,
} from './agent-status.ts'
export { type CallAgentOptions, callAgent, watchAgent } from './control/control-client.ts'
export type { ControlRequest, ControlResults } from './control/control-wire.ts'
export { type ExamineOptions, examine } from './doctor/examine.ts'
export type { Finding } from './doctor/finding.ts'
export type { StrongswanFiles } from './doctor/strongswan-files.ts'
export { type UpdownScriptOptions, updownScript } from './hook/updown-script.ts'
export { loadIpsecAgentConfig } from './load-agent-config.ts'
export { type LoadPskOptions, loadPsk } from './load-psk.ts'
export { type ImportedConnection, type ImportOptions, importConnection } from './swanctl/import-connection.ts'
export { type PairSnippet, pairSnippet } from './swanctl/pair-snippet.ts'
export type { UpdownEvent } from './updown-event.ts'

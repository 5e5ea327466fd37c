/**
 * Kerberos keyed from the KMS: key versions of cross-realm and service principals that two sites agree on, put before an
 * MIT KDC or into keytabs, and the formats this takes.
 *
 * @packageDocumentation
 */

export { type AgentSite, type AgentSiteOptions, configuredDatabase, openAgentSite } from './agent/agent-site.ts'
export type { AgentStatus, PrincipalStatus, VersionStatus } from './agent/agent-status.ts'
export { KerberosAgent, type KerberosAgentOptions } from './agent/kerberos-agent.ts'
export {
  type ConfiguredPrincipal,
  checkKerberosConfig,
  enctypeNames,
  type KerberosConfig,
  kerberosConfigSchema,
  loadKerberosConfig,
} from './config/kerberos-config.ts'
export { type AskAgentOptions, askAgent, type ControlRotation } from './control/control-client.ts'
export { type ControlServer, createControlServer } from './control/control-server.ts'
export type { ControlRequest } from './control/control-wire.ts'
export {
  checksum,
  checksumType,
  decrypt,
  type EncryptOptions,
  encrypt,
  prf,
  type StringToKeyOptions,
  stringToKey,
} from './crypto/encryption.ts'
export { type ExamineOptions, examine } from './doctor/examine.ts'
export type { Finding } from './doctor/finding.ts'
export { ENCTYPES, type Enctype, type EnctypeProfile, enctypeProfile, type KerberosKey } from './enctype.ts'
export {
  type AcceptedClient,
  createGssAcceptor,
  type GssAcceptor,
  type GssAcceptorOptions,
} from './gssapi/gss-acceptor.ts'
export type { KerberosPackage, KerberosServer } from './gssapi/kerberos-package.ts'
export { createNegotiate, type Negotiate, type NegotiateOptions } from './gssapi/negotiate.ts'
export { createDatabaseSink, type DatabaseSinkOptions, masterKeyVault } from './kdb/database-sink.ts'
export {
  addPoolPrincipal,
  deletePrincipal,
  type KadminLocation,
  type PoolPrincipalSettings,
  setPoolLives,
  setString,
} from './kdb/kadmin-local.ts'
export {
  type ChooseVersions,
  type DatabaseVersion,
  KdcDatabase,
  type KdcDatabaseOptions,
  type PrincipalState,
} from './kdb/kdc-database.ts'
export type { LockFileFault } from './kdb/lock-file.ts'
export { createKeyServer, type KeyServer, type KeyServerCounters, type KeyServerOptions } from './key-server.ts'
export { type KeytabEntry, readKeytab, writeKeytab } from './keytab.ts'
export { createKeytabSink, keytabVault, loadKeytab, replaceKeytab } from './keytab-sink.ts'
export {
  type Announcement,
  type KvnoEntry,
  type KvnoLookup,
  type KvnoState,
  KvnoTable,
  type KvnoTableOptions,
  kvnoOf,
  MAX_KVNO,
} from './kvno-table.ts'
export { type ApReq, decodeApReq, encodeApReq } from './messages/ap-req.ts'
export {
  type Authenticator,
  type AuthenticatorTarget,
  openAuthenticator,
  type SealAuthenticatorOptions,
  sealAuthenticator,
} from './messages/authenticator.ts'
export type { EncryptedData, MessageName } from './messages/common-fields.ts'
export {
  decodeTgsRep,
  decodeTgsReq,
  encodeTgsReq,
  type GrantedTicket,
  type TgsReq,
  type TgsRequest,
  type TicketGrant,
} from './messages/tgs-req.ts'
export { decodeTicket, encodeTicket, openTicket, type Ticket, type TicketContent } from './messages/ticket.ts'
export {
  createOtpVerifier,
  drawOneTimePassword,
  type OneTimePasswordOptions,
  type OtpRefusal,
  type OtpVerifier,
  type OtpVerifierOptions,
} from './otp/one-time-password.ts'
export { createOtpServer, type OtpServer, type OtpServerCounters, type OtpServerOptions } from './otp/otp-server.ts'
export { formatPrincipal, type PrincipalName, parsePrincipal, trustPrincipal } from './principal.ts'
export { type FollowPrimaryOptions, followPrimary } from './replica/follow-primary.ts'
export { ReplicaFeed, type ReplicaFeedOptions } from './replica/replica-feed.ts'
export { ReplicaTable, type ReplicaTableOptions } from './replica/replica-table.ts'
export { type AcceptContext, acceptVersions } from './versions/accept-versions.ts'
export { type IssueContext, type RotateOptions, type Rotation, rotateVersion } from './versions/issue-version.ts'
export { KeyLedger, type KeyLedgerOptions } from './versions/key-ledger.ts'
export { type KeySink, tableSink, type WantedVersions } from './versions/key-sink.ts'
export { type KeyedPrincipal, type KeyedPrincipalOptions, keyedPrincipal } from './versions/keyed-principal.ts'
export {
  type KeyVault,
  LedgerFile,
  type LedgerStore,
  noLedgerStore,
  type SavedPrincipal,
} from './versions/ledger-store.ts'

export { SocketChannel, type TlsChannel } from './channel/tls-channel.ts'
export { type DialTlsChannelOptions, dialTlsChannel } from './channel/tls-dial.ts'
export {
  createTlsChannelListener,
  type TlsChannelListener,
  type TlsChannelListenerOptions,
} from './channel/tls-listener.ts'
export { acceptAgreement } from './client/agreement/accept.ts'
export { keyFingerprint } from './client/agreement/fingerprint.ts'
export { initiateAgreement } from './client/agreement/initiate.ts'
export type {
  AgreedKey,
  AgreementFault,
  AgreementOutcome,
  AgreementRefusal,
} from './client/agreement/outcome.ts'
export type { AcceptAgreementOptions, InitiateAgreementOptions } from './client/agreement/terms.ts'
export { type ExamineKmeOptions, examineKme, type KmeExamination } from './client/doctor/examine-kme.ts'
export type { KmeCheck, KmeFinding } from './client/doctor/finding.ts'
export { createFrontDoorKms, type FrontDoorOptions, type PeerKms } from './client/front-door-kms.ts'
export { createAccessKms, createProfileKms, type ProfileKmsOptions } from './client/profile-kms.ts'
export { createReceiptTelemetry, type ReceiptTelemetryOptions } from './client/receipt-telemetry.ts'
export { createRemoteKms, type RemoteKmsOptions } from './client/remote-kms.ts'
export type { ConsoleConfig } from './config/console-config.ts'
export { type ControllerConfig, controllerConfigSchema } from './config/controller-config.ts'
export { type FrontConfig, frontConfigSchema } from './config/front-config.ts'
export type { KmeAccess, KmeTlsFiles } from './config/kme-access.ts'
export type { NetworkConfig } from './config/network-config.ts'
export type { OperatorConfig } from './config/operator-config.ts'
export { type LoadedPolicy, loadPolicyFile, parsePolicy } from './config/policy-file.ts'
export { policySchema } from './config/policy-schema.ts'
export type { PeerKme, SaeProfile } from './config/sae-profile.ts'
export { saeProfileSchema } from './config/sae-profile.ts'
export type { SiteConfig, TlsIdentity } from './config/site-config.ts'
export { siteConfigSchema } from './config/site-config.ts'
export { inDatabase, type PostgresStoreConfig } from './config/store-config.ts'
export { unreadable } from './config/tls-files.ts'
export { type PolicyWatcher, watchPolicyFile } from './config/watch-policy.ts'
export {
  type LoadConfigFileOptions,
  type LoadedControllerConfig,
  type LoadedSaeProfile,
  type LoadedSiteConfig,
  loadConfigFile,
  loadControllerConfig,
  loadOperatorConfig,
  loadSaeProfile,
  loadSiteConfig,
  readKmeTlsFiles,
} from './config.ts'
export {
  type CheckConfigOptions,
  CONFIG_ROLES,
  type ConfigFault,
  type ConfigReport,
  type ConfigRole,
  checkConfigFile,
  requireRole,
} from './config-check.ts'
export { type ConsoleRelay, type ConsoleRelayOptions, openConsoleRelay } from './console/console-relay.ts'
export { layOut, type Place } from './console/map-layout.ts'
export { type ControllerServer, type ControllerServerOptions, createControllerServer } from './controller-server.ts'
export { type CreatePkcs12Options, createPkcs12 } from './create-pkcs12.ts'
export {
  ClosedError,
  ConfigError,
  createQkdError,
  InvalidArgumentError,
  isQkdErrorCode,
  KeyNotFoundError,
  KmeResponseError,
  KmeUnreachableError,
  LinkDownError,
  MissingDependencyError,
  NoRouteError,
  PolicyError,
  PoolDesyncError,
  PoolExhaustedError,
  ProtocolError,
  PskHandshakeError,
  QkdError,
  type QkdErrorCode,
  type QkdErrorOptions,
  StoreError,
  UnauthorizedError,
  ViciError,
} from './errors.ts'
export {
  KME_PROFILE_NAMES,
  type KmeProfile,
  type KmeProfileName,
  type KmeRefusal,
  kmeProfiles,
} from './etsi014/kme-profile.ts'
export { etsi014OpenApi, type OpenApiDocument } from './etsi014/openapi/document.ts'
export { createFront, type Front, type LoadedFrontConfig, loadFrontConfig } from './front.ts'
export { createHttpsTransport, type HttpsTransportOptions } from './http/https-transport.ts'
export { createSocketTransport } from './http/socket-transport.ts'
export type { Alarm, Alarms } from './interface/alarm.ts'
export type { AuditEntry, AuditLog } from './interface/audit.ts'
export type {
  Incident,
  IncidentEffect,
  IncidentSelector,
  IncidentSite,
  IncidentState,
  IncidentView,
} from './interface/incident.ts'
export type {
  GetKeyOptions,
  Key,
  KeyReceipt,
  Kms,
  KmsCallOptions,
  KmsDirectory,
  KmsStatus,
  PoolOutlook,
  SecurityLevel,
  TrustClass,
} from './interface/kms.ts'
export type { AbortOptions, Closable, Unsubscribe } from './interface/lifecycle.ts'
export type { Logger } from './interface/logger.ts'
export type { MessageChannel } from './interface/message-channel.ts'
export type {
  DrainTarget,
  LinkView,
  NetworkController,
  NetworkEvent,
  NetworkStatus,
  NodeSeat,
  PairView,
  SiteView,
} from './interface/network-controller.ts'
export type { LinkReport, NodePlan, NodeReport, RoutedDemand, RoutedPath } from './interface/network-node.ts'
export type {
  OperatorCall,
  OperatorCallName,
  OperatorCalls,
  OperatorContext,
  OperatorIdentity,
  OperatorRole,
} from './interface/operator.ts'
export type { Ownership } from './interface/owner-election.ts'
export type {
  LowPoolResponse,
  PolicyFile,
  PolicyGroup,
  PolicyMatch,
  PolicyRate,
  PolicyReserve,
  PolicyRule,
  PolicyTerms,
  TimeWindow,
  WeekDay,
} from './interface/policy.ts'
export type { Telemetry, TelemetryEvent, TelemetrySource } from './interface/telemetry.ts'
export { exportKey } from './key/export-key.ts'
export { type HkdfOptions, hkdf, hmacKey, hmacTag } from './key/hkdf.ts'
export {
  createMlDsaAuthority,
  issueMlDsaCertificate,
  type MlDsaAuthorityOptions,
  type MlDsaPair,
} from './key/ml-dsa-issue.ts'
export {
  ONE_TIME_TAG_BYTES,
  ONE_TIME_TAG_KEY_BYTES,
  oneTimePad,
  oneTimeTag,
  verifyOneTimeTag,
} from './key/one-time-pad.ts'
export { SecretKey } from './key/secret-key.ts'
export { AuditFile, type AuditFileOptions } from './kms/audit/audit-file.ts'
export type { AuditLine } from './kms/audit/audit-line.ts'
export { type AuditVerdict, verifyAudit } from './kms/audit/verify-audit.ts'
export {
  type ProvenanceVerdict,
  type VerifyProvenanceOptions,
  verifyProvenance,
} from './kms/audit/verify-provenance.ts'
export type { AffectedBlock, AffectedKey, BlastRadius, KeyHolder } from './kms/incident/blast-radius.ts'
export type { IncidentReport } from './kms/incident/incident-calls.ts'
export { searchAuditLogs } from './kms/incident/search-logs.ts'
export { explainPolicy, type PolicyExplanation, unreachableRules } from './kms/policy/explain.ts'
export type { PolicyQuestion } from './kms/policy/policy.ts'
export { inspectStore, type PoolReport, type StoreVerdict, verifyStore } from './kms/store/examine-store.ts'
export type { KekSource } from './kms/store/key-encryption-key.ts'
export { hasNextKek, proposeNextKek } from './kms/store/next-kek.ts'
export { type OpenStore, openStore, type StorePlace } from './kms/store/open-store.ts'
export type { ReplicaReport } from './kms/store/postgres/read-postgres.ts'
export { openStoreToRead } from './kms/store/read-store.ts'
export type { RekeyReport } from './kms/store/slot-file.ts'
export {
  backupStore,
  decodeBackup,
  describeBackup,
  encodeBackup,
  restoreStore,
  type StoreBackup,
} from './kms/store/store-backup.ts'
export { createMetricsServer, type MetricsServerOptions } from './metrics-server.ts'
export { type OperatorAccessOptions, openOperatorClient } from './operator-access.ts'
export { createOperatorClient, type OperatorClient } from './operators/operator-client.ts'
export { mayCall, type Permission, permissions } from './operators/permissions.ts'
export { openPkcs12, type Pkcs12Contents } from './pkcs12.ts'
export {
  type CertificateAuthorityOptions,
  type CertificatePair,
  createCertificateAuthority,
  type IssueOptions,
  issueCertificate,
} from './pki.ts'
export { createFibrePhotons, type FibrePhotonsOptions } from './qll/bb84/link/fibre-photons.ts'
export type { PhotonServer } from './qll/bb84/link/photon-server.ts'
export { BB84_PRESETS, type Bb84Preset } from './qll/bb84/model/presets.ts'
export { type FedRecording, feedRecording } from './qll/replay/feed-recording.ts'
export { listRecording, REPLAY_BLOCK_BYTES, type RecordedFile } from './qll/replay/recording.ts'
export { readSpentMark, type SpentMark } from './qll/replay/spent-mark.ts'
export { type Bridge, type Delivery, promisedBps } from './qll/satellite/promise.ts'
export {
  CURVE_POINTS,
  DESIGN_PRESETS,
  type DesignPoint,
  designCurve,
  type LinkDesign,
} from './qll/simulation/link-design.ts'
export {
  type ExpectedLink,
  type LinkSimulation,
  type LinkSimulationEvent,
  type LinkSimulationOptions,
  simulateLink,
} from './qll/simulation/simulate-link.ts'
export { OpticalSwitch, type SwitchConnection } from './qll/switched/optical-switch.ts'
export {
  addressText,
  type LinkEndAddress,
  planSchedule,
  type ScheduleOptions,
  type Slot,
  type SwitchSchedule,
  type SwitchState,
  stateAt,
  type Turn,
} from './qll/switched/schedule.ts'
export type { SharedLink, SwitchedSite } from './qll/switched/time-shares.ts'
export { describeFilling, describeNetworkEvent, describeNetworkStatus } from './qnl/control/describe-status.ts'
export { describePlan } from './qnl/planner/describe-plan.ts'
export type {
  NetworkDemand,
  NetworkFile,
  NetworkLink,
  NetworkNode,
  RoutingMode,
} from './qnl/planner/network.ts'
export { type OnDemandGrant, type OnDemandRequest, OnDemandRouter } from './qnl/planner/on-demand-router.ts'
export { parseNetworkFile } from './qnl/planner/parse-network-file.ts'
export type { Plan, PlanMethod, PlannedDemand, PlannedLink, PlannedPath } from './qnl/planner/plan.ts'
export { type PlanOptions, planNetwork } from './qnl/planner/plan-network.ts'
export { PlanWorker } from './qnl/planner/plan-worker.ts'
export { RECORDED_FORMATS, type RecordedFormat, readRecordedKeys } from './recorded-keys.ts'
export { type NetworkTrace, parseNetworkTrace, type TraceEvent } from './simulation/network-trace.ts'
export {
  type NetworkSample,
  type NetworkSimulation,
  type SimulatedDemand,
  type SimulatedLinkUse,
  type SimulateNetworkOptions,
  simulateNetwork,
} from './simulation/simulate-network.ts'
export {
  createLocalPair,
  createSite,
  type LocalPairOptions,
  type LocalSiteOptions,
  type ServedSite,
  type Site,
  type SiteOptions,
  type SiteStatus,
} from './site.ts'
export { createLinkService, type LinkService } from './site-link-service.ts'
export { createNetworkNode, dialController, type NetworkNodeServer } from './site-network.ts'
export { lookAtStore, rekeyStore, requireStore, type StoreLook } from './store-look.ts'
export { TelemetryHub } from './telemetry.ts'
// What an integration is built with.
export { AsyncQueue } from './util/async-queue.ts'
export { BackOff, type BackOffOptions } from './util/back-off.ts'
export { ByteReader, ByteWriter } from './util/bytes.ts'
export { type CallDeadline, startDeadline } from './util/call-deadline.ts'
export { certificateIdentity } from './util/certificate-identity.ts'
export { abortable, delay, eitherSignal, requireInteger, withDeadline } from './util/deadline.ts'
export { debugLogger } from './util/debug-logger.ts'
export { ipAddressBytes } from './util/ip-address.ts'
export type { JsonSchema, SchemaFault } from './util/json-schema.ts'
export { Listeners } from './util/listeners.ts'
export { Slots } from './util/slots.ts'
export type { TlsCredentials } from './util/tls-credentials.ts'
export { negotiatedGroup, tlsGroups } from './util/tls-groups.ts'
export { OWNER_FD } from './workers/messages.ts'
export { type ServeWorkerOptions, serveWorker, type WorkerPort } from './workers/serve-worker.ts'
export type { StartWorker } from './workers/worker-process.ts'

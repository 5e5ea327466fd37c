/**
 * The compliance suites: one for each contract between layers, run against every backend of the toolkit and, with this
 * entry point, against yours. Under mocha, or anything that has `describe`, `it`, `before` and `after`:
 *
 * ```ts
 * import { linkCompliance } from 'qkdkit/compliance'
 *
 * linkCompliance({ backend: 'my device', setup: () => openBothEnds(), teardown: ends => ends.close() })
 * ```
 *
 * @packageDocumentation
 */
export type {
  HttpClientRequest,
  HttpHandler,
  HttpRequest,
  HttpResponse,
  HttpTransport,
} from '../../lib/interface/http.ts'
export type { Closable } from '../../lib/interface/lifecycle.ts'
export type { Link, LinkBlock, LinkKind, LinkSecrecy, LinkState, LinkStatus } from '../../lib/interface/link.ts'
export type { Logger } from '../../lib/interface/logger.ts'
export type { MessageChannel } from '../../lib/interface/message-channel.ts'
export type { NetworkController, NetworkStatus, NodeSeat } from '../../lib/interface/network-controller.ts'
export type { LinkReport, NodePlan, NodeReport, RoutedDemand, RoutedPath } from '../../lib/interface/network-node.ts'
export type { PoolStore, SlotStore } from '../../lib/interface/pool-store.ts'
export type { Telemetry, TelemetrySource } from '../../lib/interface/telemetry.ts'
export { type AgreementFixture, agreementCompliance } from './agreement.ts'
export { type ClosableFixture, closableCompliance } from './closable.ts'
export { type HttpTransportFixture, httpTransportCompliance } from './http-transport.ts'
export { type KmsFixture, kmsCompliance } from './kms.ts'
export { type KmsMulticastFixture, kmsMulticastCompliance } from './kms-multicast.ts'
export { type LinkFixture, linkCompliance } from './link.ts'
export { type LoggerFixture, loggerCompliance } from './logger.ts'
export { type Cell, compliance } from './matrix.ts'
export { type MessageChannelFixture, messageChannelCompliance } from './message-channel.ts'
export { type NetworkControllerFixture, networkControllerCompliance } from './network-controller.ts'
export { type PoolStoreFixture, poolStoreCompliance } from './pool-store.ts'
export { type QnlFixture, qnlCompliance } from './qnl.ts'
export { slotStoreCompliance } from './slot-store.ts'
export { type ComplianceCase, type Runner, runSuite, type TestSetup } from './suite.ts'
export { telemetryCompliance } from './telemetry.ts'

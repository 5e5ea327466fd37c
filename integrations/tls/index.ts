/**
 * TLS over node:tls in which every session stands on a key of its own from a KMS: `connect` as client, `createServer`
 * or `attach` as server. The client takes a key and names it in its ClientHello; the server reads that ahead of OpenSSL,
 * asks its own KMS for the same key, checks that the client has it, and only then lets node:tls go on with the native
 * socket. (EC)DHE is always mixed in, with ML-KEM where both Nodes have it (24 and later). TLS 1.3, and on request TLS 1.2,
 * where the client names its key later in the handshake.
 *
 * HTTP as client: `QkdAgent` for node:https, `createUndiciConnector` for undici and `fetch`, `connectHttp2`. Never give a
 * `pskCallback` to an `https.Agent`, least of all the global one: an agent pools its connections by host, port and TLS
 * options but not by `pskCallback`, so a request that asks for a key may be sent over a connection that has none, or
 * another's, and the second connection of an agent with a constant key presents a key that is spent.
 *
 * @packageDocumentation
 */
export { type ConnectChannelOptions, connectChannel, type PskChannel } from './channel.ts'
export { type ChannelListener, type ChannelListenerOptions, createChannelListener } from './channel-listener.ts'
export { type ClientPsk, type ClientPskOptions, drawClientPsk } from './client-psk.ts'
export { type ConnectOptions, connect } from './connect.ts'
export { type FailureReason, HandshakeFailure } from './handshake-failure.ts'
export { type ConnectHttp2Options, connectHttp2 } from './http2-session.ts'
export { QkdAgent, type QkdAgentOptions } from './https-agent.ts'
export { formatIdentity, MAX_SAE_ID_BYTES, type PskIdentity, parseIdentity } from './identity.ts'
export { type GateOptions, type PskPeer, type ServerOptionsInput, serverOptions } from './options.ts'
export { createPrefetchingKms, type PrefetchingKms, type PrefetchOptions } from './prefetching-kms.ts'
export type { PskBinding } from './psk.ts'
export { createPskCallbacks, type PskCallbacks, type PskCallbacksOptions } from './psk-callbacks.ts'
export { HandshakeRefusal, type RefusalReason } from './refusal.ts'
export { attach, createServer, type PskServerOptions } from './server.ts'
export { type QkdInfo, qkdInfo } from './session.ts'
export type { PeerOf, SessionOpenerOptions } from './session-opener.ts'
export { TLS12_SUITE_NAMES, type Tls12Suite, type TlsVersionOptions } from './suites.ts'
export { createTunnelEntry, openTunnel, type TunnelEntryOptions, type TunnelPeer } from './tunnel/entry.ts'
export { createTunnelExit, type TunnelExitOptions } from './tunnel/exit.ts'
export type { Tunnel, TunnelAddress, TunnelCounters, TunnelOptions } from './tunnel/tunnel-listener.ts'
export {
  createUndiciConnector,
  type UndiciConnector,
  type UndiciConnectorOptions,
  type UndiciConnectTarget,
} from './undici-connector.ts'

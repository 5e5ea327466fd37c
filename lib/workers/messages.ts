import type { Etsi014Config } from '../config/etsi014-config.ts'
import type { SaeConfig, TlsIdentity } from '../config/site-config.ts'

/** All that a worker needs to serve the hosts of its site. No key is in it, nor a way to one. */
export interface WorkerSetup {
  readonly siteId: string
  readonly tls: TlsIdentity
  readonly saes: readonly SaeConfig[]
  readonly etsi014?: Etsi014Config
  /** Connections that this worker takes at a time. */
  readonly maxConnections: number
}

/** What the owner says to a worker, over the channel that node has between a process and its child. */
export type ToWorker =
  | { readonly type: 'setup'; readonly setup: WorkerSetup }
  /** The hosts of the site are others now. */
  | { readonly type: 'saes'; readonly saes: readonly SaeConfig[] }
  /** A connection of a host comes with it. */
  | { readonly type: 'connection' }
  /** Finish what runs, and end. */
  | { readonly type: 'drain' }

/** What a worker says. */
export type FromWorker =
  /** It runs, and listens at the socket to the owner from now on. */
  | { readonly type: 'started' }
  /** It is set up, and has reached the owner of the pools. */
  | { readonly type: 'ready' }
  /** It has taken the last connection, or found that the host has gone: the next one may come. */
  | { readonly type: 'taken' }

/** Time between two signs of life of owner and worker, in milliseconds. Who is silent for three is gone. */
export const WORKER_HEARTBEAT_MS = 5_000

/** File descriptor at which a worker finds the socket to the owner: after its standard streams and node's own channel. */
export const OWNER_FD = 4

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { StreamChannel } from '../channel/stream-channel.ts'
import type { SaeConfig } from '../config/site-config.ts'
import { createEtsi014Handler } from '../etsi014/handler.ts'
import { saeIdentifier } from '../etsi014/sae-identity.ts'
import { createHttpsServer } from '../http/https-server.ts'
import type { Logger } from '../interface/logger.ts'
import { OwnedDirectory } from '../kms/owner/owned-directory.ts'
import { withDeadline } from '../util/deadline.ts'
import { deferred } from '../util/deferred.ts'
import { type FromWorker, type ToWorker, WORKER_HEARTBEAT_MS, type WorkerSetup } from './messages.ts'

/** How a worker process is reached by its parent: `process` itself fits. */
export interface WorkerPort {
  on(event: 'message', listener: (message: unknown, handle: unknown) => void): unknown
  once(event: 'disconnect', listener: () => void): unknown
  off(event: 'message', listener: (message: unknown, handle: unknown) => void): unknown
  send?: ((message: FromWorker) => unknown) | undefined
}

/** What a worker runs on. */
export interface ServeWorkerOptions {
  readonly port: WorkerPort
  /** The socket to the owner of the pools, inherited from it. */
  readonly owner: Duplex
  readonly logger?: Logger
}

/** How long a worker waits for its owner at the start, in milliseconds. */
const START_MS = 20_000

/**
 * Serves hosts as a worker: TLS, HTTP, who is calling, and JSON. Every key comes from the owner. Resolves when it was asked to
 * end, or when the owner is gone, once what ran is answered.
 */
export async function serveWorker({ port, owner, logger }: ServeWorkerOptions): Promise<void> {
  const over = deferred<void>()
  const setUp = deferred<WorkerSetup>()
  let worker: Worker | undefined
  let saes: readonly SaeConfig[] | undefined
  const onMessage = (message: unknown, handle: unknown) => {
    const said = message as ToWorker
    if (said.type === 'setup') setUp.resolve(said.setup)
    else if (said.type === 'saes') {
      saes = said.saes
      worker?.register(saes)
    } else if (said.type === 'drain') over.resolve()
    else {
      // A connection that its host has closed on the way comes without a handle.
      if (handle !== undefined && handle !== null) worker?.accept(handle as Socket)
      port.send?.({ type: 'taken' })
    }
  }
  port.on('message', onMessage)
  port.once('disconnect', () => over.resolve())
  port.send?.({ type: 'started' })
  try {
    const setup = await Promise.race([setUp.promise, over.promise])
    if (setup === undefined) return
    await using running = new Worker(setup, owner, logger)
    await running.directory.whenConnected({ signal: withDeadline(undefined, START_MS) })
    worker = running
    // The hosts may have become others since it was set up.
    if (saes !== undefined) running.register(saes)
    port.send?.({ type: 'ready' })
    await Promise.race([over.promise, running.directory.ended])
  } finally {
    port.off('message', onMessage)
    owner.destroy()
  }
}

/** The server of one worker. */
class Worker implements AsyncDisposable {
  readonly directory: OwnedDirectory
  readonly #setup: WorkerSetup
  readonly #server
  readonly #logger: Logger | undefined
  #saeIds: ReadonlySet<string> = new Set()
  #handler!: ReturnType<typeof createEtsi014Handler>

  constructor(setup: WorkerSetup, owner: Duplex, logger: Logger | undefined) {
    const { siteId, tls, maxConnections, etsi014 = {} } = setup
    const log = logger === undefined ? {} : { logger }
    this.#setup = setup
    this.#logger = logger
    const channel = new StreamChannel(owner, { peerId: siteId, heartbeatMs: WORKER_HEARTBEAT_MS })
    this.directory = new OwnedDirectory({ siteId, channel, isRegistered: saeId => this.#saeIds.has(saeId), ...log })
    this.register(setup.saes)
    const { clientCertificate, bodyLimitBytes } = etsi014
    this.#server = createHttpsServer({
      ...tls,
      handler: request => this.#handler(request),
      maxConnections,
      ...(clientCertificate !== undefined && { clientCertificate }),
      ...(bodyLimitBytes !== undefined && { bodyLimitBytes }),
      ...log,
    })
  }

  /** Serves these hosts from now on; no connection is dropped for it. */
  register(saes: readonly SaeConfig[]): void {
    const { saeIdentity: sources, clientCertificate: _, maxConnections: __, ...options } = this.#setup.etsi014 ?? {}
    const logger = this.#logger
    this.#saeIds = new Set(saes.map(({ saeId }) => saeId))
    this.#handler = createEtsi014Handler({
      ...options,
      directory: this.directory,
      saeIdentity: saeIdentifier(saes, sources),
      ...(logger && { logger }),
    })
  }

  accept(socket: Socket): void {
    this.#server.accept(socket)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close()
    await this.directory.close()
  }
}

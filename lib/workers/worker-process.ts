import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { StreamChannel } from '../channel/stream-channel.ts'
import type { SaeConfig } from '../config/site-config.ts'
import { ClosedError } from '../errors.ts'
import type { KmsDirectory } from '../interface/kms.ts'
import { type ServeOwnerOptions, serveOwner } from '../kms/owner/serve-owner.ts'
import { abortable, withDeadline } from '../util/deadline.ts'
import { deferred } from '../util/deferred.ts'
import { type FromWorker, OWNER_FD, type ToWorker, WORKER_HEARTBEAT_MS, type WorkerSetup } from './messages.ts'

/** Starts a worker process: `fork` with a pipe at `OWNER_FD`, running `serveWorker`. */
export type StartWorker = () => ChildProcess

/** What a worker process is made from. */
export interface WorkerProcessOptions {
  readonly start: StartWorker
  readonly setup: WorkerSetup
  readonly directory: KmsDirectory
  readonly onUndelivered: NonNullable<ServeOwnerOptions['onUndelivered']>
}

/** A worker that stands still this long with a connection in its hands is ended, in milliseconds. */
const TAKE_MS = 10_000
const START_MS = 60_000
/** Longer than the server of a worker waits for running requests. */
const DRAIN_MS = 8_000

/** The name of a worker on its channel, which nobody else can open. */
const WORKER = 'worker'

/** One worker as its owner sees it, from its start to its end. */
export class WorkerProcess {
  readonly #child: ChildProcess
  readonly #started = deferred<boolean>()
  readonly #ready = deferred<void>()
  /** Resolves when the process is gone and its talk with the owner over, with how it ended. */
  readonly ended: Promise<string>
  /** When it began to serve; undefined before. */
  readyMs: number | undefined
  #isReady = false
  #handing: { timer: NodeJS.Timeout; onTaken: () => void } | undefined

  constructor({ start, setup, directory, onUndelivered }: WorkerProcessOptions) {
    const child = start()
    this.#child = child
    const gone = new Promise<string>(resolve => {
      child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`))
      child.once('error', error => resolve(error.message))
    })
    // Sending to a process that has ended a moment ago is told here, and by its end.
    child.on('error', () => {})
    const serve = async (runs: boolean) => {
      // Where no file descriptor is left node gives a process without any pipes.
      const pipe = child.stdio?.[OWNER_FD] as unknown as Duplex | undefined
      if (!runs || pipe === undefined) {
        pipe?.destroy()
        return undefined
      }
      const channel = new StreamChannel(pipe, { peerId: WORKER, heartbeatMs: WORKER_HEARTBEAT_MS })
      const why = await serveOwner(directory, channel, { siteId: setup.siteId, peerIds: [WORKER], onUndelivered }).then(
        () => undefined,
        (error: Error) => error.message,
      )
      // Without its owner a worker is of no use, and may stand still for good.
      await withinMs(gone, DRAIN_MS).catch(() => this.kill())
      return why
    }
    // Signs of life are looked for only once it runs: on a busy machine a process takes long to start.
    const started = this.#started.promise.then(serve)
    this.ended = gone.then(async how => {
      this.#started.resolve(false)
      const why = await started
      this.#isReady = false
      this.#taken()
      const reason = why === undefined ? how : `${how}: ${why}`
      this.#ready.reject(new ClosedError(`A worker ended at its start (${reason})`))
      return reason
    })
    this.#ready.promise.catch(() => {})
    child.on('message', message => this.#hear(message as FromWorker))
    this.#tell({ type: 'setup', setup })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** It serves, and has no connection under way to it. */
  get isFree(): boolean {
    return this.#isReady && this.#handing === undefined && this.#child.connected
  }

  get isReady(): boolean {
    return this.#isReady
  }

  /** @throws {ClosedError} it ended before it served */
  whenReady(): Promise<void> {
    return withinMs(this.#ready.promise, START_MS).catch(error => {
      this.kill()
      throw error
    })
  }

  /** Gives a host's connection to it; `onTaken` is called when the next one may come, or it has ended. */
  hand(socket: Socket, onTaken: () => void): void {
    // What the process never took is closed by node with the channel to it.
    const timer = setTimeout(() => this.kill(), TAKE_MS).unref()
    this.#handing = { timer, onTaken }
    this.#child.send({ type: 'connection' } satisfies ToWorker, socket, error => {
      if (error) socket.destroy()
    })
  }

  register(saes: readonly SaeConfig[]): void {
    this.#tell({ type: 'saes', saes })
  }

  /** Has it finish what runs; resolves when it is gone. */
  async drain(): Promise<void> {
    this.#tell({ type: 'drain' })
    await withinMs(this.ended, DRAIN_MS).catch(() => this.kill())
    await this.ended
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #hear({ type }: FromWorker): void {
    if (type === 'started') this.#started.resolve(true)
    else if (type === 'taken') this.#taken()
    else {
      this.#isReady = true
      this.readyMs = performance.now()
      this.#ready.resolve()
    }
  }

  #taken(): void {
    const handing = this.#handing
    this.#handing = undefined
    clearTimeout(handing?.timer)
    handing?.onTaken()
  }

  #tell(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message)
  }
}

function withinMs<T>(promise: Promise<T>, ms: number): Promise<T> {
  return abortable(promise, { signal: withDeadline(undefined, ms) })
}

import { createHash } from 'node:crypto'
import type { AuditLog } from '../../interface/audit.ts'
import type { Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import { lp, u64 } from '../../key/lp.ts'
import { MlDsaCertificate } from '../../key/ml-dsa-certificate.ts'
import type { SiteIdentity } from '../../key/site-identity.ts'
import { debugLogger } from '../../util/debug-logger.ts'

/** Keeps the signatures of a log apart from all others that the same key may make. */
export const CHECKPOINT_CONTEXT = 'qkdkit/1 audit checkpoint'
/** How long a line may stand without a signature over it while the site runs, in milliseconds; at most. */
const INTERVAL_MS = 60_000
/** At the end, where others still write. */
const LAST_CHECKPOINTS = 3

/** The last line of a log: its number, and its hash. */
export interface AuditHead {
  readonly n: number
  readonly link: string
}

/** What a log is signed with. */
export interface CheckpointsOptions {
  readonly siteId: string
  readonly log: AuditLog
  readonly head: () => AuditHead
  readonly identity: SiteIdentity
  readonly logger?: Logger
  /** Default a minute. */
  readonly intervalMs?: number
}

/**
 * Signs a site's audit log from time to time with its ML-DSA key, at the start and at the end: what stands before a checkpoint
 * can be altered, left out or exchanged only by who holds that key. Nothing waits for it.
 */
export class Checkpoints implements Closable {
  readonly #options: CheckpointsOptions
  readonly #signer: string
  readonly #timer: NodeJS.Timeout
  #signedN = 0
  #certified = false
  #running: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(options: CheckpointsOptions) {
    this.#options = options
    this.#signer = signerOf(new MlDsaCertificate(options.identity.certificate).publicKey)
    this.#timer = setInterval(() => this.#due(), options.intervalMs ?? INTERVAL_MS)
    this.#timer.unref()
    this.#due()
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    clearInterval(this.#timer)
    // Lines that were on their way when it was made stand before a checkpoint and not under it: the next one covers them.
    for (let count = 0; count < LAST_CHECKPOINTS && this.#options.head().n > this.#signedN; count += 1) {
      this.#due()
      await this.#running
    }
  }

  #due(): void {
    this.#running = this.#running.then(() => this.#sign())
  }

  /** A checkpoint over nothing but the one before says nothing. */
  async #sign(): Promise<void> {
    const { siteId, log, head, identity, logger = debugLogger('audit') } = this.#options
    const { n, link } = head()
    if (n <= this.#signedN || n === 0) return
    const at = new Date().toISOString()
    const signature = Buffer.from(identity.sign(checkpointStatement(siteId, { n, link, at }), CHECKPOINT_CONTEXT))
    const certificate = this.#certified ? {} : { certificate: identity.certificate.toString('base64') }
    const checkpoint = { n, link, at, signature: signature.toString('base64'), signer: this.#signer, ...certificate }
    try {
      await log.record({ event: 'checkpoint', outcome: 'signed', checkpoint })
      this.#certified = true
      // Its own line is signed with the next lines that come.
      this.#signedN = Math.max(n, head().n === n + 1 ? n + 1 : n)
    } catch (error) {
      logger.error({ err: (error as Error).message }, 'The audit log was not signed')
    }
  }
}

/** What a checkpoint signs. */
export function checkpointStatement(siteId: string, { n, link, at }: AuditHead & { readonly at: string }): Uint8Array {
  return lp('qkdkit/1 audit', siteId, u64(n), link, at)
}

/** What a signer is called: the hash of its public key. */
export function signerOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('hex')
}

import { createHmac } from 'node:crypto'
import { request } from 'node:https'
import type { AlarmNotice, AlarmSink } from '../../interface/alarm.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { noticeJson } from '../notice-json.ts'

/** Where alarms are posted. */
export interface WebhookSinkOptions {
  readonly name: string
  /** Begins with `https://`. */
  readonly url: string
  /** Authority that signed the server's certificate (PEM). Default those that Node comes with. */
  readonly ca?: string
  /** Shared secret by which the receiver knows that a notice is ours. Default none is signed. */
  readonly secret?: Buffer
  readonly now?: () => number
}

/**
 * Posts each notice as JSON. With a secret, `x-qkd-signature` is `sha256=` and the HMAC in hex over the time in
 * `x-qkd-timestamp` (seconds since 1970), a full stop and the body. Any answer of 2xx is a delivery; redirections are none.
 */
export class WebhookSink implements AlarmSink {
  readonly name: string
  readonly #options: WebhookSinkOptions

  constructor(options: WebhookSinkOptions) {
    this.name = options.name
    this.#options = options
  }

  deliver(notice: AlarmNotice, { signal }: Required<AbortOptions>): Promise<void> {
    const { url, ca } = this.#options
    const body = Buffer.from(noticeJson(notice))
    const headers = { 'content-type': 'application/json', 'content-length': body.byteLength, ...this.#sign(body) }
    return new Promise((resolve, reject) => {
      // No agent: alarms are rare, and a connection kept open is one that has gone by the next.
      const options = { method: 'POST', headers, signal, agent: false, ...(ca !== undefined && { ca }) } as const
      const outgoing = request(url, options, answer => {
        const { statusCode = 0 } = answer
        // Nothing of the answer matters but its status.
        answer.resume().on('error', () => {})
        outgoing.destroy()
        if (statusCode >= 200 && statusCode < 300) resolve()
        else reject(new Error(`${new URL(url).host} answered ${statusCode}`))
      })
      outgoing.on('error', reject)
      // A server that answers by going over to another protocol ends the request without an error.
      outgoing.on('close', () => reject(new Error(`${new URL(url).host} has closed the connection`)))
      outgoing.end(body)
    })
  }

  async close(): Promise<void> {}

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #sign(body: Buffer): Record<string, string> {
    const { secret, now = Date.now } = this.#options
    if (secret === undefined) return {}
    const timestamp = String(Math.floor(now() / 1000))
    const mac = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex')
    return { 'x-qkd-timestamp': timestamp, 'x-qkd-signature': `sha256=${mac}` }
  }
}

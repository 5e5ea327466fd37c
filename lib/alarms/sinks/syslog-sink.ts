import { createSocket } from 'node:dgram'
import { isIPv6, connect as netConnect, type Socket } from 'node:net'
import { hostname as systemHostname } from 'node:os'
import { connect as tlsConnect } from 'node:tls'
import type { AlarmNotice, AlarmSink } from '../../interface/alarm.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { abortable } from '../../util/deadline.ts'
import { deferred } from '../../util/deferred.ts'
import { syslogMessage } from './syslog-message.ts'

/** Where a syslog receiver is. Messages over TCP, TLS and unix sockets are counted (RFC 6587, 3.4.1; RFC 5425, 4.3). */
export type SyslogAddress =
  | { readonly transport: 'udp'; readonly host: string; readonly port: number }
  | { readonly transport: 'tcp'; readonly host: string; readonly port: number }
  | {
      readonly transport: 'tls'
      readonly host: string
      readonly port: number
      /** Authority that signed the receiver's certificate (PEM). */
      readonly ca: string
      /** What this site shows to a receiver that asks (PEM). Default nothing. */
      readonly identity?: { readonly cert: string; readonly key: string }
    }
  | { readonly transport: 'unix'; readonly path: string }

/** How alarms go to syslog. */
export interface SyslogSinkOptions {
  readonly name: string
  readonly address: SyslogAddress
  /** 0 to 23. Default 16 (`local0`). */
  readonly facility?: number
  /** Default the machine's name. */
  readonly hostname?: string
}

/** Sends each notice as a message of RFC 5424. A connection stays open from one to the next, and is opened anew when it went. */
export class SyslogSink implements AlarmSink {
  readonly name: string
  readonly #options: SyslogSinkOptions
  #connection: Socket | undefined

  constructor(options: SyslogSinkOptions) {
    this.name = options.name
    this.#options = options
  }

  async deliver(notice: AlarmNotice, { signal }: Required<AbortOptions>): Promise<void> {
    const { address, facility = 16, hostname = systemHostname() } = this.#options
    const message = syslogMessage(notice, { facility, hostname, procId: process.pid })
    if (address.transport === 'udp') return await abortable(sendDatagram(message, address), { signal })
    const connection = await this.#connect(signal)
    const framed = Buffer.concat([Buffer.from(`${message.byteLength} `), message])
    const gone = deferred<never>()
    const onClose = () => gone.reject(new Error('The receiver has closed the connection'))
    connection.once('close', onClose)
    const written = new Promise<void>((resolve, reject) => {
      connection.write(framed, error => (error ? reject(error) : resolve()))
    })
    try {
      await abortable(Promise.race([written, gone.promise]), { signal })
    } catch (error) {
      connection.destroy()
      throw error
    } finally {
      connection.off('close', onClose)
    }
  }

  async close(): Promise<void> {
    this.#connection?.end()
    this.#connection?.destroySoon()
    this.#connection = undefined
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #connect(signal: AbortSignal): Promise<Socket> {
    const known = this.#connection
    if (known !== undefined && !known.destroyed && known.writable) return known
    const { address } = this.#options
    if (address.transport === 'udp') throw new Error('UDP has no connection')
    const socket = openStream(address)
    try {
      const ready = address.transport === 'tls' ? 'secureConnect' : 'connect'
      await abortable(new Promise<void>((resolve, reject) => socket.once(ready, resolve).once('error', reject)), {
        signal,
      })
    } catch (error) {
      socket.destroy()
      throw error
    }
    // A receiver says nothing; that it closes is how it says that it is gone.
    socket.on('error', () => {}).resume()
    socket.setNoDelay(true).setKeepAlive(true, 30_000).unref()
    this.#connection = socket
    return socket
  }
}

function openStream(address: Exclude<SyslogAddress, { transport: 'udp' }>): Socket {
  if (address.transport === 'unix') return netConnect(address.path)
  if (address.transport === 'tcp') return netConnect(address.port, address.host)
  const { host, port, ca, identity } = address
  return tlsConnect({ host, port, ca, ...identity, minVersion: 'TLSv1.2' })
}

function sendDatagram(message: Buffer, { host, port }: { host: string; port: number }): Promise<void> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  return new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.send(message, port, host, error => (error ? reject(error) : resolve()))
  }).finally(() => socket.close())
}

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TestCredentials } from './test-certificates.ts'

/** A message of RFC 5424, taken apart. */
export interface SyslogMessage {
  readonly facility: number
  readonly severity: number
  readonly timestamp: string
  readonly hostname: string
  readonly appName: string
  readonly procId: string
  readonly msgId: string
  /** SD-ID and its parameters, unescaped. */
  readonly data: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly text: string
}

/** Takes a message apart by the ABNF of RFC 5424, 6, and nothing looser; throws with what is wrong. */
export function parseSyslog(bytes: Buffer): SyslogMessage {
  // The header and names are ASCII; parameters and the text are UTF-8.
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  const header =
    /^<(0|[1-9]\d{0,2})>1 (\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ([\x21-\x7e]{1,255}) ([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) ([\x21-\x7e]{1,32}) /.exec(
      text,
    )
  if (header === null) throw new Error(`No header of RFC 5424: ${text.slice(0, 80)}`)
  const [whole, priority, timestamp, hostname, appName, procId, msgId] = header as unknown as string[]
  if (Number(priority) > 191) throw new Error(`Priority ${priority} is above 191`)
  let rest = text.slice(whole!.length)
  const data: Record<string, Record<string, string>> = {}
  if (rest.startsWith('-')) rest = rest.slice(1)
  else {
    while (rest.startsWith('[')) {
      const element = /^\[([!#-<>-\\^-~]{1,32})((?: [!#-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*)\]/.exec(rest)
      if (element === null) throw new Error(`No structured data: ${rest.slice(0, 80)}`)
      const [all, id, params] = element as unknown as string[]
      if (data[id!] !== undefined) throw new Error(`SD-ID ${id} stands twice`)
      if (!id!.includes('@')) throw new Error(`SD-ID ${id} is not registered`)
      data[id!] = Object.fromEntries(
        [...params!.matchAll(/ ([^=]+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [
          name!,
          value!.replaceAll(/\\(["\\\]])/g, '$1'),
        ]),
      )
      rest = rest.slice(all!.length)
    }
  }
  if (rest !== '' && !rest.startsWith(' ')) throw new Error(`No space before the message: ${rest.slice(0, 20)}`)
  const said = rest.slice(1)
  return {
    facility: Math.floor(Number(priority) / 8),
    severity: Number(priority) % 8,
    timestamp: timestamp!,
    hostname: hostname!,
    appName: appName!,
    procId: procId!,
    msgId: msgId!,
    data,
    text: said.startsWith('\ufeff') ? said.slice(1) : said,
  }
}

/** A receiver that takes nothing but what the RFCs allow, and keeps it. */
export interface SyslogReceiver extends AsyncDisposable {
  readonly port: number
  readonly messages: SyslogMessage[]
  /** What was no message, in words. */
  readonly faults: string[]
  /** Ends the connections that there are. */
  drop(): void
}

/** Datagrams of one message each (RFC 5426). */
export async function receiveSyslogUdp(): Promise<SyslogReceiver> {
  const socket = createSocket('udp4')
  const kept = keep()
  socket.on('message', bytes => kept.take(bytes))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const close = async () => {
    socket.close()
    await once(socket, 'close')
  }
  return { ...kept, port: socket.address().port, drop: () => {}, [Symbol.asyncDispose]: close }
}

/** A stream of messages behind their lengths (RFC 6587, 3.4.1; RFC 5425, 4.3), with `tls` where certificates are given. */
export async function receiveSyslogStream(
  at: { port: number } | { path: string },
  tls?: TestCredentials,
): Promise<SyslogReceiver> {
  const kept = keep()
  const sockets = new Set<Socket>()
  const onSocket = (socket: Socket) => {
    sockets.add(socket)
    let pending: Buffer = Buffer.alloc(0)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk])
      for (;;) {
        const length = /^([1-9]\d{0,6}) /.exec(pending.subarray(0, 8).toString('latin1'))
        if (length === null) {
          if (pending.byteLength >= 8) kept.faults.push(`No length: ${pending.subarray(0, 20).toString('latin1')}`)
          return
        }
        const start = length[0].length
        const end = start + Number(length[1])
        if (pending.byteLength < end) return
        kept.take(pending.subarray(start, end))
        pending = pending.subarray(end)
      }
    })
  }
  const server: Server =
    tls === undefined
      ? createServer(onSocket)
      : createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true }, onSocket)
  server.listen(at)
  await once(server, 'listening')
  const drop = () => {
    for (const socket of sockets) socket.destroy()
  }
  const close = async () => {
    const closed = once(server, 'close')
    server.close()
    drop()
    await closed
  }
  const port = 'path' in at ? 0 : (server.address() as AddressInfo).port
  return { ...kept, port, drop, [Symbol.asyncDispose]: close }
}

function keep() {
  const messages: SyslogMessage[] = []
  const faults: string[] = []
  const take = (bytes: Buffer) => {
    try {
      messages.push(parseSyslog(bytes))
    } catch (error) {
      faults.push((error as Error).message)
    }
  }
  return { messages, faults, take }
}

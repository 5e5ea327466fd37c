import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { TicketGrant } from '../../integrations/kerberos/messages/tgs-req.ts'
import { encodeRequest } from '../../test/helpers/tgs-client.ts'

/** A KDC of which many tickets are asked. */
export interface LoadTarget {
  readonly port: number
  readonly grant: TicketGrant
  readonly service: string
}

/** How a KDC did. */
export interface LoadResult {
  readonly perSecond: number
  readonly latenciesMs: readonly number[]
}

/** Tag of a TGS-REP; anything else is a refusal. */
const TGS_REP = 0x6d
/** Requests under way at a time: one waits at the KDC while another is answered. */
const CONCURRENCY = 2

/**
 * Asks for a ticket `count` times, each time with a fresh authenticator, over UDP: a connection for each request would cost
 * the KDC more than the request. The requests are made before, so that the client's work does not count.
 */
export async function loadKdc({ port, grant, service }: LoadTarget, count: number): Promise<LoadResult> {
  const requests = Array.from({ length: count }, () => encodeRequest(grant, service))
  const latenciesMs: number[] = []
  const sockets = await Promise.all(Array.from({ length: CONCURRENCY }, () => open(port)))
  const start = performance.now()
  try {
    await Promise.all(
      sockets.map(async socket => {
        for (let request = requests.pop(); request !== undefined; request = requests.pop()) {
          const sentAt = performance.now()
          socket.send(request)
          const [reply] = (await once(socket, 'message', { signal: AbortSignal.timeout(10_000) })) as [Buffer]
          latenciesMs.push(performance.now() - sentAt)
          if (reply[0] !== TGS_REP) throw new Error(`The KDC on port ${port} refuses a ticket for ${service}`)
        }
      }),
    )
  } finally {
    for (const socket of sockets) socket.close()
  }
  return { perSecond: (count / (performance.now() - start)) * 1000, latenciesMs }
}

async function open(port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import {
  decodeTgsRep,
  encodeTgsReq,
  type GrantedTicket,
  type TicketGrant,
} from '../../integrations/kerberos/messages/tgs-req.ts'
import { parsePrincipal } from '../../integrations/kerberos/principal.ts'

const SESSION_ENCTYPES = [20, 18]

/**
 * Asks the KDC on that port of loopback for a ticket, once: unlike MIT's own client it takes the first answer, also where
 * the KDC says that another one may do. Rejects with the number of the KDC's error (RFC 4120, section 7.5.9).
 */
export async function requestTicket(port: number, grant: TicketGrant, service: string): Promise<GrantedTicket> {
  const request = encodeRequest(grant, service)
  return decodeTgsRep(await exchange(port, request), grant.sessionKey)
}

/** A TGS-REQ with a fresh authenticator. */
export function encodeRequest(grant: TicketGrant, service: string): Buffer {
  const server = { ...parsePrincipal(service), nameType: service.startsWith('krbtgt/') ? 2 : 1 }
  return encodeTgsReq(grant, { server, tillMs: Date.now() + 3_600_000, enctypes: SESSION_ENCTYPES })
}

/** Sends one message over TCP (RFC 4120, section 7.2.2) and gives the reply. */
export async function exchange(port: number, message: Buffer): Promise<Buffer> {
  const socket = connect({ host: '127.0.0.1', port })
  try {
    const head = Buffer.alloc(4)
    head.writeUInt32BE(message.byteLength)
    socket.write(Buffer.concat([head, message]))
    return await readMessage(socket)
  } finally {
    socket.destroy()
  }
}

async function readMessage(socket: Socket): Promise<Buffer> {
  let bytes: Buffer = Buffer.alloc(0)
  const signal = AbortSignal.timeout(10_000)
  while (bytes.byteLength < 4 || bytes.byteLength < 4 + bytes.readUInt32BE()) {
    const [chunk] = (await once(socket, 'data', { signal })) as [Buffer]
    bytes = Buffer.concat([bytes, chunk])
  }
  return bytes.subarray(4)
}

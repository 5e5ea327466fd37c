import { type EncryptedData, PVNO, readEncrypted, readVersion, writeEncrypted } from './common-fields.ts'
import { DerReader, derWrite } from './der.ts'
import { encodeTicket, readTicket, type Ticket } from './ticket.ts'

const AP_REQ = 14

/** What a client presents to a service: a ticket, and a proof that it holds the session key (RFC 4120, section 5.5.1). */
export interface ApReq {
  readonly options: number
  readonly ticket: Ticket
  readonly authenticator: EncryptedData
}

/** The AP-REQ in bytes. */
export function encodeApReq({ options, ticket, authenticator }: ApReq): Buffer {
  const { sequence, field, integer, flags, application } = derWrite
  return application(
    AP_REQ,
    sequence(
      field(0, integer(PVNO)),
      field(1, integer(AP_REQ)),
      field(2, flags(options)),
      field(3, encodeTicket(ticket)),
      field(4, writeEncrypted(authenticator)),
    ),
  )
}

/**
 * The AP-REQ in `bytes`. Its ticket names service, encryption type and kvno in the clear, before any key is needed.
 * @throws {ProtocolError} it is none
 */
export function decodeApReq(bytes: Uint8Array): ApReq {
  const reader = new DerReader(bytes)
  const outer = reader.application(AP_REQ)
  reader.end()
  const body = outer.sequence()
  outer.end()
  readVersion(body, { first: 0, type: AP_REQ })
  const options = body.field(2, inner => inner.flags())
  const ticket = body.field(3, readTicket)
  const authenticator = body.field(4, readEncrypted)
  body.end()
  return { options, ticket, authenticator }
}

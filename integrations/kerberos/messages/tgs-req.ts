import { randomBytes } from 'node:crypto'
import { ProtocolError } from '../../../lib/index.ts'
import { decrypt } from '../crypto/encryption.ts'
import type { KerberosKey } from '../enctype.ts'
import { type ApReq, decodeApReq, encodeApReq } from './ap-req.ts'
import { sealAuthenticator } from './authenticator.ts'
import { type MessageName, PVNO, readEncrypted, readKey, readName, readVersion, writeName } from './common-fields.ts'
import { DerReader, derWrite } from './der.ts'
import { readTicket, type Ticket } from './ticket.ts'

const TGS_REQ = 12
const TGS_REP = 13
const KRB_ERROR = 30
/** Preauthentication data that is an AP-REQ under the ticket-granting ticket. */
const PA_TGS_REQ = 1
/** Key usage of a reply under the ticket's session key. */
const TGS_REP_USAGE = 8
const MAX_LIST = 64

/** A client's way to a ticket: the ticket-granting ticket that it holds, and the session key in it. */
export interface TicketGrant {
  readonly client: MessageName
  readonly ticket: Ticket
  readonly sessionKey: KerberosKey
}

/** What a client asks a ticket-granting service for. */
export interface TgsRequest {
  readonly server: MessageName
  /** Milliseconds since 1970. */
  readonly tillMs: number
  /** Encryption types for the session key, the best first. */
  readonly enctypes: readonly number[]
  /** RFC 4120, section 5.4.1; default none. */
  readonly options?: number
  /** 31 bits that come back in the reply; default random. */
  readonly nonce?: number
}

/** A TGS-REQ as a KDC reads it (RFC 4120, section 5.4.1). */
export interface TgsReq {
  readonly apReq: ApReq
  readonly request: Required<TgsRequest>
  /** The bytes that the authenticator's checksum goes over. */
  readonly body: Uint8Array
}

/** A TGS-REQ with a fresh authenticator. */
export function encodeTgsReq(grant: TicketGrant, request: TgsRequest): Buffer {
  const { sequence, field, integer, octets, application } = derWrite
  const body = encodeBody(request)
  const { client, sessionKey, ticket } = grant
  const authenticator = sealAuthenticator({ client, sessionKey, target: 'kdc', body })
  const sealed = { enctype: sessionKey.enctype, kvno: undefined, cipher: authenticator }
  const apReq = encodeApReq({ options: 0, ticket, authenticator: sealed })
  const preauthentication = sequence(field(1, integer(PA_TGS_REQ)), field(2, octets(apReq)))
  return application(
    TGS_REQ,
    sequence(
      field(1, integer(PVNO)),
      field(2, integer(TGS_REQ)),
      field(3, sequence(preauthentication)),
      field(4, body),
    ),
  )
}

function encodeBody({ server, tillMs, enctypes, options = 0, nonce = freshNonce() }: TgsRequest): Buffer {
  const { sequence, field, integer, text, time, flags } = derWrite
  return sequence(
    field(0, flags(options)),
    field(2, text(server.realm)),
    field(3, writeName(server)),
    field(5, time(tillMs)),
    field(7, integer(nonce)),
    field(8, sequence(...enctypes.map(integer))),
  )
}

/**
 * The TGS-REQ in `bytes`.
 * @throws {ProtocolError} it is none, or has no ticket
 */
export function decodeTgsReq(bytes: Uint8Array): TgsReq {
  const outer = new DerReader(bytes).application(TGS_REQ)
  const message = outer.sequence()
  outer.end()
  readVersion(message, { first: 1, type: TGS_REQ })
  const preauthentication = message.optional(3, inner => inner.sequence().list(MAX_LIST, readPreauthentication)) ?? []
  const apReq = preauthentication.find(({ type }) => type === PA_TGS_REQ)
  if (apReq === undefined) throw new ProtocolError('A TGS-REQ has no ticket')
  const { body, request } = message.field(4, inner => ({ body: inner.rest, request: readBody(inner) }))
  message.end()
  return { apReq: decodeApReq(apReq.value), request, body }
}

function readPreauthentication(reader: DerReader): { type: number; value: Buffer } {
  const body = reader.sequence()
  const type = body.field(1, inner => inner.integer())
  return { type, value: body.field(2, inner => inner.octets()) }
}

function readBody(reader: DerReader): Required<TgsRequest> {
  const body = reader.sequence()
  const options = body.field(0, inner => inner.flags())
  body.optional(1, readName)
  const realm = body.field(2, inner => inner.text())
  const name = body.field(3, readName)
  body.optional(4, inner => inner.time())
  const tillMs = body.field(5, inner => inner.time())
  body.optional(6, inner => inner.time())
  const nonce = body.field(7, inner => inner.integer())
  const enctypes = body.field(8, inner => inner.sequence().list(MAX_LIST, each => each.integer()))
  // What may follow: addresses, authorization data, further tickets.
  body.skipRest()
  return { server: { ...name, realm }, tillMs, enctypes, options, nonce }
}

/** A ticket as its client gets it. Who asked owns `sessionKey`. */
export interface GrantedTicket extends TicketGrant {
  readonly nonce: number
}

/**
 * The ticket in a KDC's reply to a TGS-REQ.
 * @throws {ProtocolError} the KDC refused, which the message says with the error's number and text; or it is no reply
 */
export function decodeTgsRep(bytes: Uint8Array, sessionKey: KerberosKey): GrantedTicket {
  const reader = new DerReader(bytes)
  if (reader.next === 0x60 + KRB_ERROR) throw refusal(reader)
  const body = reader.application(TGS_REP).sequence()
  readVersion(body, { first: 0, type: TGS_REP })
  body.optional(2, inner => inner.content(0x30))
  const realm = body.field(3, inner => inner.text())
  const client = { ...body.field(4, readName), realm }
  const ticket = body.field(5, readTicket)
  const { cipher } = body.field(6, readEncrypted)
  // MIT gives this part the tag of an AS-REP (RFC 4120, section 5.4.2 allows either).
  const plain = new DerReader(decrypt(sessionKey, TGS_REP_USAGE, cipher))
  const part = plain.inside(plain.next === 0x79 ? 0x79 : 0x7a).sequence()
  const key = part.field(0, readKey)
  part.field(1, inner => inner.content(0x30))
  const nonce = part.field(2, inner => inner.integer())
  return { client, ticket, sessionKey: key, nonce }
}

function refusal(reader: DerReader): ProtocolError {
  const body = reader.application(KRB_ERROR).sequence()
  readVersion(body, { first: 0, type: KRB_ERROR })
  body.optional(2, inner => inner.time())
  body.optional(3, inner => inner.integer())
  body.field(4, inner => inner.time())
  body.field(5, inner => inner.integer())
  const code = body.field(6, inner => inner.integer())
  body.optional(7, inner => inner.text())
  body.optional(8, readName)
  body.field(9, inner => inner.text())
  body.field(10, readName)
  const text = body.optional(11, inner => inner.text()) ?? ''
  return new ProtocolError(`The KDC refuses with error ${code} (RFC 4120, section 7.5.9) ${text}`.trim(), {
    details: [{ krb_error: code }],
  })
}

function freshNonce(): number {
  return randomBytes(4).readUInt32BE() >>> 1
}

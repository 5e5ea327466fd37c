import { ProtocolError } from '../../../lib/index.ts'
import { type ApReq, decodeApReq } from '../messages/ap-req.ts'
import { DerReader, TAGS } from '../messages/der.ts'

/** Kerberos as a GSS-API mechanism (RFC 4121, section 1). */
const KRB5_OID = '2a864886f712010202'
/** SPNEGO, which wraps it (RFC 4178, section 4.1). */
const SPNEGO_OID = '2b0601050502'
/** Stands before an AP-REQ in a Kerberos token (RFC 4121, section 4.1). */
const AP_REQ_TOKEN = 0x0100
const MAX_MECHANISMS = 16

/** The longest token that is read, in bytes: a ticket with a large PAC fits. */
export const MAX_TOKEN_BYTES = 64 * 1024

/**
 * The AP-REQ in the first token of a client, alone or within SPNEGO. Its ticket names service and kvno in the clear.
 * @throws {ProtocolError} there is none in it
 */
export function readInitialToken(token: Uint8Array): ApReq {
  if (token.byteLength > MAX_TOKEN_BYTES) {
    throw new ProtocolError(`A GSS-API token of ${token.byteLength} bytes is longer than ${MAX_TOKEN_BYTES}`)
  }
  const { mechanism, body } = readFrame(token)
  return readKerberosToken(mechanism === SPNEGO_OID ? readFrame(readMechToken(body)) : { mechanism, body })
}

interface Frame {
  readonly mechanism: string
  readonly body: DerReader
}

/** The frame of every initial token (RFC 2743, section 3.1). */
function readFrame(token: Uint8Array): Frame {
  const outer = new DerReader(token)
  const body = outer.application(0)
  outer.end()
  return { mechanism: body.content(TAGS.oid).toString('hex'), body }
}

function readKerberosToken({ mechanism, body }: Frame): ApReq {
  if (mechanism !== KRB5_OID) throw new ProtocolError('A GSS-API token is for another mechanism than Kerberos')
  const { rest } = body
  if (rest.byteLength < 2 || rest.readUInt16BE() !== AP_REQ_TOKEN) {
    throw new ProtocolError('A Kerberos token begins with no AP-REQ')
  }
  return decodeApReq(rest.subarray(2))
}

/** The token of the mechanism that the client would like best (RFC 4178, section 4.2.1). */
function readMechToken(body: DerReader): Uint8Array {
  const init = body.field(0, inner => inner.sequence())
  init.field(0, inner => inner.sequence().list(MAX_MECHANISMS, each => each.content(TAGS.oid)))
  init.optional(1, inner => inner.content(TAGS.bits))
  const token = init.optional(2, inner => inner.octets())
  if (token === undefined) throw new ProtocolError('A SPNEGO token holds no token of Kerberos')
  return token
}

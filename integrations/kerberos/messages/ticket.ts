import { ProtocolError } from '../../../lib/index.ts'
import { decrypt } from '../crypto/encryption.ts'
import type { KerberosKey } from '../enctype.ts'
import {
  type EncryptedData,
  type MessageName,
  PVNO,
  readEncrypted,
  readKey,
  readName,
  writeEncrypted,
  writeName,
} from './common-fields.ts'
import { DerReader, derWrite } from './der.ts'

/** Key usage of a ticket's encrypted part (RFC 4120, section 7.5.1). */
const TICKET_USAGE = 2

/** A ticket as everybody on the way sees it (RFC 4120, section 5.3). */
export interface Ticket {
  readonly server: MessageName
  readonly encrypted: EncryptedData
}

/** What only the service and the KDC see. The reader owns `sessionKey` and wipes it. */
export interface TicketContent {
  readonly flags: number
  readonly sessionKey: KerberosKey
  readonly client: MessageName
  /** Realms that the client passed through, as RFC 4120, section 3.3.3.2 encodes them. */
  readonly transited: string
  /** Milliseconds since 1970, whole seconds. */
  readonly authTimeMs: number
  readonly startTimeMs: number
  readonly endTimeMs: number
}

/** The ticket in `bytes`, and nothing else. */
export function decodeTicket(bytes: Uint8Array): Ticket {
  const reader = new DerReader(bytes)
  const ticket = readTicket(reader)
  reader.end()
  return ticket
}

/** The ticket in bytes. */
export function encodeTicket({ server, encrypted }: Ticket): Buffer {
  const { sequence, field, integer, text, application } = derWrite
  return application(
    1,
    sequence(
      field(0, integer(PVNO)),
      field(1, text(server.realm)),
      field(2, writeName(server)),
      field(3, writeEncrypted(encrypted)),
    ),
  )
}

/** The ticket that comes next within a message. */
export function readTicket(reader: DerReader): Ticket {
  const outer = reader.application(1)
  const body = outer.sequence()
  outer.end()
  const version = body.field(0, inner => inner.integer())
  if (version !== PVNO) throw new ProtocolError(`A ticket of version ${version} is not known`)
  const realm = body.field(1, inner => inner.text())
  const name = body.field(2, readName)
  const encrypted = body.field(3, readEncrypted)
  body.end()
  return { server: { ...name, realm }, encrypted }
}

/**
 * What a ticket says, to the holder of the service's key.
 * @throws {ProtocolError} the ticket is not sealed under this key, was altered, or is of another encryption type
 */
export function openTicket({ encrypted }: Ticket, key: KerberosKey): TicketContent {
  if (encrypted.enctype !== key.enctype) {
    throw new ProtocolError(`The ticket is sealed under a key of type ${encrypted.enctype}, not ${key.enctype}`)
  }
  const plain = decrypt(key, TICKET_USAGE, encrypted.cipher)
  try {
    return readContent(plain)
  } finally {
    plain.fill(0)
  }
}

function readContent(plain: Uint8Array): TicketContent {
  const body = new DerReader(plain).application(3).sequence()
  const flags = body.field(0, inner => inner.flags())
  const sessionKey = body.field(1, readKey)
  try {
    const realm = body.field(2, inner => inner.text())
    const client = { ...body.field(3, readName), realm }
    const transited = body.field(4, inner => {
      const encoding = inner.sequence()
      encoding.field(0, type => type.integer())
      return encoding.field(1, contents => contents.octets().toString('utf8'))
    })
    const authTimeMs = body.field(5, inner => inner.time())
    const startTimeMs = body.optional(6, inner => inner.time()) ?? authTimeMs
    const endTimeMs = body.field(7, inner => inner.time())
    // What may follow: renewal, addresses, authorization data.
    return { flags, sessionKey, client, transited, authTimeMs, startTimeMs, endTimeMs }
  } catch (error) {
    sessionKey.secret.wipe()
    throw error
  }
}

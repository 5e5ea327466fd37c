import { randomBytes } from 'node:crypto'
import { checksum, checksumType, decrypt, encrypt } from '../crypto/encryption.ts'
import type { KerberosKey } from '../enctype.ts'
import { type MessageName, readName, writeName } from './common-fields.ts'
import { DerReader, derWrite } from './der.ts'

/** Key usages of an authenticator and its checksum (RFC 4120, section 7.5.1): towards a KDC, or a service. */
const USAGES = { kdc: { authenticator: 7, checksum: 6 }, service: { authenticator: 11, checksum: 10 } } as const

/** Whom an authenticator is for. */
export type AuthenticatorTarget = keyof typeof USAGES

/** What a client says of itself, sealed under the session key (RFC 4120, section 5.5.1). */
export interface Authenticator {
  readonly client: MessageName
  /** The client's clock, milliseconds since 1970 with microseconds as fraction. */
  readonly atMs: number
  /** Checksum over what the request carries besides; undefined for none. */
  readonly checksum: Uint8Array | undefined
}

/** Options of `sealAuthenticator`. */
export interface SealAuthenticatorOptions {
  readonly client: MessageName
  readonly sessionKey: KerberosKey
  readonly target: AuthenticatorTarget
  /** What the checksum goes over; none without it. */
  readonly body?: Uint8Array
  /** Default now. Two of one client at the same microsecond count as a replay. */
  readonly atMs?: number
}

/** A fresh authenticator, encrypted. */
export function sealAuthenticator(options: SealAuthenticatorOptions): Buffer {
  const { client, sessionKey, target, body, atMs = Date.now() } = options
  const { sequence, field, integer, text, octets, time, application } = derWrite
  const usage = USAGES[target]
  const sum =
    body === undefined
      ? undefined
      : sequence(
          field(0, integer(checksumType(sessionKey.enctype))),
          field(1, octets(checksum(sessionKey, usage.checksum, body))),
        )
  // The clock gives milliseconds: three random digits more keep two requests of one millisecond apart.
  const microseconds = (Math.floor(atMs) % 1000) * 1000 + (randomBytes(2).readUInt16BE() % 1000)
  const plain = application(
    2,
    sequence(
      field(0, integer(5)),
      field(1, text(client.realm)),
      field(2, writeName(client)),
      field(3, sum),
      field(4, integer(microseconds)),
      field(5, time(atMs)),
    ),
  )
  return encrypt(sessionKey, usage.authenticator, plain)
}

/**
 * What an authenticator says, to a holder of the session key.
 * @throws {ProtocolError} it is not sealed under this key, or malformed
 */
export function openAuthenticator(
  cipher: Uint8Array,
  sessionKey: KerberosKey,
  target: AuthenticatorTarget,
): Authenticator {
  const body = new DerReader(decrypt(sessionKey, USAGES[target].authenticator, cipher)).application(2).sequence()
  body.field(0, inner => inner.integer())
  const realm = body.field(1, inner => inner.text())
  const client = { ...body.field(2, readName), realm }
  const sum = body.optional(3, inner => {
    const fields = inner.sequence()
    fields.field(0, type => type.integer())
    return fields.field(1, value => value.octets())
  })
  const microseconds = body.field(4, inner => inner.integer())
  const atMs = body.field(5, inner => inner.time())
  return { client, atMs: atMs + microseconds / 1000, checksum: sum }
}

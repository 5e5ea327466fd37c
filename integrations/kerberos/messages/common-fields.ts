import { ProtocolError, SecretKey } from '../../../lib/index.ts'
import { ENCTYPES, type Enctype, type KerberosKey } from '../enctype.ts'
import type { PrincipalName } from '../principal.ts'
import { type DerReader, derWrite } from './der.ts'

/** The version of the protocol, in every message. */
export const PVNO = 5
const MAX_COMPONENTS = 16

/** A principal in a message, with its realm beside it (RFC 4120, section 5.2.2). */
export interface MessageName extends PrincipalName {
  readonly nameType: number
}

/** Something encrypted, and what of the key is told in the clear (RFC 4120, section 5.2.9). */
export interface EncryptedData {
  readonly enctype: number
  /** Undefined where the key has no version, as a session key. */
  readonly kvno: number | undefined
  readonly cipher: Uint8Array
}

const { sequence, field, integer, text, octets } = derWrite

/** A name without its realm. */
export function writeName({ nameType, components }: Omit<MessageName, 'realm'>): Buffer {
  return sequence(field(0, integer(nameType)), field(1, sequence(...components.map(text))))
}

/** The name that comes next, without its realm. */
export function readName(reader: DerReader): Omit<MessageName, 'realm'> {
  const body = reader.sequence()
  const nameType = body.field(0, inner => inner.integer())
  const components = body.field(1, inner => inner.sequence().list(MAX_COMPONENTS, each => each.text()))
  body.end()
  if (components.length === 0) throw new ProtocolError('A Kerberos message is malformed: a name has no components')
  return { nameType, components }
}

/** Something encrypted, in bytes. */
export function writeEncrypted({ enctype, kvno, cipher }: EncryptedData): Buffer {
  return sequence(
    field(0, integer(enctype)),
    field(1, kvno === undefined ? undefined : integer(kvno)),
    field(2, octets(cipher)),
  )
}

/** What comes next, which is encrypted. */
export function readEncrypted(reader: DerReader): EncryptedData {
  const body = reader.sequence()
  const enctype = body.field(0, inner => inner.integer())
  const kvno = body.optional(1, inner => inner.integer())
  const cipher = body.field(2, inner => inner.octets())
  body.end()
  return { enctype, kvno, cipher }
}

/** The key in a message; of another type than those served, a `ProtocolError`. */
export function readKey(reader: DerReader): KerberosKey {
  const body = reader.sequence()
  const enctype = servedEnctype(body.field(0, inner => inner.integer()))
  const secret = SecretKey.copyOf(body.field(1, inner => inner.octets()))
  body.end()
  return { enctype, secret }
}

/** The message's protocol version and type, which open most messages from field `first` on. */
export function readVersion(body: DerReader, { first, type }: { first: number; type: number }): void {
  const version = body.field(first, inner => inner.integer())
  const found = body.field(first + 1, inner => inner.integer())
  if (version === PVNO && found === type) return
  throw new ProtocolError(`A Kerberos message of version ${version}, type ${found} came in place of type ${type}`)
}

/** `number` if it is a type that is served. */
export function servedEnctype(number: number): Enctype {
  const profile = ENCTYPES.find(({ enctype }) => enctype === number)
  if (profile !== undefined) return profile.enctype
  throw new ProtocolError(`Encryption type ${number} is not served`)
}

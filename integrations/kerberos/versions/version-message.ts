import { type AbortOptions, type MessageChannel, ProtocolError } from '../../../lib/index.ts'
import { ENCTYPES, type Enctype } from '../enctype.ts'
import { parsePrincipal } from '../principal.ts'

const MAX_BYTES = 8_192

/** Why an acceptor does not take a version. */
export type VersionRefusal =
  /** It does not know the principal, or not from this issuer. */
  | 'unknown-principal'
  /** It takes none of that encryption type. */
  | 'enctype'
  /** Tickets would live longer than it retains keys. */
  | 'retention'
  /** Nobody announced that version here. */
  | 'unknown-version'
  /** The two did not come to the same key. */
  | 'no-agreement'
  /** It could not put the key where it is needed. */
  | 'not-installed'

/** What the agents of issuer and acceptor say to each other besides the agreement itself. */
export type VersionMessage =
  /** Issuer: let us agree on this version. `ticketLifeSeconds` bounds how long tickets under it live. */
  | {
      readonly type: 'propose'
      readonly principal: string
      readonly epoch: number
      readonly enctypes: readonly Enctype[]
      readonly ticketLifeSeconds: number
    }
  /** Acceptor: begin. */
  | { readonly type: 'accept'; readonly principal: string; readonly epoch: number }
  /** Acceptor: that one is taken; the newest that it ever had is this. */
  | { readonly type: 'newer'; readonly principal: string; readonly epoch: number }
  /** Acceptor: tickets under this version are understood from now on. */
  | { readonly type: 'installed'; readonly principal: string; readonly epoch: number; readonly keyId: string }
  /** Issuer: this version is in use from now on. */
  | { readonly type: 'use'; readonly principal: string; readonly epoch: number }
  /** Acceptor: noted, at this time of its clock (milliseconds since 1970). */
  | { readonly type: 'noted'; readonly principal: string; readonly epoch: number; readonly atMs: number }
  | { readonly type: 'refuse'; readonly principal: string; readonly reason: VersionRefusal; readonly text: string }

const REASONS: readonly VersionRefusal[] = [
  'unknown-principal',
  'enctype',
  'retention',
  'unknown-version',
  'no-agreement',
  'not-installed',
]

/** Sends one message. */
export async function sendVersionMessage(
  channel: MessageChannel,
  message: VersionMessage,
  options?: AbortOptions,
): Promise<void> {
  await channel.send(Buffer.from(JSON.stringify(message)), options)
}

/**
 * The next message; undefined when the other end has closed.
 * @throws {ProtocolError} it is none of those above
 */
export async function receiveVersionMessage(
  channel: MessageChannel,
  options?: AbortOptions,
): Promise<VersionMessage | undefined> {
  const bytes = await channel.receive(options)
  return bytes === undefined ? undefined : decodeVersionMessage(bytes)
}

/** The message in `bytes`, with the fields that its type has and no others. */
export function decodeVersionMessage(bytes: Uint8Array): VersionMessage {
  if (bytes.byteLength > MAX_BYTES) throw malformed(`it has ${bytes.byteLength} bytes`)
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw malformed('it is not JSON', cause)
  }
  if (typeof fields !== 'object' || fields === null) throw malformed('it is no object')
  const principal = principalOf(fields.principal)
  const { type } = fields
  switch (type) {
    case 'propose': {
      const ticketLifeSeconds = integer(fields.ticketLifeSeconds, 604_800)
      return { type, principal, epoch: epochOf(fields), enctypes: enctypesOf(fields.enctypes), ticketLifeSeconds }
    }
    case 'accept':
    case 'use':
      return { type, principal, epoch: epochOf(fields) }
    case 'noted': {
      const atMs = integer(fields.atMs, Number.MAX_SAFE_INTEGER)
      return { type, principal, epoch: epochOf(fields), atMs }
    }
    case 'newer':
      return { type, principal, epoch: integer(fields.epoch, Number.MAX_SAFE_INTEGER) }
    case 'installed':
      return { type, principal, epoch: epochOf(fields), keyId: text(fields.keyId, 128) }
    case 'refuse': {
      const reason = REASONS.find(each => each === fields.reason)
      if (reason === undefined) throw malformed('its reason is not known')
      return { type, principal, reason, text: text(fields.text, 1_000) }
    }
    default:
      throw malformed('its type is not known')
  }
}

function principalOf(value: unknown): string {
  try {
    parsePrincipal(String(value))
    return String(value)
  } catch (cause) {
    throw malformed('it names no principal', cause)
  }
}

function epochOf({ epoch }: Record<string, unknown>): number {
  const value = integer(epoch, Number.MAX_SAFE_INTEGER)
  if (value === 0) throw malformed('an epoch is 0')
  return value
}

function enctypesOf(value: unknown): Enctype[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > 8) throw malformed('its encryption types are none')
  return value.map(number => {
    const profile = ENCTYPES.find(({ enctype }) => enctype === number)
    if (profile === undefined) throw malformed('an encryption type is not served')
    return profile.enctype
  })
}

function integer(value: unknown, max: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max) return value
  throw malformed('a number is out of range')
}

/** Printable, because it ends up in logs and on terminals. */
function text(value: unknown, maxChars: number): string {
  if (typeof value === 'string' && value.length <= maxChars && /^[\x20-\x7e]*$/.test(value)) return value
  throw malformed('a text is none')
}

function malformed(why: string, cause?: unknown): ProtocolError {
  return new ProtocolError(`A message of the other Kerberos agent is malformed: ${why}`, { cause })
}

/** What every secret of ours in charon is named with, so that an admin and a restarted agent can tell. */
const PREFIX = 'qkd'

/** The ID under which charon lists a key of a connection. */
export function sharedId(connection: string, keyId: string): string {
  return `${PREFIX}:${connection}:${keyId}`
}

/** What an ID in `get-shared` says; undefined for one that is not ours. */
export function parseSharedId(id: string): { connection: string; keyId: string } | undefined {
  const match = /^qkd:([a-z][a-z0-9-]*):(.+)$/s.exec(id)
  return match === null ? undefined : { connection: match[1]!, keyId: match[2]! }
}

/**
 * The PPK_ID (RFC 8784) under which both gateways know the key. Of a form that charon takes for nothing else: bare, a key_ID
 * could be read as an address or as hex. charon compares without regard to case, so a key_ID with upper-case letters, which
 * only a foreign KME gives, goes in as hex.
 */
export function ppkId(connection: string, keyId: string): string {
  return `${plainName(keyId)}@${connection}.qkd`
}

/** What the responder lets an initiator name. */
export function ppkIdPattern(connection: string): string {
  return `*@${connection}.qkd`
}

function plainName(keyId: string): string {
  return /^[a-z0-9-]+$/.test(keyId) ? keyId : `x${Buffer.from(keyId, 'utf8').toString('hex')}`
}

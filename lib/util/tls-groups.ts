import { createSecureContext, type TLSSocket } from 'node:tls'

const HYBRID = 'X25519MLKEM768'
const CLASSICAL = 'X25519:P-256:P-384:P-521'
/** The asterisks ask for a key share of both at once: a peer without ML-KEM costs no second round trip. */
const PREFERRED = `*${HYBRID}:*${CLASSICAL}`

let groups: string | undefined

/**
 * Key exchange groups in our order of preference, as node:tls takes them in `ecdhCurve`. The hybrid with ML-KEM leads
 * where this Node's OpenSSL knows it (3.5 and later); an older one throws at the name, so it is tried once.
 */
export function tlsGroups(): string {
  groups ??= known(PREFERRED) ? PREFERRED : CLASSICAL
  return groups
}

/**
 * The group that a handshake ended with, as its client sees it: OpenSSL tells only the client, so a server has to hear it
 * from there. Undefined where it can't be told.
 */
export function negotiatedGroup(socket: TLSSocket): string | undefined {
  const info = socket.getEphemeralKeyInfo() as { name?: string } | null
  if (info?.name !== undefined) return info.name
  // Node 22 knows the hybrid but has no name for it: of the groups that we offer it is the only one without.
  // TLS 1.2 does not know it, and has suites without any group.
  const nameless = info !== null && socket.getProtocol() === 'TLSv1.3' && tlsGroups() === PREFERRED
  return nameless ? HYBRID : undefined
}

/** True where a recording of the handshake is of no use to a quantum computer. */
export function isPostQuantumGroup(group: string | undefined): boolean {
  return group?.includes('MLKEM') ?? false
}

function known(list: string): boolean {
  try {
    createSecureContext({ ecdhCurve: list })
    return true
  } catch {
    return false
  }
}

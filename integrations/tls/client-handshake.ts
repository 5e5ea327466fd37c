import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { negotiatedGroup, tlsGroups } from '../../lib/index.ts'
import { isNameOf } from './groups.ts'
import { failureOf } from './handshake-failure.ts'
import { type DerivedPsks, LentPsk } from './psk.ts'
import { HandshakeRefusal } from './refusal.ts'
import { type QkdInfo, requirePskSession, requireTls12PskSession, setQkdInfo } from './session.ts'
import type { TlsVersions } from './suites.ts'

/** Options of `clientHandshake`. */
export interface ClientHandshakeOptions extends Pick<ConnectionOptions, 'servername' | 'ALPNProtocols'> {
  /** Stay the caller's, who wipes them. */
  readonly psks: DerivedPsks
  readonly versions: TlsVersions
  readonly identity: string
  readonly session: Omit<QkdInfo, 'group' | 'cipher'>
  readonly requireGroup?: string
  readonly signal: AbortSignal
}

/**
 * One TLS handshake as client over a connected socket, under `psk` and nothing else.
 * @throws {HandshakeFailure} it failed, or ended in another session; the socket is destroyed
 */
export async function clientHandshake(raw: Duplex, options: ClientHandshakeOptions): Promise<TLSSocket> {
  const { identity, requireGroup, servername, ALPNProtocols, session, signal, versions } = options
  const { ciphers, minVersion, tls12Suites } = versions
  const { psk, tls12Psk } = options.psks
  const lent = new LentPsk(psk)
  const lent12 = tls12Psk === undefined ? undefined : new LentPsk(tls12Psk)
  let over = false
  let socket: TLSSocket | undefined
  /** For the ClientHello it is asked before there is a socket; again after a HelloRetryRequest, and where TLS 1.2 was agreed. */
  const pskCallback = () => {
    const { bytes } = (socket?.getProtocol() === 'TLSv1.2' ? lent12 : undefined) ?? lent
    return over ? null : { psk: bytes, identity }
  }
  socket = connectTls({
    socket: raw,
    servername,
    ALPNProtocols,
    ciphers,
    minVersion,
    ecdhCurve: requireGroup ?? tlsGroups(),
    // No authority is trusted and the result is not left to NODE_TLS_REJECT_UNAUTHORIZED: a certificate can't stand in.
    ca: [],
    rejectUnauthorized: true,
    // Asked in TLS 1.2 alone, where a session under a key has no certificate whose name could be looked at.
    checkServerIdentity: (_, certificate) =>
      Object.keys(certificate).length === 0
        ? undefined
        : new HandshakeRefusal('downgrade', 'The server has a certificate'),
    pskCallback,
  })
  try {
    await secured(socket, { signal })
    if (socket.getProtocol() === 'TLSv1.2') requireTls12PskSession(socket, tls12Suites)
    else requirePskSession(socket)
    const group = groupOf(socket, requireGroup)
    setQkdInfo(socket, { ...session, group, cipher: socket.getCipher().name })
    return socket
  } catch (error) {
    socket.destroy()
    if (signal.aborted) throw error
    throw failureOf(error, { peerSaeId: session.slaveSaeId, requireGroup })
  } finally {
    over = true
    lent.wipe()
    lent12?.wipe()
  }
}

function secured(socket: TLSSocket, { signal }: { signal: AbortSignal }): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const onClose = () => reject(new HandshakeRefusal('closed', 'The peer closed during the handshake'))
    const onAbort = () => reject(signal.reason)
    const settle = () => {
      socket.off('secureConnect', onSecure).off('close', onClose)
      signal.removeEventListener('abort', onAbort)
    }
    const onSecure = () => {
      settle()
      socket.off('error', onError)
      resolve()
    }
    // Stays on after a failure: destroying the socket may bring another error that nobody else hears.
    const onError = (error: Error) => {
      settle()
      reject(error)
    }
    socket.on('secureConnect', onSecure).on('error', onError).on('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}

function groupOf(socket: TLSSocket, requireGroup: string | undefined): string | undefined {
  if (requireGroup === undefined) return negotiatedGroup(socket)
  // Only this group was offered, so OpenSSL has seen to it; where Node can name it, it is looked at as well.
  const { name = undefined } = (socket.getEphemeralKeyInfo() ?? {}) as { name?: string }
  if (name === undefined || isNameOf(name, requireGroup)) return requireGroup
  throw new HandshakeRefusal('downgrade', `The handshake used the group ${name}, not ${requireGroup}`)
}

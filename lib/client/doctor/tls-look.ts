import { isIP } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import type { CertificateIdentity } from '../../interface/http.ts'
import { certificateIdentity } from '../../util/certificate-identity.ts'
import { mutualTlsOptions, type TlsCredentials } from '../../util/tls-credentials.ts'
import { negotiatedGroup } from '../../util/tls-groups.ts'

/** Where a KME is, and how to come there. */
export interface KmeAddress {
  readonly host: string
  readonly port: number
  readonly credentials: TlsCredentials
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** What one handshake tells. */
export interface TlsLook {
  readonly version: string
  readonly suite: string
  readonly group: string | undefined
  readonly identity: CertificateIdentity
  readonly validFrom: Date
  readonly validTo: Date
  /** Why the KME's certificate is not to be trusted; undefined where it is. */
  readonly mistrust: string | undefined
  /** Names that the certificate may be reached by. */
  readonly alternativeNames: string | undefined
  /** The own certificate, as it was shown. */
  readonly own: { readonly identity: CertificateIdentity; readonly validTo: Date } | undefined
}

/** Shakes hands with our certificate, whatever the KME's is worth, and says what came of it. */
export async function lookAtTls(address: KmeAddress): Promise<TlsLook> {
  const socket = await shakeHands(address, {
    ...mutualTlsOptions(address.credentials, FROM_1_2),
    checkServerIdentity: nothingWrong,
  })
  try {
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) throw new Error('The KME showed no certificate')
    const own = socket.getX509Certificate()
    const named = isIP(address.host) === 0 ? certificate.checkHost(address.host) : certificate.checkIP(address.host)
    const chain = socket.authorizationError as unknown as Error | string | undefined
    const misnamed = named === undefined ? `it does not name ${address.host}` : undefined
    return {
      version: socket.getProtocol() ?? 'unknown',
      suite: socket.getCipher().standardName,
      group: negotiatedGroup(socket),
      identity: certificateIdentity(certificate),
      validFrom: new Date(certificate.validFrom),
      validTo: new Date(certificate.validTo),
      mistrust: chain ? String((chain as Error).message ?? chain) : misnamed,
      alternativeNames: certificate.subjectAltName,
      own: own && { identity: certificateIdentity(own), validTo: new Date(own.validTo) },
    }
  } finally {
    socket.destroy()
  }
}

/** True if the KME still takes TLS 1.0 or 1.1. */
export async function takesOldTls(address: KmeAddress): Promise<boolean> {
  const { ca, key, cert, pfx, passphrase } = address.credentials
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  const credentials = { ca: ca as string, key, cert, pfx, passphrase }
  try {
    ;(await shakeHands(address, { ...credentials, ...old, checkServerIdentity: nothingWrong })).destroy()
    return true
  } catch {
    return false
  }
}

/** The status that a caller without a certificate is answered; undefined where it gets no answer. */
export async function statusWithoutCertificate(address: KmeAddress, target: string): Promise<number | undefined> {
  try {
    const ca = address.credentials.ca as string
    const socket = await shakeHands(address, { ca, minVersion: 'TLSv1.2', checkServerIdentity: nothingWrong })
    return await new Promise(resolve => {
      let heard = ''
      const end = () => {
        clearTimeout(timer)
        socket.destroy()
        const status = /^HTTP\/1\.[01] (\d{3})/.exec(heard)?.[1]
        resolve(status === undefined ? undefined : Number(status))
      }
      const timer = setTimeout(end, address.timeoutMs)
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        heard += chunk
        if (heard.length >= 12) end()
      })
      socket.once('error', end).once('close', end)
      socket.write(`GET ${target} HTTP/1.1\r\nhost: ${address.host}\r\nconnection: close\r\n\r\n`)
    })
  } catch {
    return undefined
  }
}

const FROM_1_2 = { minVersion: 'TLSv1.2', server: false } as const
/** Names are looked at afterwards: a wrong one shall be told, not end the look. */
const nothingWrong = () => undefined

function shakeHands({ host, port, timeoutMs, signal }: KmeAddress, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const servername = isIP(host) === 0 ? { servername: host } : {}
    const socket = connect({
      ...options,
      ...servername,
      host,
      port,
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
    })
    const settle = (error: Error | undefined) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      if (error === undefined) resolve(socket)
      else {
        socket.once('error', () => {}).destroy()
        reject(error)
      }
    }
    const onAbort = () => settle(signal.reason as Error)
    const timer = setTimeout(() => settle(new Error(`no handshake within ${timeoutMs} ms`)), timeoutMs)
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', settle)
    socket.once('close', () => settle(new Error('the connection was closed during the handshake')))
    socket.once('secureConnect', () => settle(undefined))
  })
}

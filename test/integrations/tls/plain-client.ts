import { hkdfSync } from 'node:crypto'
import { type ConnectionOptions, connect } from 'node:tls'
import { exportKey, type Key, type Kms } from '../../../lib/index.ts'

/** What node:tls itself needs to be a client under a key: worked out from the documentation alone, without our code. */
export function pskOptions(identity: string, psk: Uint8Array): ConnectionOptions {
  return {
    ciphers: 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256',
    minVersion: 'TLSv1.3',
    ca: [],
    pskCallback: () => ({ psk, identity }),
  }
}

/** The same for TLS 1.2. */
export function tls12Options(identity: string, psk: Uint8Array): ConnectionOptions {
  return {
    ciphers: 'ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES256-CBC-SHA384:ECDHE-PSK-AES128-CBC-SHA256',
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.2',
    ca: [],
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ psk, identity }),
  }
}

/** A fresh key of alice for bob as options for TLS 1.2. */
export async function drawTls12Options(
  alice: Kms,
): Promise<{ key: Key; identity: string; options: ConnectionOptions }> {
  const [key] = (await alice.getKey('bob', { sizeBits: 256 })) as [Key]
  const identity = `q1~alice~${key.keyId}`
  return { key, identity, options: tls12Options(identity, rolePsk(key, 'tls12')) }
}

/** A fresh key of alice for bob as such options. */
export async function drawPskOptions(alice: Kms): Promise<{ key: Key; identity: string; options: ConnectionOptions }> {
  const [key] = (await alice.getKey('bob', { sizeBits: 256 })) as [Key]
  const identity = `q1~alice~${key.keyId}`
  return { key, identity, options: pskOptions(identity, rolePsk(key)) }
}

/** What becomes of a handshake by node:tls alone: `session`, or the alert with which it failed. */
export function outcome({ port }: { port: number }, options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ...options })
  return new Promise(resolve => {
    socket.on('secureConnect', () => socket.resume().end(() => resolve('session')))
    socket.on('error', ({ message }) => resolve(`alert ${/alert number (\d+)/.exec(message)?.[1] ?? message}`))
  })
}

/** The pre-shared key that binding `role` makes of a key of alice for bob. */
export function rolePsk(key: Key, protocol = 'tls13'): Buffer {
  const info = `qkdkit ${protocol}-psk v1|client=alice|server=bob|${key.keyId}`
  return Buffer.from(hkdfSync('sha256', exportKey(key.secret), '', info, 32))
}

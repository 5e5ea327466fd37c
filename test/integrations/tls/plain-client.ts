import { hkdfSync } from 'node:crypto'
import type { ConnectionOptions } from 'node:tls'
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

/** A fresh key of alice for bob as such options. */
export async function drawPskOptions(alice: Kms): Promise<{ key: Key; identity: string; options: ConnectionOptions }> {
  const [key] = (await alice.getKey('bob', { sizeBits: 256 })) as [Key]
  const identity = `q1~alice~${key.keyId}`
  return { key, identity, options: pskOptions(identity, rolePsk(key)) }
}

/** The pre-shared key that binding `role` makes of a key of alice for bob. */
export function rolePsk(key: Key): Buffer {
  const info = `qkdkit tls13-psk v1|client=alice|server=bob|${key.keyId}`
  return Buffer.from(hkdfSync('sha256', exportKey(key.secret), '', info, 32))
}

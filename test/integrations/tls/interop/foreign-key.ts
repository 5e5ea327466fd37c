import type { ConnectOptions } from '../../../../integrations/tls/index.ts'
import { exportKey, type Key, SecretKey } from '../../../../lib/index.ts'
import type { TlsPair } from '../tls-pair.ts'

/** A key of alice for bob as programs of others take it. Its bytes are worth nothing once the test is over. */
export interface ForeignKey {
  readonly key: Key
  readonly identity: string
  readonly hex: string
}

export async function drawForeignKey(pair: Pick<TlsPair, 'alice'>): Promise<ForeignKey> {
  const [key] = (await pair.alice.getKey('bob', { sizeBits: 256 })) as [Key]
  return { key, identity: `q1~alice~${key.keyId}`, hex: exportKey(key.secret).toString('hex') }
}

/** Has alice's next connection use a key that was drawn before: such servers must be told it when they start. */
export function useKey(alice: TlsPair['alice'], key: Key): void {
  alice.alter = keys => {
    for (const { secret } of keys) secret.wipe()
    return [{ ...key, secret: SecretKey.adopt(exportKey(key.secret)) }]
  }
}

/** Connects alice to a server of another's make. */
export function connectForeign(pair: TlsPair, key: Key, options: Partial<ConnectOptions>) {
  useKey(pair.alice, key)
  return pair.connect({ binding: 'raw', ...options })
}

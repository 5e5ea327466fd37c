import { ProtocolError } from '../../errors.ts'
import { hkdf } from '../../key/hkdf.ts'
import type { Kem, KemKeyPair } from '../../key/post-quantum.ts'
import type { RecordCipher } from '../../key/record-cipher.ts'
import type { SecretKey } from '../../key/secret-key.ts'

/** What a record holds: bytes of the stream, or a word about its key. */
export const RECORD = { data: 0, offer: 1, answer: 2, turn: 3 } as const

/** Which end of the stream this is. */
export type StreamRole = 'initiator' | 'responder'

/** What a renewal works on. */
export interface KeyRenewalOptions {
  readonly role: StreamRole
  readonly kem: Kem
  readonly outgoing: RecordCipher
  readonly incoming: RecordCipher
  /** How old a key may become before the initiator asks for the next, in milliseconds. */
  readonly renewMs: number
  readonly now: () => number
  /** Seals and sends a record. */
  readonly send: (type: number, body: Uint8Array) => void
}

/**
 * Fresh ML-KEM secrets for a stream that lives long, so that whoever learns its keys loses them again: the initiator
 * offers a public key, the responder answers with a ciphertext, and each mixes the secret into the key of its direction
 * right behind its own word.
 */
export class KeyRenewal {
  /** How often the keys were renewed. */
  count = 0
  readonly #options: KeyRenewalOptions
  #sinceMs: number
  #offered: KemKeyPair | undefined
  /** The responder's secret for the initiator's direction, until that turns. */
  #awaited: SecretKey | undefined

  constructor(options: KeyRenewalOptions) {
    this.#options = options
    this.#sinceMs = options.now()
  }

  /** Called after each record of data that this end sends: records come at least as often as signs of life. */
  check(): void {
    const { role, kem, renewMs, now, send } = this.#options
    if (role !== 'initiator' || this.#offered !== undefined || now() - this.#sinceMs < renewMs) return
    this.#offered = kem.generateKeyPair()
    send(RECORD.offer, this.#offered.publicKey)
  }

  /**
   * A record that is no data.
   * @throws {ProtocolError} it is out of place
   */
  take(type: number, body: Uint8Array): void {
    if (type === RECORD.offer && this.#options.role === 'responder' && this.#awaited === undefined) this.#answer(body)
    else if (type === RECORD.answer && this.#offered !== undefined) this.#accept(body)
    else if (type === RECORD.turn && this.#awaited !== undefined) this.#turn()
    else throw new ProtocolError(`A record of type ${type} is out of place`)
  }

  wipe(): void {
    this.#offered?.wipe()
    this.#awaited?.wipe()
  }

  #answer(publicKey: Uint8Array): void {
    const { kem, outgoing, send } = this.#options
    const { ciphertext, secret } = kem.encapsulate(publicKey)
    send(RECORD.answer, ciphertext)
    outgoing.renew(half(secret, 'responder'))
    this.#awaited = half(secret, 'initiator')
    secret.wipe()
  }

  #accept(ciphertext: Uint8Array): void {
    const { outgoing, incoming, now, send } = this.#options
    const secret = this.#offered!.decapsulate(ciphertext)
    this.#offered!.wipe()
    this.#offered = undefined
    incoming.renew(half(secret, 'responder'))
    send(RECORD.turn, new Uint8Array(0))
    outgoing.renew(half(secret, 'initiator'))
    secret.wipe()
    this.#sinceMs = now()
    this.count += 1
  }

  #turn(): void {
    this.#options.incoming.renew(this.#awaited!)
    this.#awaited = undefined
    this.count += 1
  }
}

function half(secret: SecretKey, from: StreamRole): SecretKey {
  return hkdf(secret, { hash: 'sha512', info: `qkdkit/1 post-quantum link renewal ${from}`, sizeBytes: 32 })
}

import { ProtocolError, UnauthorizedError } from '../../errors.ts'
import { lp } from '../../key/lp.ts'
import { SecretKey } from '../../key/secret-key.ts'
import type { SiteIdentity } from '../../key/site-identity.ts'
import type { BlockLedger } from './block-ledger.ts'
import { PairSecret } from './pair-secret.ts'
import { type MessageFields, type MessageName, PAIR_KEM, type PeerMessage } from './peer-wire.ts'

/** Keeps the signatures of a new root apart from all others that the same key may make. */
const ROOT_CONTEXT = 'qkdkit/1 site root'
const NOTHING = new Uint8Array(0)

/** The way to the peer while a session begins: one question, one answer. */
export interface HandshakeWire {
  send(message: PeerMessage): void
  /** @throws {ProtocolError} another message came */
  expect<N extends MessageName>(name: N): Promise<MessageFields<N>>
}

/** What the agreement works on and with. */
export interface RootAgreementOptions {
  readonly ledger: BlockLedger
  /** Signs for this site, and demands that the peer signs; undefined where neither is. */
  readonly identity: SiteIdentity | undefined
  readonly wire: HandshakeWire
}

/** How two KMSs come to a pair secret, and show each other that they hold it. */
export class RootAgreement {
  readonly #options: RootAgreementOptions

  constructor(options: RootAgreementOptions) {
    this.#options = options
  }

  /**
   * Each side gives 32 fresh bytes inside mutual TLS, and a secret encapsulated under a fresh ML-KEM key of the other: a
   * recording of this connection opens to nobody who breaks only one of the two.
   */
  async agree(poolEpoch: number): Promise<{ root: SecretKey; exchanged: Exchanged }> {
    const { wire, ledger } = this.#options
    const { pair, localSiteId } = ledger
    const isFirst = localSiteId === pair.siteIds[0]
    const kem = PAIR_KEM.generateKeyPair()
    const secrets: SecretKey[] = []
    const own = <T extends SecretKey>(secret: T): T => {
      secrets.push(secret)
      return secret
    }
    try {
      const mine = own(SecretKey.random(32))
      wire.send({ name: 'contribute', half: mine, kemKey: kem.publicKey })
      const { half, kemKey } = await wire.expect('contribute')
      const theirs = own(half)
      const { ciphertext, secret } = encapsulateTo(kemKey)
      const toThem = own(secret)
      wire.send({ name: 'encapsulated', ciphertext })
      const answer = await wire.expect('encapsulated')
      const toUs = own(kem.decapsulate(answer.ciphertext))
      const parts = isFirst ? [mine, theirs, toThem, toUs] : [theirs, mine, toUs, toThem]
      const publics = [kem.publicKey, kemKey, ciphertext, answer.ciphertext] as const
      const exchanged = isFirst ? publics : swapped(publics)
      return { root: PairSecret.combine(parts, pair, poolEpoch, exchanged), exchanged }
    } finally {
      for (const secret of secrets) secret.wipe()
      kem.wipe()
    }
  }

  /**
   * Both prove that they hold the root; of one that was made in this session, also that it was the other site which made it.
   * @throws {ProtocolError} the peer does not hold it
   * @throws {UnauthorizedError} the peer did not sign, or signs and would take nothing unsigned
   */
  async confirm(secret: PairSecret, nonces: [Uint8Array, Uint8Array], exchanged?: Exchanged): Promise<void> {
    const { ledger, identity, wire } = this.#options
    const { localSiteId, remoteSiteId, poolId } = ledger
    const statement = (siteId: string) => lp(poolId, siteId, ...nonces, ...(exchanged ?? []))
    const isSigned = identity !== undefined && exchanged !== undefined
    wire.send({
      name: 'confirm',
      mac: secret.confirmation(localSiteId, nonces),
      certificate: isSigned ? identity.certificate : NOTHING,
      signature: isSigned ? identity.sign(statement(localSiteId), ROOT_CONTEXT) : NOTHING,
    })
    const { mac, ...proof } = await wire.expect('confirm')
    if (!secret.confirms(mac, remoteSiteId, nonces)) throw new ProtocolError('The peer does not hold the pair secret')
    if (isSigned) identity.verify(remoteSiteId, proof, statement(remoteSiteId), ROOT_CONTEXT)
    else if (identity === undefined && proof.certificate.byteLength > 0)
      throw new UnauthorizedError(`${remoteSiteId} signs, and takes nothing unsigned: this configuration has no mlDsa`)
  }
}

/** @throws {ProtocolError} the peer's key is none */
function encapsulateTo(kemKey: Uint8Array): { ciphertext: Uint8Array; secret: SecretKey } {
  try {
    return PAIR_KEM.encapsulate(kemKey)
  } catch (cause) {
    throw new ProtocolError('The peer sent a key that is not one of ML-KEM', { cause })
  }
}

/** What was said in the clear of TLS: both keys, both ciphertexts, in the order of the sorted sites. */
export type Exchanged = readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array]

/** What was exchanged, as the other side wrote it down. */
function swapped([kemKey, theirs, ciphertext, answer]: Exchanged): Exchanged {
  return [theirs, kemKey, answer, ciphertext]
}

import { type AbortOptions, abortable, type Kms, QkdError } from '../../lib/index.ts'
import { type AdmittedConnection, CertificateConnection, PskConnection } from './admitted-connection.ts'
import { binderMatches } from './binder.ts'
import { type ClientHello, parseClientHello } from './client-hello.ts'
import { offersGroup } from './groups.ts'
import { canonicalKeyId, isOurs, type PskIdentity, parseIdentity } from './identity.ts'
import { KeyExchangeConnection } from './key-exchange.ts'
import { type FetchedPsk, KeyQuarantine, type NamedKey, QUARANTINE_MS } from './key-quarantine.ts'
import { LookupLimits } from './lookup-limits.ts'
import type { GateSettings } from './options.ts'
import { derivePsks } from './psk.ts'
import { HandshakeRefusal } from './refusal.ts'
import { CIPHER_NUMBERS, suiteNumbers } from './suites.ts'

const TLS_1_3 = 0x0304
const PSK_DHE_KE = 1
/** Codes with which a KMS says that the peer has no right to the key, or that there is none. */
const NO_SUCH_KEY: ReadonlySet<string> = new Set([
  'ERR_QKD_KEY_NOT_FOUND',
  'ERR_QKD_INVALID_ARGUMENT',
  'ERR_QKD_UNAUTHORIZED',
  'ERR_QKD_POLICY_DENIED',
])

/** Who asks to come in. */
export interface Applicant {
  /** The ClientHello message, header included. */
  readonly hello: Buffer
  readonly address: string | undefined
}

/** Decides on a ClientHello: fetches the key that it names and checks that the client holds it too. */
export class Admission {
  readonly #kms: Kms
  readonly #settings: GateSettings
  readonly #quarantine: KeyQuarantine

  constructor(kms: Kms, settings: GateSettings) {
    this.#kms = kms
    this.#settings = settings
    const limits = new LookupLimits({
      max: settings.maxPending,
      maxPerAddress: settings.maxPendingPerAddress,
      onChange: pending => settings.telemetry?.gauge('tls_pending_lookups', {}, pending),
    })
    this.#quarantine = new KeyQuarantine({
      fetch: (identity, options) => this.#fetch(identity, options),
      acquire: address => limits.acquire(address),
      capacity: settings.maxPending * 4,
      ttlMs: QUARANTINE_MS,
      fetchTimeoutMs: settings.deadlineMs,
    })
  }

  /**
   * Lets one applicant in. A refusal consumes nothing but what the KMS has already handed out, and that is kept.
   * @throws {HandshakeRefusal} it may not come in
   */
  async admit({ hello: message, address }: Applicant): Promise<AdmittedConnection> {
    const hello = parseClientHello(message)
    const { minVersion, tls12Suites, deadlineMs, requireGroup: group } = this.#settings
    if (minVersion === 'TLSv1.2' && !hello.supportedVersions.includes(TLS_1_3)) {
      requireSuite(hello, suiteNumbers(tls12Suites))
      requireOffered(hello, group)
      const find = (identity: Buffer, options: AbortOptions) => abortable(this.#find(identity, address), options)
      return new KeyExchangeConnection({ find, suites: tls12Suites, group, deadlineMs })
    }
    const ours = (hello.psk?.identities ?? []).flatMap((identity, index) => (isOurs(identity) ? [index] : []))
    // Only a client that asks for no key at all may come without one: with an identity of ours it is the key or nothing.
    if (this.#settings.certificate === 'allow' && ours.length === 0) return new CertificateConnection()
    const { identity, truncatedHello, binder } = requireOffer(hello, ours)
    requireOffered(hello, group)
    const named = await this.#find(identity, address)
    if (!binderMatches(named.key.psk, truncatedHello, binder)) throw refused('binder', 'The client has another key')
    if (!named.key.claim()) throw refused('in-use', 'Another handshake has the key')
    return new PskConnection({ ...named, identity: identity.toString('latin1'), group })
  }

  /** The key that an identity names, if it is of a peer of ours and the KMS has it. */
  async #find(identity: Buffer, address: string | undefined): Promise<NamedKey> {
    const names = parseIdentity(identity)
    const binding = names && this.#settings.peers.get(names.masterSaeId)
    if (names === undefined || binding === undefined)
      throw refused('identity', 'The identity names no peer of this port')
    const key = await this.#quarantine.get(names, address)
    return { ...names, slaveSaeId: this.#kms.saeId, binding, key }
  }

  /** Wipes every key held; called when the server has closed. */
  clear(): void {
    this.#quarantine.clear()
  }

  async #fetch({ masterSaeId, keyId }: PskIdentity, { signal }: { signal: AbortSignal }): Promise<FetchedPsk> {
    const binding = this.#settings.peers.get(masterSaeId) ?? 'role'
    const slaveSaeId = this.#kms.saeId
    const timeoutMs = this.#settings.deadlineMs
    const keys = await this.#kms.getKeyWithIds(masterSaeId, [keyId], { signal, timeoutMs }).catch(error => {
      throw asRefusal(error)
    })
    const [key] = keys
    if (keys.length !== 1 || key === undefined || canonicalKeyId(key.keyId) !== keyId) {
      for (const { secret } of keys) secret.wipe()
      throw refused('kms', 'The KMS answered with other keys than the one asked for')
    }
    try {
      const context = { masterSaeId, slaveSaeId, keyId, binding }
      return { ...derivePsks(key.secret, context, this.#settings.minVersion), level: key.level }
    } catch (error) {
      throw refused('short-key', 'The key has no fitting length', error)
    }
  }
}

/** The one identity of ours in a hello that can lead to a session under it. */
function requireOffer(hello: ClientHello, ours: readonly number[]) {
  const { psk, supportedVersions, pskModes } = hello
  if (!supportedVersions.includes(TLS_1_3)) throw refused('version', 'The client does not offer TLS 1.3')
  if (psk === undefined) throw refused('no-psk', 'The client offers no pre-shared key')
  // One key for one connection: a list of guesses would make the KMS spend a key for each.
  const [index, ...others] = ours
  if (index === undefined || others.length > 0) throw refused('identity', `The client offers ${ours.length} identities`)
  if (!pskModes.includes(PSK_DHE_KE)) throw refused('unsuitable', 'The client offers no (EC)DHE with its key')
  requireSuite(hello, CIPHER_NUMBERS)
  const [identity, binder] = [psk.identities[index], psk.binders[index]] as [Buffer, Buffer]
  return { identity, binder, truncatedHello: psk.truncatedHello }
}

function requireSuite({ cipherSuites }: ClientHello, numbers: readonly number[]): void {
  if (cipherSuites.some(suite => numbers.includes(suite))) return
  throw refused('unsuitable', 'The client offers no suite in which the key would be used')
}

/** Found here, it costs no key. */
function requireOffered({ groups }: ClientHello, group: string | undefined): void {
  if (group !== undefined && !offersGroup(groups, group))
    throw refused('unsuitable', `The client does not offer ${group}`)
}

function asRefusal(error: unknown): HandshakeRefusal {
  if (error instanceof HandshakeRefusal) return error
  return error instanceof QkdError && NO_SUCH_KEY.has(error.code)
    ? refused('unknown-key', 'The KMS has no such key for us', error)
    : refused('kms', 'The KMS could not be asked', error)
}

function refused(reason: HandshakeRefusal['reason'], message: string, cause?: unknown): HandshakeRefusal {
  return new HandshakeRefusal(reason, message, { cause })
}

import { InvalidArgumentError } from '../../errors.ts'
import type { AuditCheckpoint } from '../../interface/audit.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { MlDsaCertificate } from '../../key/ml-dsa-certificate.ts'
import { mlDsaSpki } from '../../key/ml-dsa-key.ts'
import { createMlDsa65 } from '../../key/post-quantum.ts'
import { siteUri } from '../../key/site-identity.ts'
import type { AuditLine } from './audit-line.ts'
import { CHECKPOINT_CONTEXT, checkpointStatement, signerOf } from './checkpoints.ts'
import { type AuditVerdict, verifyAudit } from './verify-audit.ts'

/** What an audit log turns out to be, as its site has signed it. */
export interface ProvenanceVerdict extends AuditVerdict {
  readonly siteId: string | undefined
  readonly checkpoints: number
  /** The last line that a checkpoint covers: it and all before it are as the signer wrote them. */
  readonly signedLines: number
  /** When the last checkpoint was made, by the site's clock, as ISO 8601. */
  readonly signedAt: string | undefined
  /** SHA-256 of the public key that has signed last, hex. */
  readonly signer: string | undefined
  /** Blocks of which the log says how they came. */
  readonly blocks: number
  /** Keys that were given out or fetched ... */
  readonly keys: number
  /** ... and how many of these lie in blocks of which the log does not say how they came. */
  readonly keysWithoutOrigin: number
}

/** Options of `verifyProvenance`. */
export interface VerifyProvenanceOptions extends AbortOptions {
  /** Who must have signed: a certificate of the site, of the authority that issues such, or a public key; PEM. Default who says so first. */
  readonly key?: string
}

/**
 * Reads an audit log from first to last and holds it against its own hashes and against the signatures of its site. Ends with the
 * first line that is not as it was written, or not signed by whom it should be.
 * @throws {InvalidArgumentError} `key` is none
 */
export async function verifyProvenance(
  path: string,
  options: VerifyProvenanceOptions = {},
): Promise<ProvenanceVerdict> {
  const { key, signal } = options
  const check = new ProvenanceCheck(key === undefined ? undefined : trustIn(key))
  const verdict = await verifyAudit(path, {
    onLine: line => check.add(line),
    stopAt: () => check.fault,
    ...(signal && { signal }),
  })
  return check.verdict(verdict)
}

/** Whom a signer must be. */
interface Trust {
  /** Why a certificate's holder is not to be trusted; undefined where all is well. */
  faultOf(certificate: MlDsaCertificate, atMs: number): string | undefined
  /** The only key, where it is known without a certificate. */
  readonly publicKey?: Uint8Array
}

class ProvenanceCheck {
  readonly #trust: Trust | undefined
  /** Hashes of the lines since the last checkpoint, by number. */
  readonly #links = new Map<number, string>()
  readonly #origins = new Set<string>()
  #publicKey: Uint8Array | undefined
  #siteId: string | undefined
  #signedAt: string | undefined
  #counts = { checkpoints: 0, signedLines: 0, keys: 0, keysWithoutOrigin: 0 }
  fault: string | undefined

  constructor(trust: Trust | undefined) {
    this.#trust = trust
    this.#publicKey = trust?.publicKey
  }

  add(line: AuditLine): void {
    this.#links.set(line.n - 1, line.follows)
    this.#siteId ??= line.siteId
    if (line.siteId !== this.#siteId) this.fault = `of site ${line.siteId}, in a log of ${this.#siteId}`
    else if (line.event === 'checkpoint') this.fault = this.#checkpoint(line)
    else this.#count(line)
  }

  verdict(verdict: AuditVerdict): ProvenanceVerdict {
    const { checkpoints, ...counts } = this.#counts
    const message = 'no checkpoint has come: nobody has signed this log'
    const unsigned = verdict.ok && checkpoints === 0 ? { line: verdict.lines, message } : undefined
    return {
      ...verdict,
      ok: verdict.ok && unsigned === undefined,
      fault: verdict.fault ?? unsigned,
      siteId: this.#siteId,
      checkpoints,
      ...counts,
      signedAt: this.#signedAt,
      signer: this.#publicKey && signerOf(this.#publicKey),
      blocks: this.#origins.size,
    }
  }

  #checkpoint({ checkpoint, siteId }: AuditLine): string | undefined {
    if (!isWhole(checkpoint)) return 'a checkpoint that lacks a part'
    const { n, link, at, signature, signer, certificate } = checkpoint
    const wrong = certificate === undefined ? undefined : this.#introduce(certificate, { siteId, at })
    if (wrong !== undefined) return `signed by somebody else: ${wrong}`
    if (this.#publicKey === undefined) return 'a checkpoint of a signer whose certificate has not come'
    if (signer !== signerOf(this.#publicKey)) return `signed by somebody else: by the key ${signer.slice(0, 16)}…`
    if (this.#links.get(n) !== link) return `a checkpoint over line ${n}, which is another one or was signed before`
    const statement = checkpointStatement(siteId, { n, link, at })
    const bytes = Buffer.from(signature, 'base64')
    if (!createMlDsa65().verify(this.#publicKey, statement, bytes, CHECKPOINT_CONTEXT))
      return 'a checkpoint whose signature is not one of the signer'
    for (const number of this.#links.keys()) if (number < n) this.#links.delete(number)
    this.#counts.checkpoints += 1
    this.#counts.signedLines = n
    this.#signedAt = at
    return undefined
  }

  /** A signer brings its certificate; another than the one before only where somebody vouches for it. */
  #introduce(certificate: string, { siteId, at }: { siteId: string; at: string }): string | undefined {
    let holder: MlDsaCertificate
    try {
      holder = new MlDsaCertificate(Buffer.from(certificate, 'base64'))
    } catch (error) {
      return (error as Error).message
    }
    if (!holder.uris.includes(siteUri(siteId))) return `its certificate does not name ${siteUri(siteId)}`
    const fault = this.#trust?.faultOf(holder, Date.parse(at))
    if (fault !== undefined) return fault
    const known = this.#publicKey
    if (this.#trust === undefined && known !== undefined && !holder.publicKey.equals(known))
      return 'its key is not the one before; name the authority of both by --key'
    this.#publicKey = holder.publicKey
    return undefined
  }

  #count({ event, outcome, peerSiteId = '', block, blocks = [], keyIds = [] }: AuditLine): void {
    if (event === 'block' && block !== undefined && (outcome === 'made' || outcome === 'received'))
      this.#origins.add(`${peerSiteId}\n${block}`)
    if (outcome !== 'allowed' || (event !== 'issue' && event !== 'deliver')) return
    this.#counts.keys += keyIds.length
    for (const at of keyIds.keys()) {
      const own = blocks.length === 1 ? blocks[0] : blocks[at]
      if (own === undefined || !this.#origins.has(`${peerSiteId}\n${own}`)) this.#counts.keysWithoutOrigin += 1
    }
  }
}

function isWhole(checkpoint: AuditCheckpoint | undefined): checkpoint is AuditCheckpoint {
  const { n, link, at, signature, signer, certificate } = checkpoint ?? ({} as Partial<AuditCheckpoint>)
  const texts = [link, signature, signer, ...(certificate === undefined ? [] : [certificate])]
  return (
    Number.isSafeInteger(n) &&
    typeof at === 'string' &&
    Number.isFinite(Date.parse(at)) &&
    texts.every(text => typeof text === 'string')
  )
}

/** @throws {InvalidArgumentError} the PEM text is no certificate and no public key of ML-DSA-65 */
function trustIn(pem: string): Trust {
  const spki = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----/.exec(pem)?.[1]
  if (spki === undefined) return trustInCertificate(new MlDsaCertificate(pem))
  const publicKey = Buffer.from(spki, 'base64').subarray(-createMlDsa65().publicKeyBytes)
  if (!mlDsaSpki(publicKey).equals(Buffer.from(spki, 'base64')))
    throw new InvalidArgumentError('The key is no public key of ML-DSA-65, as SubjectPublicKeyInfo in PEM form')
  return { publicKey, faultOf: ({ publicKey: theirs }) => (theirs.equals(publicKey) ? undefined : 'another key') }
}

function trustInCertificate(named: MlDsaCertificate): Trust {
  if (named.isAuthority) return { faultOf: (certificate, atMs) => certificate.faultUnder(named, atMs) }
  const { publicKey } = named
  return { publicKey, faultOf: ({ publicKey: theirs }) => (theirs.equals(publicKey) ? undefined : 'another key') }
}

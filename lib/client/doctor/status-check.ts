import { STATUS_MEMBERS } from '../../etsi014/models.ts'
import { decodeStatus } from '../../etsi014/status.ts'
import { formatTarget } from '../../etsi014/target.ts'
import { isKmeCertificate } from '../../http/kme-identity.ts'
import type { CertificateIdentity } from '../../interface/http.ts'
import type { KmsStatus } from '../../interface/kms.ts'
import { type Answer, describeAnswer } from './answer.ts'
import type { KmeNotes } from './finding.ts'
import { ask, type Inquiry, NOBODY } from './refusal-checks.ts'

/** Asks for the state of the pool; undefined where the KME does not tell it. */
export async function checkStatus(inquiry: Inquiry, kme: CertificateIdentity): Promise<KmsStatus | undefined> {
  const { notes, peerSaeId } = inquiry
  const answer = await ask(inquiry, 'GET', formatTarget('status', peerSaeId ?? NOBODY))
  if (answer.status === 401 || answer.status === 403) {
    const unsure = peerSaeId === undefined ? `, or does not know ${NOBODY}` : ''
    const told = `status is answered ${describeAnswer(answer)}: the KME does not know this certificate${unsure}`
    if (peerSaeId === undefined) notes.note('status', told, 'Name an SAE of the other site with --peer')
    else notes.fault('status', 'ERR_QKD_UNAUTHORIZED', told, 'Have this certificate registered as an SAE at the KME')
    return undefined
  }
  if (answer.status !== 200) {
    judgeRefusal(notes, answer, peerSaeId)
    return undefined
  }
  if (peerSaeId === undefined) {
    const told = `status of an SAE that nobody is (${NOBODY}) is answered 200 (clause 5.3 wants it refused)`
    notes.deviation('status', told, 'We ask for the SAEs that you name')
  }
  return read(notes, answer, kme)
}

function judgeRefusal(notes: KmeNotes, answer: Answer, peerSaeId: string | undefined): void {
  const told = `status of ${peerSaeId ?? NOBODY} is answered ${describeAnswer(answer)}`
  if (answer.status === 404) notes.traits.add('not-found-404')
  const fits = answer.status === 400 || answer.status === 503
  if (peerSaeId !== undefined) {
    const code = fits && answer.status === 503 ? 'ERR_QKD_KME_UNREACHABLE' : 'ERR_QKD_INVALID_ARGUMENT'
    notes.fault('status', code, told, 'Check the SAE ID of the other site, and that the KME knows it')
  } else if (fits && answer.shape === 'error') {
    notes.ok('status', `${told}; name an SAE of the other site with --peer to see the pool`)
  } else {
    notes.deviation('status', `${told}, not 400 with an Error (clause 6.5)`, 'We make a typed error of it')
  }
}

function read(notes: KmeNotes, { json }: Answer, kme: CertificateIdentity): KmsStatus | undefined {
  const status = tryDecode(json, false)
  if (status !== undefined) notes.ok('status', describe(status))
  const lenient = status ?? tryDecode(json, true)
  if (lenient === undefined) {
    const missing = STATUS_MEMBERS.filter(name => !Object.hasOwn(Object(json), name))
    const told = `status is not that of table 9 (missing or of another type: ${missing.join(', ') || 'a value'})`
    notes.fault(
      'status',
      'ERR_QKD_KME_RESPONSE',
      told,
      'Report it to the maker; keys may come all the same: try --take-key',
    )
    return undefined
  }
  if (status === undefined) {
    noteSpelling(notes, json)
    const told = `${describe(lenient)}; its members are spelled or typed otherwise than in table 9`
    notes.deviation('status', told, 'Read as what they stand for under the profile')
  }
  checkValues(notes, lenient)
  if (!isKmeCertificate(kme, lenient.sourceKmeId)) {
    notes.note(
      'identity',
      `The certificate does not name the KME ID ${lenient.sourceKmeId} (clause 5.1 wants it confirmed, and says not where)`,
      `Leave kmeId out, or give what the certificate names: ${kme.commonName ?? kme.fingerprint256}`,
    )
  } else notes.ok('identity', `The certificate names the KME ID ${lenient.sourceKmeId}`)
  return lenient
}

function noteSpelling(notes: KmeNotes, json: unknown): void {
  const names = Object.keys(Object(json))
  const { target_KME_ID: target, source_KME_ID: source } = Object(json) as Record<string, unknown>
  if (typeof target === 'number' || typeof source === 'number') notes.traits.add('numeric-id')
  if (names.includes('master_KME_ID')) notes.traits.add('site-names')
  if (names.includes('source_kme_id')) notes.traits.add('any-spelling')
}

function checkValues(notes: KmeNotes, status: KmsStatus): void {
  const { minKeySizeBits: min, keySizeBits: size, maxKeySizeBits: max, storedKeyCount, maxKeyCount } = status
  if (maxKeyCount === 0 && storedKeyCount === 0) notes.traits.add('zero-counters')
  if (!(min > 0 && min <= size && size <= max)) {
    const told = `key sizes do not fit together: min ${min}, default ${size}, max ${max}`
    notes.deviation('status', told, 'Name the size that you need; nothing of ours stands on these')
  } else if (size < 128) {
    notes.traits.add('small-default-size')
    const told = `the default size is ${size}: bytes where the standard has bits, or too short for a key`
    notes.deviation('status', told, 'Name the size that you need; a profile reads bytes as such')
  }
  if (storedKeyCount > maxKeyCount) {
    const told = `it says ${storedKeyCount} keys of at most ${maxKeyCount}`
    notes.deviation('status', told, 'Taken as it is; strict clients of others refuse it')
  }
}

function tryDecode(json: unknown, anySpelling: boolean): KmsStatus | undefined {
  try {
    return decodeStatus(json, { anySpelling })
  } catch {
    return undefined
  }
}

function describe({
  sourceKmeId,
  targetKmeId,
  masterSaeId,
  slaveSaeId,
  storedKeyCount,
  keySizeBits,
}: KmsStatus): string {
  return `${sourceKmeId} has ${storedKeyCount} keys of ${keySizeBits} bits for ${masterSaeId} and ${slaveSaeId} (at ${targetKmeId})`
}

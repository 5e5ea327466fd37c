import { isPostQuantumGroup } from '../../util/tls-groups.ts'
import type { KmeNotes } from './finding.ts'
import { type KmeAddress, lookAtTls, statusWithoutCertificate, type TlsLook, takesOldTls } from './tls-look.ts'

const SOON_MS = 30 * 86_400_000

/** Looks at the handshake and both certificates; undefined where nothing further can be asked. */
export async function checkTls(notes: KmeNotes, address: KmeAddress): Promise<TlsLook | undefined> {
  let look: TlsLook
  try {
    look = await lookAtTls(address)
  } catch (error) {
    address.signal.throwIfAborted()
    notes.fault(
      'connection',
      'ERR_QKD_KME_UNREACHABLE',
      `No TLS session with ${address.host}:${address.port}: ${(error as Error).message}`,
      'Check address and port, that the KME runs, and that it knows the authority of this certificate',
    )
    return undefined
  }
  const { version, suite, group } = look
  notes.ok('connection', `${version}, ${suite}${group === undefined ? '' : `, ${group}`}`)
  if (!isPostQuantumGroup(group)) {
    notes.note(
      'connection',
      'A recording of this session could be opened by a quantum computer, keys included',
      'X25519MLKEM768 is used where both ends have it (Node.js 24 here)',
    )
  }
  checkCertificates(notes, look)
  if (look.mistrust !== undefined) return undefined
  if (await takesOldTls(address)) {
    notes.deviation(
      'old TLS',
      'TLS 1.0 or 1.1 is taken too (clause 5.1 asks for 1.2)',
      'We never offer less than TLS 1.2',
    )
  } else notes.ok('old TLS', 'TLS 1.0 and 1.1 are refused')
  return look
}

/** A caller without a certificate must get no key, and hears so by a failed handshake or by 401. */
export async function checkStranger(notes: KmeNotes, address: KmeAddress, target: string): Promise<void> {
  const status = await statusWithoutCertificate(address, target)
  if (status === undefined) notes.ok('no certificate', 'A caller without a certificate is not let in')
  else if (status === 401) notes.ok('no certificate', 'A caller without a certificate is answered 401')
  else if (status >= 400) {
    const told = `A caller without a certificate is answered ${status}, not 401 (clause 5.1)`
    notes.deviation('no certificate', told, 'Nothing: we always show ours')
  } else {
    notes.fault(
      'no certificate',
      'ERR_QKD_KME_RESPONSE',
      `A caller without a certificate is answered ${status}: whoever reaches this KME gets keys`,
      'Make the KME ask for certificates before any key of it is used',
    )
  }
}

function checkCertificates(
  notes: KmeNotes,
  { identity, validFrom, validTo, mistrust, alternativeNames, own }: TlsLook,
): void {
  const name = identity.commonName ?? identity.fingerprint256
  const dates = `valid ${day(validFrom)} to ${day(validTo)}`
  if (mistrust !== undefined) {
    const names = alternativeNames === undefined ? '' : `; it names ${alternativeNames}`
    notes.fault(
      'certificate',
      'ERR_QKD_KME_UNREACHABLE',
      `The certificate of ${name} is not trusted: ${mistrust} (${dates}${names})`,
      'Give the authority that signed it (--ca), and call the KME by a name that it has',
    )
  } else if (validTo.getTime() - Date.now() < SOON_MS) {
    notes.note('certificate', `${name}, ${dates}: ends soon`, 'Have a new one ready')
  } else notes.ok('certificate', `${name}, ${dates}`)
  if (own === undefined) return
  const self = [own.identity.commonName, ...own.identity.uriSans].filter(part => part !== undefined).join(', ')
  if (own.validTo.getTime() < Date.now()) {
    const told = `Your own certificate (${self}) ended on ${day(own.validTo)}`
    notes.fault('identity', 'ERR_QKD_UNAUTHORIZED', told, 'Have a new one issued')
  } else notes.ok('identity', `You are ${self}, until ${day(own.validTo)}`)
}

const day = (date: Date) => date.toISOString().slice(0, 10)

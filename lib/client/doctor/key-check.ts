import { decodeKeyContainer } from '../../etsi014/key-container.ts'
import { formatTarget } from '../../etsi014/target.ts'
import type { Key, KmsStatus } from '../../interface/kms.ts'
import { describeAnswer, readAnswer } from './answer.ts'
import type { KmeNotes } from './finding.ts'
import type { Inquiry } from './refusal-checks.ts'

/**
 * Draws one key, as the caller has consented to, looks at its container and wipes it. Asked once, whatever comes: the key
 * is spent at the KME.
 */
export async function checkKey(inquiry: Inquiry, peerSaeId: string, status: KmsStatus | undefined): Promise<void> {
  const { transport, notes, signal } = inquiry
  const response = await transport.request({ method: 'GET', target: formatTarget('enc_keys', peerSaeId), signal })
  if (response.status !== 200) {
    const answer = readAnswer(notes, response)
    const told = `enc_keys is answered ${describeAnswer(answer)}`
    if (answer.status === 503)
      notes.note('key', `${told}: there is no key now`, 'Try again when the link has yielded some')
    else if (answer.status === 401) notes.fault('key', 'ERR_QKD_UNAUTHORIZED', told, 'Have this certificate registered')
    else notes.fault('key', 'ERR_QKD_KME_RESPONSE', told, 'See what the KME logs of it')
    return
  }
  const keys = read(notes, response.body)
  for (const key of keys) {
    judge(notes, key, status)
    key.secret.wipe()
  }
  if (keys.length > 1)
    notes.deviation('key', `${keys.length} keys came where one was asked`, 'We refuse such an answer')
}

/** The keys of the container; the body is wiped. */
function read(notes: KmeNotes, body: Uint8Array): Key[] {
  const copy = Buffer.allocUnsafeSlow(body.byteLength)
  copy.set(body)
  try {
    return decodeKeyContainer(body)
  } catch (error) {
    try {
      const keys = decodeKeyContainer(copy, { keysMayBeObject: true })
      notes.traits.add('keys-object')
      notes.deviation(
        'key',
        'keys is an object, not a list of objects (table 11)',
        'Read as a list of one under the profile',
      )
      return keys
    } catch {
      const told = `a key came in a container that can't be read: ${(error as Error).message}`
      notes.fault('key', 'ERR_QKD_KME_RESPONSE', told, 'Try a profile; otherwise report it to the maker')
      return []
    }
  } finally {
    copy.fill(0)
  }
}

function judge(notes: KmeNotes, { keyId, sizeBits, level }: Key, status: KmsStatus | undefined): void {
  notes.ok('key', `one key of ${sizeBits} bits${level === undefined ? '' : `, level ${level}`}, wiped here: ${keyId}`)
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(keyId)) {
    notes.deviation('key', 'key_ID is not a UUID (table 11)', 'Passed on as it is')
  }
  if (status !== undefined && sizeBits !== status.keySizeBits) {
    const told = `the key has ${sizeBits} bits where status says ${status.keySizeBits} by default`
    notes.deviation('key', told, 'Name the size that you need; a key of another size is refused')
  }
}

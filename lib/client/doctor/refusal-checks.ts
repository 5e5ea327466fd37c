import { randomUUID } from 'node:crypto'
import { MESSAGES } from '../../etsi014/models.ts'
import { formatTarget } from '../../etsi014/target.ts'
import type { HttpTransport } from '../../interface/http.ts'
import { type Answer, describeAnswer, readAnswer } from './answer.ts'
import type { KmeCheck, KmeNotes } from './finding.ts'

/** How to ask one KME. */
export interface Inquiry {
  readonly transport: HttpTransport
  readonly notes: KmeNotes
  /** The SAE at the other site; undefined where the caller named none. */
  readonly peerSaeId: string | undefined
  readonly signal: AbortSignal
}

/** Stands for an SAE where none was named; nobody is called so. */
export const NOBODY = 'qkd-doctor-nobody'

const TYPED = 'We make a typed error of it'

/** Requests that no KME can answer with a key: what it says to them, and in which shape. They consume nothing. */
export async function checkRefusals(inquiry: Inquiry): Promise<void> {
  await checkMethods(inquiry)
  await checkPath(inquiry)
  await checkKeyIds(inquiry)
}

/** Sends one request and reads the shape of its answer; never called where a key may come. */
export async function ask(
  { transport, notes, signal }: Inquiry,
  method: string,
  target: string,
  body?: object,
): Promise<Answer> {
  const json = body && { headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body)) }
  return readAnswer(notes, await transport.request({ method, target, signal, ...json }))
}

async function checkMethods(inquiry: Inquiry): Promise<void> {
  const { notes, peerSaeId = NOBODY } = inquiry
  const answer = await ask(inquiry, 'POST', formatTarget('status', peerSaeId), {})
  if (answer.status === 405) notes.ok('methods', 'POST status is refused by 405')
  else {
    notes.deviation(
      'methods',
      `POST status is answered ${describeAnswer(answer)}, not by 405 (table 2: GET)`,
      'We send GET',
    )
  }
}

async function checkPath(inquiry: Inquiry): Promise<void> {
  const { notes, peerSaeId = NOBODY } = inquiry
  const answer = await ask(inquiry, 'GET', `/api/v1/keys/${encodeURIComponent(peerSaeId)}/qkd_doctor`)
  if (answer.status === 404) notes.ok('unknown path', 'A path that is none is refused by 404')
  else
    notes.deviation('unknown path', `A path that is none is answered ${describeAnswer(answer)}`, 'We ask for none such')
}

async function checkKeyIds(inquiry: Inquiry): Promise<void> {
  const { notes, peerSaeId = NOBODY } = inquiry
  const get = (keyId: string) => ask(inquiry, 'GET', formatTarget('dec_keys', peerSaeId, { key_ID: keyId }))
  judge(inquiry, 'malformed key_ID', await get('not-a-uuid'))
  const unknown = await get(randomUUID())
  judge(inquiry, 'unknown key_ID', unknown)
  if (unknown.status === 404) notes.traits.add('key-not-found-404')
  if (unknown.status === 503) notes.traits.add('key-not-found-503')
  if (/^Key .* not found/.test(unknown.message ?? '')) notes.traits.add('key-message-not-found')
  const posted = await ask(inquiry, 'POST', formatTarget('dec_keys', peerSaeId), {
    key_IDs: [{ key_ID: randomUUID() }],
  })
  if ([404, 405, 501].includes(posted.status) && posted.status !== unknown.status) {
    notes.traits.add('no-post')
    const told = `POST dec_keys is answered ${describeAnswer(posted)} (table 2 has it)`
    notes.deviation('POST', told, 'A profile with GET alone asks for one key at a time')
  } else notes.ok('POST', 'POST dec_keys is understood')
}

function judge({ notes, peerSaeId }: Inquiry, check: KmeCheck, answer: Answer): void {
  const told = `dec_keys with ${check === 'malformed key_ID' ? 'a malformed' : 'an unknown'} key_ID is answered ${describeAnswer(answer)}`
  if (answer.status < 400) {
    notes.fault(check, 'ERR_QKD_KME_RESPONSE', told, 'Such a KME gives keys to whoever asks: use none of its keys')
    return
  }
  const refused = answer.status === 400 || answer.status === 401
  const worded = check !== 'unknown key_ID' || answer.status === 401 || answer.message === MESSAGES.keysNotFound
  if (refused && answer.shape === 'error' && worded) notes.ok(check, told)
  else if (answer.status === 401 && peerSaeId === undefined) {
    notes.note(check, told, `${NOBODY} stood for the master: name a real one with --peer for a surer answer`)
  } else if (!refused) notes.deviation(check, `${told}, not 400 or 401 (clause 5.5)`, TYPED)
  else if (answer.shape !== 'error') notes.deviation(check, `${told}, not with an Error (clause 6.5)`, TYPED)
  else notes.deviation(check, `${told}, where clause 6.4 prescribes "${MESSAGES.keysNotFound}"`, TYPED)
}

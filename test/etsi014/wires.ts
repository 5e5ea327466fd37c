import { expect } from 'chai'
import { createEtsi014Handler, type Etsi014HandlerOptions } from '../../lib/etsi014/handler.ts'
import { saeIdentifier } from '../../lib/etsi014/sae-identity.ts'
import type { CertificateIdentity, HttpHandler } from '../../lib/interface/http.ts'
import type { KmsDirectory } from '../../lib/interface/kms.ts'
import { createTestSites, type TestSites } from '../helpers/test-sites.ts'

/*
 * ETSI GS QKD 014 V1.1.1 as a client sees it on the wire. A is alice, the master, at KMS-1; B is bob, the slave, at KMS-2, where
 * carol is his neighbour.
 */

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
  readonly json: any
}

export interface Call {
  method?: string
  headers?: Record<string, string>
  body?: unknown
}

export type Caller = (sae: string | undefined, path: string, call?: Call) => Promise<Answer>

/** The hosts that the handlers of these tests know. */
export const REGISTERED = ['alice', 'bob', 'carol', 'a/b', 'a:b@c'].map(saeId => ({ saeId }))

export const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000'

export const identityOf = (commonName: string): CertificateIdentity => ({
  commonName,
  uriSans: [],
  dnsSans: [],
  fingerprint256: '00'.repeat(32),
  serialNumber: '01',
})

/** The handler of a site, to be called as the SAE of any name. Bodies that are not text become JSON. */
export function openWire(directory: KmsDirectory, options: Partial<Etsi014HandlerOptions> = {}): Caller {
  const handler = createEtsi014Handler({ directory, saeIdentity: saeIdentifier(REGISTERED), ...options })
  return (sae, path, call = {}) => ask(handler, sae, path, call)
}

async function ask(handler: HttpHandler, sae: string | undefined, path: string, call: Call): Promise<Answer> {
  const { method, headers = {}, body } = call
  const response = await handler({
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    target: path.startsWith('/') ? path : `/api/v1/keys/${path}`,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    body: bodyBytes(body),
    identity: sae === undefined ? undefined : identityOf(sae),
    signal: new AbortController().signal,
  })
  const text = Buffer.from(response.body).toString()
  return { status: response.status, headers: response.headers, text, json: JSON.parse(text) }
}

export function bodyBytes(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body
  return Buffer.from(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body))
}

/** Two real sites whose pools are filled, and the way in for each host. */
export interface Wires extends AsyncDisposable {
  readonly sites: TestSites
  readonly A: (path: string, call?: Call) => Promise<Answer>
  readonly B: (path: string, call?: Call) => Promise<Answer>
  readonly carol: (path: string, call?: Call) => Promise<Answer>
  /** KMS-1 as any SAE. */
  readonly kms1: Caller
}

export async function createWires(): Promise<Wires> {
  const sites = await createTestSites({ pool: { targetBlocks: 4 } })
  const [kms1, kms2] = [openWire(sites.sites[0]), openWire(sites.sites[1])]
  await sites.alice.getKey('bob', { timeoutMs: 10_000 })
  return {
    sites,
    kms1,
    A: (path, call) => kms1('alice', path, call),
    B: (path, call) => kms2('bob', path, call),
    carol: (path, call) => kms2('carol', path, call),
    [Symbol.asyncDispose]: () => sites[Symbol.asyncDispose](),
  }
}

/** Expects a refusal in the standard's shape, with that status. */
export function refusal(answer: Answer, status = 400): Answer {
  expect(answer.status, answer.text.slice(0, 200)).to.equal(status)
  expect(answer.headers['content-type']).to.equal('application/json')
  expect(answer.json.message).to.be.a('string').that.is.not.empty
  if (answer.json.details !== undefined) expect(answer.json.details).to.be.an('array')
  return answer
}

/** Expects a key container, and gives its keys. */
export function keysOf(answer: Answer): { key_ID: string; key: string }[] {
  expect(answer.status, answer.text.slice(0, 200)).to.equal(200)
  return answer.json.keys
}

/** A request for keys by their IDs, as a POST. */
export const idsBody = (...ids: string[]): Call => ({ body: { key_IDs: ids.map(id => ({ key_ID: id })) } })

import { createEtsi014Handler, type Etsi014HandlerOptions } from '../../../lib/etsi014/handler.ts'
import { saeIdentifier } from '../../../lib/etsi014/sae-identity.ts'
import type { HttpTransport } from '../../../lib/interface/http.ts'
import type { Logger } from '../../../lib/interface/logger.ts'
import { createTestSites, type LocalTestSitesOptions, type TestSites } from '../../helpers/test-sites.ts'
import { until } from '../../helpers/until.ts'
import { type Answer, bodyBytes, type Call, REGISTERED } from '../wires.ts'
import type { ServedHandler, WayIn } from './ways-in.ts'

/** Names of the two KMEs, as their sites have them. */
export const KMES = ['kme-site-a', 'kme-site-b'] as const

/** One call of a host on the wire. */
export type Ask = (path: string, call?: Call) => Promise<Answer>

/**
 * What the rows of the checklist work with: A is alice, an SAE at KMS-1 and master; B is bob, the slave at KMS-2; C is carol,
 * another SAE at KMS-2.
 */
export interface Checklist extends AsyncDisposable {
  readonly way: WayIn
  readonly A: Ask
  readonly B: Ask
  readonly C: Ask
  /** An SAE of any name at KMS-1 (0) or KMS-2 (1). */
  as(saeId: string, kms?: 0 | 1): Ask
  readonly kmes: readonly [ServedHandler, ServedHandler]
  readonly sites: TestSites
  /** What both servers have logged so far. */
  readonly log: readonly string[]
  /** What both sites have told of themselves so far. */
  readonly trace: readonly string[]
  /** Sets the wall clock of both sites forward. */
  advance(ms: number): void
  /** Two other sites behind the same transport. */
  open(options: ChecklistOptions): Promise<Checklist>
}

export interface ChecklistOptions extends LocalTestSitesOptions {
  readonly handler?: Partial<Etsi014HandlerOptions>
}

/** Two sites behind a transport, their pools filled. */
export async function openChecklist(
  way: WayIn,
  { handler = {}, ...options }: ChecklistOptions = {},
): Promise<Checklist> {
  let aheadMs = 0
  const sites = await createTestSites({
    pool: { targetBlocks: 8, minBlocks: 8 },
    now: () => Date.now() + aheadMs,
    ...options,
  })
  const log: string[] = []
  const trace: string[] = []
  for (const site of sites.sites) {
    site.telemetry.subscribe(event => {
      trace.push(JSON.stringify(event, (_, value) => (typeof value === 'bigint' ? `${value}` : value)))
    })
  }
  const saeIdentity = saeIdentifier(REGISTERED)
  const serve = (kms: 0 | 1) =>
    way.serve(
      createEtsi014Handler({ directory: sites.sites[kms], saeIdentity, logger: logInto(log), ...handler }),
      KMES[kms],
    )
  const kmes = [await serve(0), await serve(1)] as const
  const as = (saeId: string, kms: 0 | 1 = 0) => askOver(kmes[kms].transportOf(saeId))
  await until(async () => (await sites.alice.getStatus('bob')).storedKeyCount > 2_000, 'the pool of A is full')
  await until(async () => (await sites.bob.getStatus('alice')).storedKeyCount > 0, 'the pool of B has key')
  return {
    way,
    A: as('alice'),
    B: as('bob', 1),
    C: as('carol', 1),
    as,
    kmes,
    sites,
    log,
    trace,
    advance: ms => {
      aheadMs += ms
    },
    open: other => openChecklist(way, other),
    [Symbol.asyncDispose]: async () => {
      for (const kme of kmes) await kme[Symbol.asyncDispose]()
      await sites[Symbol.asyncDispose]()
    },
  }
}

/** Calls over a transport as `ask(path, call)`: a path without a slash stands below `/api/v1/keys/`. */
export function askOver(transport: HttpTransport): Ask {
  return async (path, { method, headers = {}, body } = {}) => {
    const response = await transport.request({
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      target: path.startsWith('/') ? path : `/api/v1/keys/${path}`,
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: bodyBytes(body) }),
    })
    const text = Buffer.from(response.body).toString()
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: text === '' ? undefined : JSON.parse(text),
    }
  }
}

function logInto(lines: string[]): Logger {
  const write = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`)
  return { debug: write, info: write, warn: write, error: write }
}

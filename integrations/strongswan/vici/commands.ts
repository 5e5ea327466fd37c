import { numberOf, requireSuccess, sectionOf, sectionsOf, textOf, textsOf } from './answers.ts'
import type { ViciCallOptions } from './connection.ts'
import type { ViciSection } from './message.ts'
import type { ViciSession } from './session.ts'

/** How much longer than charon itself we wait for it, in milliseconds. */
const MARGIN_MS = 2_000

/** A CHILD_SA as charon lists it. */
export interface ListedChild {
  readonly name: string
  readonly uniqueId: string
  readonly reqId: string
  readonly state: string
  readonly bytesIn: number
  readonly bytesOut: number
  readonly packetsIn: number
  readonly packetsOut: number
}

/** An IKE_SA as charon lists it. */
export interface ListedSa {
  /** Name of its connection. */
  readonly name: string
  readonly uniqueId: string
  readonly state: string
  /** True where this end began it. */
  readonly initiator: boolean
  /** True where a PPK went into its keys (RFC 8784). */
  readonly ppk: boolean
  /** Age of it, or of its last rekeying, in seconds. */
  readonly establishedSeconds: number
  readonly remoteHost: string | undefined
  readonly children: readonly ListedChild[]
}

/** charon's own version, such as `5.9.8`. */
export async function charonVersion(session: ViciSession, options?: ViciCallOptions): Promise<string | undefined> {
  return textOf(await session.request('version', {}, options), 'version')
}

/** Loads or replaces a connection; SAs that stand on the former are left alone as long as `start_action` is `none`. */
export async function loadConnection(
  session: ViciSession,
  name: string,
  connection: ViciSection,
  options?: ViciCallOptions,
): Promise<void> {
  requireSuccess('load-conn', await session.request('load-conn', { [name]: connection }, options))
}

/** What charon has of a connection. */
export interface ListedConnection {
  readonly name: string
  /** True where it refuses an IKE_SA without a PPK. */
  readonly ppkRequired: boolean
}

/** Every connection that charon has, or the one of a name. */
export async function listConnections(
  session: ViciSession,
  ike?: string,
  options?: ViciCallOptions,
): Promise<ListedConnection[]> {
  const answers = await session.stream('list-conns', 'list-conn', { ike }, options)
  return answers.flatMap(sectionsOf).map(([name, section]) => {
    return { name, ppkRequired: textOf(section, 'ppk_required') === 'yes' }
  })
}

/** One connection with all that charon says of it; undefined where it has none of that name. */
export async function listConnection(
  session: ViciSession,
  name: string,
  options?: ViciCallOptions,
): Promise<ViciSection | undefined> {
  const answers = await session.stream('list-conns', 'list-conn', { ike: name }, options)
  return answers.map(answer => sectionOf(answer, name)).find(section => section !== undefined)
}

/** IDs of every secret that charon was given with one. */
export async function sharedIds(session: ViciSession, options?: ViciCallOptions): Promise<string[]> {
  return textsOf(await session.request('get-shared', {}, options), 'keys')
}

/** Takes a secret away; that there is none of the ID is no error. */
export async function unloadShared(session: ViciSession, id: string, options?: ViciCallOptions): Promise<void> {
  requireSuccess('unload-shared', await session.request('unload-shared', { id }, options))
}

/** Every IKE_SA, or those of one connection. Those that charon is busy with are left out, never waited for. */
export async function listSas(session: ViciSession, ike?: string, options?: ViciCallOptions): Promise<ListedSa[]> {
  const answers = await session.stream('list-sas', 'list-sa', { noblock: 'yes', ike }, options)
  return answers.flatMap(answer => sectionsOf(answer).map(([name, section]) => listedSa(name, section)))
}

/** The SA as `list-sas` and the updown events show it. */
export function listedSa(name: string, section: ViciSection): ListedSa {
  return {
    name,
    uniqueId: textOf(section, 'uniqueid') ?? '',
    state: textOf(section, 'state') ?? '',
    initiator: textOf(section, 'initiator') === 'yes',
    ppk: textOf(section, 'ppk') === 'yes',
    establishedSeconds: numberOf(section, 'established'),
    remoteHost: textOf(section, 'remote-host'),
    children: sectionsOf(sectionOf(section, 'child-sas')).map(([key, child]) => ({
      name: textOf(child, 'name') ?? key,
      uniqueId: textOf(child, 'uniqueid') ?? '',
      reqId: textOf(child, 'reqid') ?? '',
      state: textOf(child, 'state') ?? '',
      bytesIn: numberOf(child, 'bytes-in'),
      bytesOut: numberOf(child, 'bytes-out'),
      packetsIn: numberOf(child, 'packets-in'),
      packetsOut: numberOf(child, 'packets-out'),
    })),
  }
}

/** Options of the commands that wait for the other gateway. */
export interface ViciWaitOptions extends ViciCallOptions {
  /** How long charon waits for the other gateway, in milliseconds. */
  readonly timeoutMs: number
}

/** Brings a child up, in a new IKE_SA if its connection has changed since the last one; without a child, an IKE_SA alone. */
export async function initiate(
  session: ViciSession,
  names: { readonly ike: string; readonly child?: string },
  { timeoutMs, signal }: ViciWaitOptions,
): Promise<void> {
  // Level -1: what charon has to say comes by the log event, and not twice.
  const message = { ...names, timeout: String(timeoutMs), loglevel: '-1' }
  const answer = await session.request('initiate', message, { signal, timeoutMs: timeoutMs + MARGIN_MS })
  requireSuccess('initiate', answer)
}

/** Begins to rekey an IKE_SA; that it is done is told by the event `ike-rekey`. */
export async function rekeyIke(session: ViciSession, uniqueId: string, options?: ViciCallOptions): Promise<void> {
  requireSuccess('rekey', await session.request('rekey', { 'ike-id': uniqueId }, options))
}

/** Takes an IKE_SA down, whether or not the other gateway answers in time. */
export async function terminateIke(
  session: ViciSession,
  uniqueId: string,
  { timeoutMs, signal }: ViciWaitOptions,
): Promise<void> {
  const message = { 'ike-id': uniqueId, force: 'yes', timeout: String(timeoutMs), loglevel: '-1' }
  const answer = await session.request('terminate', message, { signal, timeoutMs: timeoutMs + MARGIN_MS })
  requireSuccess('terminate', answer)
}

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import { StreamChannel } from '../../channel/stream-channel.ts'
import { InvalidArgumentError, LinkDownError, UnauthorizedError } from '../../errors.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { BackOff, type BackOffOptions } from '../../util/back-off.ts'
import { BlockNumbers } from '../../util/block-numbers.ts'
import { abortable, requireInteger, withDeadline } from '../../util/deadline.ts'
import { listenOn } from '../../util/listen.ts'
import type { Authenticator } from '../bb84/session/authenticator.ts'
import { SharedKeyTranscripts } from '../bb84/session/shared-key-transcripts.ts'
import { EndState } from '../end-state.ts'
import { createMemoryDuplexPair } from '../memory-duplex.ts'
import { initiate, respond } from '../post-quantum/kem-handshake.ts'
import { SimulatedLink } from '../simulated-link.ts'
import { type CheckedLinkOptions, checkLinkOptions, type SimulatedLinkOptions } from '../simulated-link-options.ts'
import { MAX_BATCH_KEYS } from './device-message.ts'
import { DrawingEnd } from './drawing-end.ts'
import { FetchingEnd } from './fetching-end.ts'
import { KmePort, type KmePortOptions } from './kme-port.ts'

/**
 * One end of a link whose key comes out of somebody else's pair of KMEs (ETSI GS QKD 014): the listening end draws keys at
 * the KME of its site, the connecting end fetches the same ones at its own, and both prove to each other that they have the
 * same before a block is used. Between the ends travel key_IDs and tags, sealed under ML-KEM-768 and proved as on every link.
 */
export class Etsi014Link extends SimulatedLink {}

/** What both ends are made from. */
export interface Etsi014LinkOptions extends SimulatedLinkOptions {
  /** The KME of this end. */
  readonly kme: KmePortOptions
  /** Called once the link is closed, to close what was opened for it. Default nothing. */
  readonly release?: () => Promise<void>
}

/** What proves an end. */
interface ProvedOptions extends Etsi014LinkOptions {
  /** `SharedKeyTranscripts` on a pre-shared key, or `SignedTranscripts` on certificates; called for each connection. */
  readonly bootstrap: () => Authenticator
}

/** What the listening end, which draws, is made from. */
export interface Etsi014ListenerOptions extends ProvedOptions {
  /** TCP port; 0 for a free one. */
  readonly port: number
  /** Local address. Default `127.0.0.1`. */
  readonly host?: string
  /** Wall clock that block numbers start from, in milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

/** What the connecting end, which fetches, is made from. */
export interface Etsi014ConnectorOptions extends ProvedOptions {
  /** TCP port of the listening end. */
  readonly port: number
  /** Address of the listening end. Default `127.0.0.1`. */
  readonly host?: string
  /** Pauses between two tries to connect. Default from 100 ms to 5 s. */
  readonly backOff?: BackOffOptions
}

/** What both ends within one process are made from. */
export interface Etsi014PairOptions extends Omit<SimulatedLinkOptions, 'localSiteId' | 'remoteSiteId'> {
  readonly siteIds: readonly [string, string]
  readonly kmes: readonly [KmePortOptions, KmePortOptions]
  /** Wall clock that block numbers start from, in milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

const MAX_CONNECTIONS = 16
const CONNECT_MS = 5_000
const HANDSHAKE_MS = 5_000

/**
 * The listening end, which draws the keys, and the port it listens at.
 * @throws {InvalidArgumentError} an option is out of its range
 * @throws {LinkDownError} it can't listen there
 */
export async function createEtsi014Listener(
  options: Etsi014ListenerOptions,
): Promise<{ link: Etsi014Link; port: number }> {
  const { port, host = '127.0.0.1', now, bootstrap, kme, release: releaseMore, ...common } = options
  requireInteger('port', port, { min: 0, max: 65_535 })
  const near = createDrawing(checkLinkOptions(common), { kme, now, bootstrap })
  const server = createServer({ noDelay: true }, socket => near.accept(socket))
  server.maxConnections = MAX_CONNECTIONS
  const address = await listenOn(server, { host, port }).catch((cause: Error) => {
    throw new LinkDownError(`Link "${options.linkId}" can't listen at ${host}:${port}: ${cause.message}`, { cause })
  })
  // What goes wrong with one connection to come must not end those that stand.
  server.on('error', () => {})
  const stop = promisify(server.close).bind(server)
  const release = async () => {
    near.close()
    await stop()
    await releaseMore?.()
  }
  return { link: new Etsi014Link({ state: near.state, end: near.end, release }), port: address.port }
}

/**
 * The connecting end, which fetches the keys. It connects in the background, and again whenever the connection is lost, until
 * it is closed.
 * @throws {InvalidArgumentError} an option is out of its range
 */
export function createEtsi014Connector(options: Etsi014ConnectorOptions): Etsi014Link {
  const { port, host = '127.0.0.1', bootstrap, backOff, kme, release, ...common } = options
  requireInteger('port', port, { min: 1, max: 65_535 })
  return createFetching(checkLinkOptions(common), {
    kme,
    release,
    bootstrap,
    backOff: new BackOff(backOff),
    open: async signal => {
      const socket = connect({ host, port, noDelay: true })
      try {
        await abortable(once(socket, 'connect'), { signal: withDeadline(signal, CONNECT_MS) })
        return socket
      } catch (error) {
        socket.on('error', () => {}).destroy()
        throw error
      }
    },
  })
}

/**
 * Both ends within one process, the first of which draws, proved by a key that both are given. The caller closes both.
 * @throws {InvalidArgumentError} an option is out of its range
 */
export function createEtsi014Pair(options: Etsi014PairOptions): [Etsi014Link, Etsi014Link] {
  const { siteIds, kmes, now, ...common } = options
  const [first, second] = siteIds
  const secret = SecretKey.random(32)
  const bootstrap = () => new SharedKeyTranscripts(secret)
  const ends = { ...common, localSiteId: first, remoteSiteId: second }
  const near = createDrawing(checkLinkOptions(ends), { kme: kmes[0], now, bootstrap })
  const far = createFetching(checkLinkOptions({ ...common, localSiteId: second, remoteSiteId: first }), {
    kme: kmes[1],
    bootstrap,
    backOff: new BackOff({ minMs: 5, maxMs: 50 }),
    open: async () => {
      const [ours, theirs] = createMemoryDuplexPair()
      near.accept(theirs)
      return ours
    },
  })
  const release = async () => near.close()
  return [new Etsi014Link({ state: near.state, end: near.end, release }), far]
}

function createDrawing(
  checked: CheckedLinkOptions,
  { kme, now, bootstrap }: { kme: KmePortOptions; now: (() => number) | undefined; bootstrap: () => Authenticator },
) {
  const state = new EndState(checked, 'device')
  const end = new DrawingEnd({ state, numbers: new BlockNumbers(now), port: new KmePort(checkKme(kme)) })
  const closing = new AbortController()
  const accept = async (duplex: Duplex) => {
    try {
      end.accept(await proved(respond, duplex, { checked, bootstrap, signal: closing.signal }))
    } catch {
      duplex.on('error', () => {}).destroy()
    }
  }
  return { state, end, accept: (duplex: Duplex) => void accept(duplex), close: () => closing.abort() }
}

function createFetching(
  checked: CheckedLinkOptions,
  {
    kme,
    release = async () => {},
    bootstrap,
    backOff,
    open,
  }: {
    kme: KmePortOptions
    release?: (() => Promise<void>) | undefined
    bootstrap: () => Authenticator
    backOff: BackOff
    open: (signal: AbortSignal) => Promise<Duplex>
  },
): Etsi014Link {
  const state = new EndState(checked, 'device')
  const end = new FetchingEnd({
    state,
    port: new KmePort(checkKme(kme)),
    backOff,
    connect: async ({ signal }) => {
      const duplex = await open(signal)
      return proved(initiate, duplex, { checked, bootstrap, signal }).catch(reason => {
        duplex.on('error', () => {}).destroy()
        throw reason
      })
    },
  })
  return new Etsi014Link({ state, end, release })
}

/** The handshake within its time, and an alarm where somebody failed to prove who it is. */
async function proved(
  shake: typeof initiate,
  duplex: Duplex,
  { checked, bootstrap, signal }: { checked: CheckedLinkOptions; bootstrap: () => Authenticator; signal: AbortSignal },
): Promise<StreamChannel> {
  const { linkId, localSiteId, remoteSiteId, heartbeatMs, telemetry } = checked
  const alarm = { type: 'alarm', id: `link-authentication:${linkId}`, severity: 'critical' } as const
  const handshake = { linkId, localSiteId, remoteSiteId, authenticator: bootstrap() }
  try {
    const sealed = await shake(duplex, { ...handshake, signal: withDeadline(signal, HANDSHAKE_MS) })
    telemetry?.emit({ ...alarm, state: 'cleared', text: `Both ends of link "${linkId}" are who they say` })
    return new StreamChannel(sealed, { peerId: remoteSiteId, heartbeatMs })
  } catch (error) {
    if (error instanceof UnauthorizedError) telemetry?.emit({ ...alarm, state: 'raised', text: error.message })
    throw error
  }
}

function checkKme(kme: KmePortOptions): KmePortOptions {
  const { keysPerRequest, keySizeBits, timeoutMs } = kme
  if (keysPerRequest !== undefined) requireInteger('keysPerRequest', keysPerRequest, { min: 1, max: MAX_BATCH_KEYS })
  if (timeoutMs !== undefined) requireInteger('timeoutMs', timeoutMs, { min: 1, max: 2 ** 31 - 1 })
  if (keySizeBits !== undefined && requireInteger('keySizeBits', keySizeBits, { min: 8, max: 2 ** 20 }) % 8 !== 0) {
    throw new InvalidArgumentError('keySizeBits must be a multiple of 8')
  }
  return kme
}

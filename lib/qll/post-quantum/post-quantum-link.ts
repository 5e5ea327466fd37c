import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import { LinkDownError, UnauthorizedError } from '../../errors.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { BackOff, type BackOffOptions } from '../../util/back-off.ts'
import { BlockNumbers } from '../../util/block-numbers.ts'
import { abortable, requireInteger, withDeadline } from '../../util/deadline.ts'
import { listenOn } from '../../util/listen.ts'
import type { Authenticator } from '../bb84/session/authenticator.ts'
import { SharedKeyTranscripts } from '../bb84/session/shared-key-transcripts.ts'
import { EndState } from '../end-state.ts'
import { createMemoryDuplexPair } from '../memory-duplex.ts'
import { SimulatedLink, SimulatedLinkSource } from '../simulated-link.ts'
import {
  type CheckedLinkOptions,
  checkLinkOptions,
  requireRate,
  type SimulatedLinkOptions,
} from '../simulated-link-options.ts'
import { SinkEnd } from '../sink-end.ts'
import { SourceEnd } from '../source-end.ts'
import { type HandshakeOptions, initiate, respond } from './kem-handshake.ts'

/**
 * Links without a quantum channel, for islands that no fibre and no satellite reaches: one end draws random blocks and
 * sends them to the other under AES-256-GCM with keys out of ML-KEM-768, new for each connection and ratcheted within. What
 * protects them is the hardness of a problem, not physics: `status().secrecy` is `computational`, and the kind is
 * `post-quantum`, for policy to decide who may use them.
 */
export interface PostQuantumLinkOptions extends SimulatedLinkOptions {
  /** Key that the link yields, in bits per second; integer from 1 to 1e12. */
  rateBps: number
}

/** What proves an end. */
interface ProvedOptions extends PostQuantumLinkOptions {
  /** `SharedKeyTranscripts` on a pre-shared key, or `SignedTranscripts` on certificates; called for each connection. */
  bootstrap: () => Authenticator
}

/** What the listening end is made from. */
export interface PostQuantumListenerOptions extends ProvedOptions {
  /** TCP port; 0 for a free one. */
  port: number
  /** Local address. Default `127.0.0.1`. */
  host?: string
  /** Wall clock that block numbers start from, in milliseconds. Default `Date.now`. */
  now?: () => number
}

/** What the connecting end is made from. */
export interface PostQuantumConnectorOptions extends ProvedOptions {
  /** TCP port of the listening end. */
  port: number
  /** Address of the listening end. Default `127.0.0.1`. */
  host?: string
  /** Pauses between two tries to connect. Default from 100 ms to 5 s. */
  backOff?: BackOffOptions
}

/** What both ends within one process are made from. */
export interface PostQuantumPairOptions extends Omit<PostQuantumLinkOptions, 'localSiteId' | 'remoteSiteId'> {
  siteIds: readonly [string, string]
  /** Wall clock that block numbers start from, in milliseconds. Default `Date.now`. */
  now?: () => number
}

const MAX_CONNECTIONS = 16
const CONNECT_MS = 5000
const HANDSHAKE_MS = 5000

/**
 * The listening end, which draws the blocks, and the port it listens at.
 * @throws {InvalidArgumentError} an option is out of its range
 * @throws {LinkDownError} it can't listen there
 */
export async function createPostQuantumListener(
  options: PostQuantumListenerOptions,
): Promise<{ link: SimulatedLinkSource; port: number }> {
  const { rateBps, port, host = '127.0.0.1', now, bootstrap, ...common } = options
  requireInteger('port', port, { min: 0, max: 65_535 })
  const near = createSource(checkLinkOptions(common), { rateBps, now, bootstrap })
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
  }
  return { link: new SimulatedLinkSource({ state: near.state, end: near.end, release }), port: address.port }
}

/**
 * The connecting end. It connects in the background, and again whenever the connection is lost, until it is closed.
 * @throws {InvalidArgumentError} an option is out of its range
 */
export function createPostQuantumConnector(options: PostQuantumConnectorOptions): SimulatedLink {
  const { rateBps, port, host = '127.0.0.1', bootstrap, backOff, ...common } = options
  requireInteger('port', port, { min: 1, max: 65_535 })
  return createSink(checkLinkOptions(common), {
    rateBps,
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
 * Both ends within one process, the first of which draws the blocks, proved by a key that both are given. The caller closes
 * both.
 * @throws {InvalidArgumentError} an option is out of its range
 */
export function createPostQuantumPair(options: PostQuantumPairOptions): [SimulatedLinkSource, SimulatedLink] {
  const { siteIds, rateBps, now, ...common } = options
  const [first, second] = siteIds
  const secret = SecretKey.random(32)
  const bootstrap = () => new SharedKeyTranscripts(secret)
  const ends = { ...common, localSiteId: first, remoteSiteId: second }
  const near = createSource(checkLinkOptions(ends), { rateBps, now, bootstrap })
  const far = createSink(checkLinkOptions({ ...common, localSiteId: second, remoteSiteId: first }), {
    rateBps,
    bootstrap,
    backOff: new BackOff({ minMs: 5, maxMs: 50 }),
    open: async () => {
      const [ours, theirs] = createMemoryDuplexPair()
      near.accept(theirs)
      return ours
    },
  })
  const release = async () => near.close()
  return [new SimulatedLinkSource({ state: near.state, end: near.end, release }), far]
}

function createSource(
  checked: CheckedLinkOptions,
  { rateBps, now, bootstrap }: { rateBps: number; now: (() => number) | undefined; bootstrap: () => Authenticator },
) {
  const state = new EndState(checked, 'post-quantum')
  const end = new SourceEnd({ state, numbers: new BlockNumbers(now), rateBps: requireRate(rateBps) })
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

function createSink(
  checked: CheckedLinkOptions,
  {
    rateBps,
    bootstrap,
    backOff,
    open,
  }: {
    rateBps: number
    bootstrap: () => Authenticator
    backOff: BackOff
    open: (signal: AbortSignal) => Promise<Duplex>
  },
): SimulatedLink {
  const state = new EndState(checked, 'post-quantum')
  const end = new SinkEnd({
    state,
    backOff,
    rateBps: requireRate(rateBps),
    dial: async ({ signal }) => {
      const duplex = await open(signal)
      return proved(initiate, duplex, { checked, bootstrap, signal }).catch(reason => {
        duplex.on('error', () => {}).destroy()
        throw reason
      })
    },
  })
  return new SimulatedLink({ state, end })
}

/** The handshake within its time, and an alarm where somebody failed to prove who it is. */
async function proved(
  shake: typeof initiate,
  duplex: Duplex,
  { checked, bootstrap, signal }: { checked: CheckedLinkOptions; bootstrap: () => Authenticator; signal: AbortSignal },
): Promise<Duplex> {
  const { linkId, localSiteId, remoteSiteId, telemetry } = checked
  const alarm = { type: 'alarm', id: `link-authentication:${linkId}`, severity: 'critical' } as const
  const options: HandshakeOptions = {
    linkId,
    localSiteId,
    remoteSiteId,
    authenticator: bootstrap(),
    signal: withDeadline(signal, HANDSHAKE_MS),
  }
  try {
    const sealed = await shake(duplex, options)
    telemetry?.emit({ ...alarm, state: 'cleared', text: `Both ends of link "${linkId}" are who they say` })
    return sealed
  } catch (error) {
    if (error instanceof UnauthorizedError) telemetry?.emit({ ...alarm, state: 'raised', text: error.message })
    throw error
  }
}

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { LinkDownError } from '../errors.ts'
import { BackOff, type BackOffOptions } from '../util/back-off.ts'
import { BlockNumbers } from '../util/block-numbers.ts'
import { requireInteger } from '../util/deadline.ts'
import { listenOn } from '../util/listen.ts'
import { EndState } from './end-state.ts'
import { SimulatedLink, SimulatedLinkSource } from './simulated-link.ts'
import { checkLinkOptions, requireRate, type SimulatedLinkOptions } from './simulated-link-options.ts'
import { type Dial, SinkEnd } from './sink-end.ts'
import { SourceEnd } from './source-end.ts'

/** What the listening end of a link between two processes is made from. */
export interface SimulatedLinkListenerOptions extends SimulatedLinkOptions {
  /** Secret key that the link yields, in bits per second; integer from 1 to 1e12. */
  rateBps: number
  /** TCP port; 0 for a free one. */
  port: number
  /** Local address. Default `127.0.0.1`: the connection is neither encrypted nor authenticated, as photons are not. */
  host?: string
  /** Wall clock that block numbers start from, in milliseconds. Default `Date.now`. */
  now?: () => number
}

/** What the connecting end of a link between two processes is made from. */
export interface SimulatedLinkConnectorOptions extends SimulatedLinkOptions {
  /** TCP port of the listening end. */
  port: number
  /** Address of the listening end. Default `127.0.0.1`. */
  host?: string
  /** The rate that this end expects, in bits per second. Default whatever the listening end has. */
  rateBps?: number
  /** Pauses between two tries to connect. Default from 100 ms to 5 s. */
  backOff?: BackOffOptions
}

/** Connections that the listening end holds at once; one is the link, the others must introduce themselves. */
const MAX_CONNECTIONS = 16
const CONNECT_MS = 5000

/**
 * The listening end of a link between two processes, and the port it listens at. It draws the bytes.
 * @throws {InvalidArgumentError} an option is out of its range
 * @throws {LinkDownError} it can't listen there
 */
export async function createSimulatedLinkListener(
  options: SimulatedLinkListenerOptions,
): Promise<{ link: SimulatedLinkSource; port: number }> {
  const { rateBps, port, host = '127.0.0.1', now, ...common } = options
  requireRate(rateBps)
  requireInteger('port', port, { min: 0, max: 65_535 })
  const state = new EndState(checkLinkOptions(common))
  const source = new SourceEnd({ state, numbers: new BlockNumbers(now), rateBps })
  const server = createServer({ noDelay: true }, socket => source.accept(socket))
  server.maxConnections = MAX_CONNECTIONS
  const address = await listenOn(server, { host, port }).catch((cause: Error) => {
    throw new LinkDownError(`Link "${options.linkId}" can't listen at ${host}:${port}: ${cause.message}`, { cause })
  })
  // What goes wrong with one connection to come (no file descriptors, say) must not end those that stand.
  server.on('error', () => {})
  const release = promisify(server.close).bind(server)
  return { link: new SimulatedLinkSource({ state, end: source, release }), port: address.port }
}

/**
 * The connecting end of a link between two processes. It connects in the background, and again whenever the connection
 * is lost, until it is closed.
 * @throws {InvalidArgumentError} an option is out of its range
 */
export function createSimulatedLinkConnector(options: SimulatedLinkConnectorOptions): SimulatedLink {
  const { port, host = '127.0.0.1', rateBps, backOff, ...common } = options
  requireInteger('port', port, { min: 1, max: 65_535 })
  const state = new EndState(checkLinkOptions(common))
  const end = new SinkEnd({
    state,
    dial: dialTcp({ host, port }),
    backOff: new BackOff(backOff),
    rateBps: rateBps === undefined ? 0 : requireRate(rateBps),
  })
  return new SimulatedLink({ state, end })
}

function dialTcp({ host, port }: { host: string; port: number }): Dial {
  return async ({ signal }): Promise<Socket> => {
    const socket = connect({ host, port, noDelay: true })
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error(`No connection within ${CONNECT_MS} ms`)))
    try {
      await once(socket, 'connect', { signal })
      return socket.setTimeout(0)
    } catch (error) {
      socket.on('error', () => {}).destroy()
      throw error
    }
  }
}

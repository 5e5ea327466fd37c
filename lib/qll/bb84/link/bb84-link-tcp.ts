import { once } from 'node:events'
import { connect } from 'node:net'
import { StreamChannel } from '../../../channel/stream-channel.ts'
import { AsyncQueue } from '../../../util/async-queue.ts'
import { BackOff, type BackOffOptions } from '../../../util/back-off.ts'
import { BlockNumbers } from '../../../util/block-numbers.ts'
import { abortable, requireInteger, withDeadline } from '../../../util/deadline.ts'
import type { ListenAddress } from '../../../util/listen.ts'
import { EndState } from '../../end-state.ts'
import { PhotonLine } from '../photons/photon-line.ts'
import type { PhotonPath } from '../photons/photon-path.ts'
import type { RecordSource } from '../photons/records.ts'
import { RemoteRecords } from '../photons/remote-records.ts'
import { servePhotons } from '../photons/serve-photons.ts'
import type { Authenticator } from '../session/authenticator.ts'
import { Bb84Link } from './bb84-link.ts'
import { type Bb84LinkOptions, type CheckedBb84Options, checkBb84Options } from './bb84-link-options.ts'
import { closeAtOnce, Door, type Visitor, whileHeld } from './door.ts'
import { type EndConnection, EndLoop } from './end-loop.ts'
import { encodeIntroduction, INTRODUCTION_MS, introductionMismatch, type Purpose } from './introduction.ts'

/** What either end of a BB84 link between two processes is made from. */
interface Bb84EndOptions extends Bb84LinkOptions {
  /**
   * Proves the first round: `SharedKeyTranscripts` on a pre-shared key, or `SignedTranscripts` on certificates. Called
   * for each session that begins without key of earlier ones.
   */
  bootstrap: () => Authenticator
  /** Where the photon channel is, if it is a process of its own (`createPhotonServer`). Default: at Alice's end. */
  photons?: ListenAddress
  /** Pauses between two tries to connect. Default from 100 ms to 5 s. */
  backOff?: BackOffOptions
}

/** What Alice's end, which listens, is made from. */
export interface Bb84LinkListenerOptions extends Bb84EndOptions {
  /** TCP port for Bob's talk, and for his devices where the photon channel is at this end; 0 for a free one. */
  port: number
  /** Local address. Default `127.0.0.1`. */
  host?: string
  /** What the photons really meet, where the photon channel is at this end. Default: always `channel`. */
  path?: PhotonPath
  /** Wall clock that block numbers start from, in milliseconds. Default `Date.now`. */
  now?: () => number
}

/** What Bob's end, which connects, is made from. */
export interface Bb84LinkConnectorOptions extends Bb84EndOptions {
  /** TCP port of Alice's end. */
  port: number
  /** Address of Alice's end. Default `127.0.0.1`. */
  host?: string
}

const CONNECT_MS = 5000

/**
 * Alice's end of a BB84 link between two processes, and the port it listens at. Unless told otherwise it simulates the
 * photons too, and hands Bob what his detectors would.
 * @throws {InvalidArgumentError} an option is out of its range, or the light can bring no key
 * @throws {LinkDownError} it can't listen there
 */
export async function createBb84LinkListener(
  options: Bb84LinkListenerOptions,
): Promise<{ link: Bb84Link; port: number }> {
  const { bootstrap, photons, backOff, port, host = '127.0.0.1', path = () => options.channel, now } = options
  const checked = checkBb84Options(options)
  requireInteger('port', port, { min: 0, max: 65_535 })
  const { linkId, heartbeatMs, parameters, keyBits } = checked
  const line = photons === undefined ? new PhotonLine({ path, protocol: parameters.protocol, keyBits }) : undefined
  const reception = new Reception(checked, line?.bob)
  const door = await Door.open({ linkId, host, port, heartbeatMs, onVisitor: visitor => reception.receive(visitor) })
  const state = new EndState(checked, checked.kind)
  const end = new EndLoop({
    role: 'alice',
    options: checked,
    state,
    backOff: new BackOff({ minMs: 5, maxMs: 1000, ...backOff }),
    bootstrap,
    numbers: new BlockNumbers(now),
    connect: async ({ signal }) => {
      const { channel, introduction } = await reception.next(signal)
      if (line !== undefined) return { channel, introduction, records: line.alice, close: () => closeAtOnce(channel) }
      const devices = await dialDevices(checked, photons!, signal).catch(async reason => {
        await closeAtOnce(channel)
        throw reason
      })
      return joined(channel, devices, introduction)
    },
  })
  const release = async () => {
    reception.close()
    line?.close()
    await door.close()
  }
  return { link: new Bb84Link({ state, end, release }), port: door.port }
}

/**
 * Bob's end of a BB84 link between two processes. It connects in the background, and again whenever the connection is
 * lost, until it is closed.
 * @throws {InvalidArgumentError} an option is out of its range, or the light can bring no key
 */
export function createBb84LinkConnector(options: Bb84LinkConnectorOptions): Bb84Link {
  const { bootstrap, backOff, port, host = '127.0.0.1', photons = { host, port } } = options
  const checked = checkBb84Options(options)
  requireInteger('port', port, { min: 1, max: 65_535 })
  const state = new EndState(checked, checked.kind)
  const end = new EndLoop({
    role: 'bob',
    options: checked,
    state,
    backOff: new BackOff(backOff),
    bootstrap,
    numbers: new BlockNumbers(),
    connect: async ({ signal }) => {
      const devices = await dialDevices(checked, photons, signal)
      const channel = await dial(checked, { host, port }, signal).catch(async reason => {
        await closeAtOnce(devices)
        throw reason
      })
      return joined(channel, devices)
    },
  })
  return new Bb84Link({ state, end })
}

/** Receives Bob at Alice's door: his talk one at a time, and his devices. */
class Reception {
  readonly #options: CheckedBb84Options
  readonly #detections: RecordSource | undefined
  readonly #waiting = new AsyncQueue<Visitor>()
  readonly #closing = new AbortController()
  #talking: StreamChannel | undefined
  #devices: StreamChannel | undefined

  constructor(options: CheckedBb84Options, detections: RecordSource | undefined) {
    this.#options = options
    this.#detections = detections
  }

  async next(signal: AbortSignal): Promise<Visitor> {
    return (await this.#waiting.take({ signal }))!
  }

  /** A living connection keeps its place; a dead one loses it when its signs of life are missed. */
  receive(visitor: Visitor): void {
    const { introduction, channel } = visitor
    const own = introduce(this.#options, introduction.purpose)
    if (introductionMismatch(own, introduction) !== undefined) this.#refuse(channel, introduction.purpose)
    else if (introduction.purpose === 'talk') this.#admit(visitor)
    else if (this.#detections === undefined || this.#devices !== undefined) void closeAtOnce(channel)
    else this.#serve(channel, this.#detections)
  }

  close(): void {
    this.#closing.abort()
  }

  #admit(visitor: Visitor): void {
    const { channel } = visitor
    if (this.#talking !== undefined) {
      void closeAtOnce(channel)
      return
    }
    this.#talking = channel
    void channel.lost.then(() => {
      this.#talking = undefined
      // Nobody else can wait here. Visitors who have left again would otherwise cost the end a try, and a pause, each.
      this.#waiting.drain()
    })
    this.#waiting.push(visitor)
  }

  /** Introduces this end all the same, so that the other one can say in words what does not fit; it will hang up. */
  #refuse(channel: StreamChannel, purpose: Purpose): void {
    const timer = setTimeout(() => void closeAtOnce(channel), INTRODUCTION_MS).unref()
    void channel.lost.then(() => clearTimeout(timer))
    if (purpose === 'talk') channel.send(encodeIntroduction(introduce(this.#options, purpose))).catch(() => {})
  }

  #serve(channel: StreamChannel, detections: RecordSource): void {
    this.#devices = channel
    servePhotons(channel, detections, { signal: whileHeld(channel, this.#closing.signal) })
      .catch(() => {})
      .finally(() => {
        this.#devices = undefined
        return closeAtOnce(channel)
      })
  }
}

function introduce(
  { linkId, localSiteId: siteId, remoteSiteId: peerSiteId }: CheckedBb84Options,
  purpose: Purpose,
): Parameters<typeof encodeIntroduction>[0] {
  return { purpose, linkId, siteId, peerSiteId, spares: [] }
}

/** The talk and the devices of one end as one: both end together. */
function joined(talk: StreamChannel, devices: StreamChannel, introduction?: Visitor['introduction']): EndConnection {
  const close = async () => void (await Promise.all([talk, devices].map(closeAtOnce)))
  // The loop looks at the talk alone; without photons there is nothing to talk about.
  void devices.lost.then(close)
  const records = new RemoteRecords(devices)
  return { channel: talk, records, close, ...(introduction === undefined ? {} : { introduction }) }
}

/** This end's devices at the photon channel. */
async function dialDevices(
  options: CheckedBb84Options,
  address: ListenAddress,
  signal: AbortSignal,
): Promise<StreamChannel> {
  const channel = await dial(options, address, signal)
  await channel.send(encodeIntroduction(introduce(options, 'photons')), { signal })
  return channel
}

async function dial(
  { remoteSiteId, heartbeatMs }: CheckedBb84Options,
  { host, port }: ListenAddress,
  signal: AbortSignal,
): Promise<StreamChannel> {
  const socket = connect({ host, port, noDelay: true })
  try {
    await abortable(once(socket, 'connect'), { signal: withDeadline(signal, CONNECT_MS) })
  } catch (error) {
    socket.on('error', () => {}).destroy()
    throw error
  }
  return new StreamChannel(socket, { peerId: remoteSiteId, heartbeatMs })
}

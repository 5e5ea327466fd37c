import { randomBytes } from 'node:crypto'
import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { LinkBlock } from '../../lib/interface/link.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { WegmanCarter } from '../../lib/key/wegman-carter.ts'
import { ChannelModel } from '../../lib/qll/bb84/model/channel-model.ts'
import { expectedBlock, type ProtocolParameters, pulsesFor } from '../../lib/qll/bb84/model/expected-block.ts'
import { BB84_PRESETS } from '../../lib/qll/bb84/model/presets.ts'
import { PhotonChannel } from '../../lib/qll/bb84/photons/photon-channel.ts'
import { createPhotonPair } from '../../lib/qll/bb84/photons/photon-pair.ts'
import type { RecordSource } from '../../lib/qll/bb84/photons/records.ts'
import { Bb84Session, type Bb84SessionOptions, type SessionBlock } from '../../lib/qll/bb84/session/bb84-session.ts'
import type { SessionParameters } from '../../lib/qll/bb84/session/parameters.ts'

export type Role = 'alice' | 'bob'

/** Choices that leave key in blocks of 2^17 sifted bits. */
export const SHORT_BLOCK_PROTOCOL: ProtocolParameters = {
  intensities: [0.6, 0.27, 0],
  probabilities: [0.3, 0.64, 0.06],
  keyBasisProbability: 0.78,
}

export interface PairOptions {
  readonly lengthKm?: number
  readonly interceptFraction?: number
  /** Sifted bits that a block is expected to hold. Default 2^17. */
  readonly keyBits?: number
  readonly parameters?: Partial<SessionParameters>
  /** Bytes of the key that both sides begin with. Default 4,096. */
  readonly keyBytes?: number
  /** Stands between an end and the channel in memory. */
  readonly wrap?: (channel: MessageChannel, role: Role) => MessageChannel
  /** Stands between an end and its devices. */
  readonly wrapRecords?: (records: RecordSource, role: Role) => RecordSource
  readonly session?: (role: Role) => Partial<Bb84SessionOptions>
}

/** Two ends of a link over a channel in memory, not opened yet. */
export function createPair({
  lengthKm = 10,
  interceptFraction = 0,
  keyBits = 2 ** 17,
  parameters = {},
  keyBytes = 4096,
  wrap = channel => channel,
  wrapRecords = records => records,
  session = () => ({}),
}: PairOptions = {}) {
  const protocol = parameters.protocol ?? SHORT_BLOCK_PROTOCOL
  const model = new ChannelModel(BB84_PRESETS['li-2023'].receiver, { lengthKm, interceptFraction })
  const pulses = Math.round(pulsesFor(model, protocol, keyBits))
  const devices = createPhotonPair(new PhotonChannel({ channel: model, protocol }), { pulses })
  const [alice, bob] = createMemoryChannelPair(['alice', 'bob'])
  const channels = { alice: wrap(alice, 'alice'), bob: wrap(bob, 'bob') }
  const psk = randomBytes(keyBytes)
  const open = (role: Role) =>
    Bb84Session.open(channels[role], {
      role,
      parameters: { ...parameters, protocol },
      records: wrapRecords(devices[role], role),
      authenticator: new WegmanCarter(SecretKey.copyOf(psk), { role: role === 'alice' ? 'initiator' : 'responder' }),
      ...session(role),
    })
  return {
    expected: expectedBlock(model, protocol, pulses),
    channels,
    open: async () => {
      const [first, second] = await Promise.all([open('alice'), open('bob')])
      return { alice: first, bob: second }
    },
    // At once: whoever failed does not take what the other end has still sent.
    close: () => Promise.all([alice, bob].map(channel => channel.close({ signal: AbortSignal.abort() }))),
  }
}

/** The next block at both ends. */
export async function nextBlocks({ alice, bob }: { alice: Bb84Session; bob: Bb84Session }) {
  const [first, second] = await Promise.all([alice.nextBlock(), bob.nextBlock()])
  return { alice: first, bob: second }
}

/** Whether both ends hold the same secrets under the same numbers. */
export function sameSecrets(a: readonly LinkBlock[], b: readonly LinkBlock[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ number, secret }, at) => number === b[at]!.number && secret.equals(b[at]!.secret))
  )
}

/** Outcome of a block at an end that may fail: its secrets, or none. */
export async function secretsOf(block: Promise<SessionBlock>): Promise<readonly LinkBlock[]> {
  return block.then(
    ({ secrets }) => secrets,
    () => [],
  )
}

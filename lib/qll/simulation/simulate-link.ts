import { createMemoryChannelPair } from '../../channel/memory-channel.ts'
import { InvalidArgumentError, PoolDesyncError } from '../../errors.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import type { LinkBlock } from '../../interface/link.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { WegmanCarter } from '../../key/wegman-carter.ts'
import { requireInteger } from '../../util/deadline.ts'
import { pulsesFor } from '../bb84/model/expected-block.ts'
import type { BlockPlan } from '../bb84/model/plan-block.ts'
import type { ClassicalLight } from '../bb84/model/raman.ts'
import { PhotonChannel } from '../bb84/photons/photon-channel.ts'
import type { PulseRecords, RecordSource } from '../bb84/photons/records.ts'
import { systemRandom } from '../bb84/random.ts'
import { Bb84Session } from '../bb84/session/bb84-session.ts'
import type { BlockReport, Stage } from '../bb84/session/report.ts'
import {
  DESIGN_PRESETS,
  type DesignPoint,
  designChannel,
  designPoint,
  designReachKm,
  type LinkDesign,
  planDesign,
} from './link-design.ts'

/** What a simulation is told. */
export interface LinkSimulationOptions extends AbortOptions {
  /** Name among `DESIGN_PRESETS`: a published system over fibre, or a model of a path through air. */
  readonly preset: string
  /** Distance of the two sites in km, 0 to 2,000. */
  readonly lengthKm: number
  /** Share of the pulses that an eavesdropper measures and sends on, 0 to 1. Default 0. */
  readonly interceptFraction?: number
  /** Classical channels in the same fibre. Default none. */
  readonly classical?: ClassicalLight
  /** Blocks to distil, 1 to 1,000. Default 3. */
  readonly blocks?: number
  /** Sifted bits that a block is expected to hold, 65,536 to 4,194,304. Default 1,048,576. */
  readonly blockBits?: number
  /** Hears what happens, as it happens. */
  readonly onEvent?: (event: LinkSimulationEvent) => void
}

/** What happens in a simulation. */
export type LinkSimulationEvent =
  | { readonly type: 'planned'; readonly expected: ExpectedLink }
  | {
      readonly type: 'sent'
      readonly block: number
      readonly pulses: number
      readonly clicks: number
      readonly linkS: number
    }
  | { readonly type: 'stage'; readonly block: number; readonly stage: Stage; readonly ms: number }
  | { readonly type: 'block'; readonly block: number; readonly report: BlockReport }

/** What the model says of a link before anything is sent. */
export interface ExpectedLink extends DesignPoint {
  /** Beyond this length the preset yields no key in the limit of long keys, in km. */
  readonly reachKm: number
  /** How the two sides play their blocks. */
  readonly plan: BlockPlan
}

/** A simulation that has run. Rates are of the link's own time: pulses over pulses a second. */
export interface LinkSimulation {
  readonly design: LinkDesign
  readonly presetName: string
  readonly interceptFraction: number
  readonly expected: ExpectedLink
  readonly blocks: readonly BlockReport[]
  /** Key that both ends hold in the same numbered secrets, in bits. */
  readonly deliveredBits: number
  /** Secret bits of all blocks, the share for authentication taken off. */
  readonly netSecretBits: number
  /** How long the devices sent, in seconds. */
  readonly linkS: number
  /** `netSecretBits` over `linkS`. */
  readonly rateBps: number
  /** Share of wrong bits over all corrected blocks, where there is one; else what the samples said. */
  readonly qber: number | undefined
  /** Parities over the Shannon limit, the mean of the corrected blocks. */
  readonly efficiency: number | undefined
  /** What each stage took in of sifted bits, in bits a second at Alice's end; both ends share a processor. */
  readonly stageBps: Readonly<Partial<Record<Stage, number>>>
}

/** What authentication begins with: the reserve of a session and the tags of its greeting, so that blocks pay for themselves. */
const KEY_BYTES = 2 * 16 * 68

/**
 * Plays a BB84 link in this process: photons out of a model, and the post-processing of both ends as it runs between two
 * sites. The keys are compared, counted and wiped.
 * @throws {InvalidArgumentError} an option is out of its range
 */
export async function simulateLink(options: LinkSimulationOptions): Promise<LinkSimulation> {
  const { design, blocks, interceptFraction, onEvent, signal } = checked(options)
  const plan = planDesign(design)
  const expected = { ...designPoint(design, design.lengthKm), reachKm: designReachKm(design), plan }
  onEvent({ type: 'planned', expected })
  const channel = designChannel(design, { interceptFraction })
  const { protocol } = plan
  const photons = new PhotonChannel({ channel, protocol })
  const pulses = Math.round(pulsesFor(channel, protocol, design.blockBits))
  const pair = createEnds({ protocol }, (stage, ms) => onEvent({ type: 'stage', block: reports.length + 1, stage, ms }))
  const reports: BlockReport[] = []
  let deliveredBits = 0
  try {
    const [alice, bob] = await Promise.all(pair.open({ signal }))
    for (let block = 1; block <= blocks; block++) {
      signal?.throwIfAborted()
      const { prepared, detected } = photons.transmit(pulses)
      onEvent({ type: 'sent', block, pulses, clicks: detected.gaps.length, linkS: pulses / channel.clockHz })
      pair.feed(prepared, detected)
      const wait = signal === undefined ? {} : { signal }
      const [own, other] = await Promise.all([alice.nextBlock(wait), bob.nextBlock(wait)])
      deliveredBits += equalBits(own.secrets, other.secrets)
      reports.push(own.report)
      onEvent({ type: 'block', block, report: own.report })
    }
  } finally {
    await pair.close()
  }
  return {
    design,
    presetName: options.preset,
    interceptFraction,
    expected,
    blocks: reports,
    deliveredBits,
    ...totals(reports, (pulses * blocks) / channel.clockHz),
  }
}

function checked(options: LinkSimulationOptions) {
  const { lengthKm, interceptFraction = 0, blocks = 3, blockBits = 2 ** 20, classical, signal } = options
  const preset = DESIGN_PRESETS[options.preset]
  if (preset === undefined || !Object.hasOwn(DESIGN_PRESETS, options.preset)) {
    throw new InvalidArgumentError(
      `There is no preset "${options.preset}"; choose one of ${Object.keys(DESIGN_PRESETS).join(', ')}`,
    )
  }
  if (preset.air !== undefined && classical !== undefined) {
    throw new InvalidArgumentError(`Preset "${options.preset}" has no fibre for classical light to share`)
  }
  if (!(lengthKm >= 0 && lengthKm <= 2000)) throw new InvalidArgumentError('lengthKm must be from 0 to 2000')
  if (!(interceptFraction >= 0 && interceptFraction <= 1)) {
    throw new InvalidArgumentError('interceptFraction must be from 0 to 1')
  }
  requireInteger('blocks', blocks, { min: 1, max: 1000 })
  requireInteger('blockBits', blockBits, { min: 2 ** 16, max: 2 ** 22 })
  const design: LinkDesign = { preset, lengthKm, blockBits, ...(classical === undefined ? {} : { classical }) }
  return { design, interceptFraction, blocks, signal, onEvent: options.onEvent ?? (() => {}) }
}

/** Both ends over a channel in memory, each with a queue of records in place of its devices. */
function createEnds(parameters: { protocol: BlockPlan['protocol'] }, onStage: (stage: Stage, ms: number) => void) {
  const channels = createMemoryChannelPair(['alice', 'bob'])
  const records = { alice: [] as PulseRecords[], bob: [] as PulseRecords[] }
  const source = (side: 'alice' | 'bob'): RecordSource => ({ next: async () => records[side].shift()! })
  const psk = new Uint8Array(KEY_BYTES)
  systemRandom(psk)
  const opened: Bb84Session[] = []
  const open = async (role: 'alice' | 'bob', { signal }: AbortOptions) => {
    const authenticator = new WegmanCarter(SecretKey.copyOf(psk), {
      role: role === 'alice' ? 'initiator' : 'responder',
    })
    const session = await Bb84Session.open(channels[role === 'alice' ? 0 : 1], {
      role,
      parameters,
      records: source(role),
      authenticator,
      ...(role === 'alice' ? { onStage } : {}),
      ...(signal === undefined ? {} : { signal }),
    })
    opened.push(session)
    return session
  }
  return {
    open: (options: AbortOptions) => [open('alice', options), open('bob', options)] as const,
    feed: (prepared: PulseRecords, detected: PulseRecords) => {
      records.alice.push(prepared)
      records.bob.push(detected)
    },
    close: async () => {
      psk.fill(0)
      for (const session of opened) session.close()
      await Promise.all(channels.map(channel => channel.close({ signal: AbortSignal.abort() })))
    },
  }
}

/** Bits of the secrets, which both ends must hold alike. Wipes both. */
function equalBits(own: readonly LinkBlock[], other: readonly LinkBlock[]): number {
  const same =
    own.length === other.length &&
    own.every(({ number, secret }, at) => number === other[at]!.number && secret.equals(other[at]!.secret))
  const bits = own.reduce((sum, { secret }) => sum + secret.sizeBits, 0)
  for (const { secret } of [...own, ...other]) secret.wipe()
  if (!same) throw new PoolDesyncError('The two ends hold different secrets')
  return bits
}

function totals(blocks: readonly BlockReport[], linkS: number) {
  const netSecretBits = blocks.reduce((sum, block) => sum + block.secretBits - block.authenticationBits, 0)
  const corrected = blocks.filter(({ qber }) => qber !== undefined)
  const estimated = blocks.filter(({ estimate }) => estimate !== undefined)
  const efficiencies = corrected.flatMap(({ efficiency }) => efficiency ?? [])
  const stageBps: Partial<Record<Stage, number>> = {}
  for (const stage of ['sifting', 'estimation', 'correction', 'verification', 'amplification'] as const) {
    const done = blocks.filter(({ stageMs }) => stageMs[stage] !== undefined)
    const ms = done.reduce((sum, { stageMs }) => sum + stageMs[stage]!, 0)
    if (ms > 0) stageBps[stage] = (done.reduce((sum, { siftedBits }) => sum + siftedBits, 0) / ms) * 1e3
  }
  return {
    netSecretBits,
    linkS,
    rateBps: netSecretBits / linkS,
    qber:
      corrected.length > 0
        ? mean(corrected.map(({ qber }) => qber!))
        : mean(estimated.map(block => block.estimate!.rate)),
    efficiency: mean(efficiencies),
    stageBps,
  }
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length
}

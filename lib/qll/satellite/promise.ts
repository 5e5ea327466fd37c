import type { ReceiverParameters } from '../bb84/model/channel-model.ts'
import type { ProtocolParameters } from '../bb84/model/expected-block.ts'
import { evaluateProtocol } from '../bb84/model/plan-block.ts'
import { sightingAt } from './orbit.ts'
import { type SatelliteParameters, satelliteChannel } from './satellite-channel.ts'
import type { UsablePass } from './timetable.ts'

/** Time between two looks at the satellite within a pass, in milliseconds. */
const STEP_MS = 1000

/**
 * Secret bits that a pass is expected to yield in whole blocks of `keyBits` sifted bits, whose light is that of the time
 * in which they are sent. What the link keeps for authentication comes off once.
 */
export function passYieldBits(
  receiver: ReceiverParameters,
  satellite: SatelliteParameters,
  { pass, protocol, keyBits }: { pass: UsablePass; protocol: ProtocolParameters; keyBits: number },
): number {
  let [bits, sifted, secret] = [0, 0, 0]
  for (let atMs = pass.fromMs + STEP_MS / 2; atMs < pass.untilMs; atMs += STEP_MS) {
    const sighting = sightingAt({ ...satellite, ...pass }, (atMs - pass.culminationMs) / 1e3)
    const channel = satelliteChannel(receiver, satellite, sighting)
    const { pulses, secretBits } = evaluateProtocol(channel, protocol, { keyBits })
    const blocks = (channel.clockHz * STEP_MS) / 1e3 / pulses
    sifted += blocks
    secret += blocks * secretBits
    if (sifted < 1) continue
    bits += secret / sifted
    secret -= secret / sifted
    sifted -= 1
  }
  return bits
}

/** Key that comes in at a moment. */
export interface Delivery {
  readonly atMs: number
  readonly bits: number
}

/** What bridges the time between deliveries. */
export interface Bridge {
  /** Key that the pool can hold, in bits; what does not fit is lost. */
  readonly capacityBits: number
  /** Key that is in the pool at `fromMs`, in bits. */
  readonly stockBits: number
  readonly fromMs: number
  /** The end of what is promised. */
  readonly untilMs: number
}

/**
 * The highest steady demand, in bits a second, that a pool can serve without a break from `fromMs` to `untilMs`, given what
 * is delivered when. What a satellite link can promise: its own rate is 0 most of the time.
 */
export function promisedBps(deliveries: readonly Delivery[], bridge: Bridge): number {
  const due = deliveries
    .filter(({ atMs }) => atMs >= bridge.fromMs && atMs < bridge.untilMs)
    .sort((a, b) => a.atMs - b.atMs)
  const seconds = (bridge.untilMs - bridge.fromMs) / 1e3
  let [low, high] = [0, (bridge.stockBits + due.reduce((sum, { bits }) => sum + bits, 0)) / seconds]
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (lasts(middle, due, bridge)) low = middle
    else high = middle
  }
  return low
}

function lasts(rateBps: number, deliveries: readonly Delivery[], bridge: Bridge): boolean {
  let [stock, sinceMs] = [Math.min(bridge.stockBits, bridge.capacityBits), bridge.fromMs]
  for (const { atMs, bits } of [...deliveries, { atMs: bridge.untilMs, bits: 0 }]) {
    stock -= (rateBps * (atMs - sinceMs)) / 1e3
    if (stock < 0) return false
    stock = Math.min(stock + bits, bridge.capacityBits)
    sinceMs = atMs
  }
  return true
}

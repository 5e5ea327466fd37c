import { InvalidArgumentError } from '../../errors.ts'
import type { ReceiverParameters } from '../bb84/model/channel-model.ts'
import type { PhotonPath } from '../bb84/photons/photon-path.ts'
import { passDurationS, sightingAt } from './orbit.ts'
import { type SatelliteParameters, satelliteChannel } from './satellite-channel.ts'

/** A satellite counts as standing still for so long, in milliseconds. */
const STEP_MS = 1000
/** Clocks may be set: after this time the timetable is looked at again, in milliseconds. */
const LONGEST_WAIT_MS = 60_000

/** One pass of a satellite over its station. */
export interface Pass {
  /** When it stands highest, in milliseconds of the clock that the path is asked with. */
  readonly culminationMs: number
  readonly maximumElevationDeg: number
}

/** A pass with the time in which it can be used. */
export interface UsablePass extends Pass {
  readonly fromMs: number
  readonly untilMs: number
}

/** The passes in order of time, each with the time above the smallest elevation; those that never get there left out. */
export function usablePasses(satellite: SatelliteParameters, passes: readonly Pass[]): UsablePass[] {
  const usable = passes
    .map(pass => {
      const halfMs = 500 * passDurationS({ ...satellite, ...pass }, satellite.minimumElevationDeg)
      return { ...pass, fromMs: pass.culminationMs - halfMs, untilMs: pass.culminationMs + halfMs }
    })
    .filter(({ fromMs, untilMs }) => untilMs > fromMs)
    .sort((a, b) => a.fromMs - b.fromMs)
  const overlapping = usable.find((pass, at) => at > 0 && pass.fromMs < usable[at - 1]!.untilMs)
  if (overlapping === undefined) return usable
  throw new InvalidArgumentError(
    `The pass that culminates at ${overlapping.culminationMs} ms begins before the one before it ends`,
  )
}

/**
 * The path of a satellite link: a channel that follows the satellite over the sky in steps of a second, dark between
 * passes. A block that a pass leaves unfinished goes on in the next one.
 * @param now milliseconds of the timetable's clock
 */
export function satellitePath(
  receiver: ReceiverParameters,
  satellite: SatelliteParameters,
  { passes, now }: { passes: readonly Pass[]; now: () => number },
): PhotonPath {
  const usable = usablePasses(satellite, passes)
  let next = 0
  return () => {
    const atMs = now()
    // Timetables are long, and clocks are now and then set back.
    while (next > 0 && usable[next - 1]!.untilMs > atMs) next--
    while (next < usable.length && usable[next]!.untilMs <= atMs) next++
    const pass = usable[next]
    if (pass === undefined) return { dark: 'No pass is left in the timetable' }
    // Words that stay the same until the pass begins: a state that changes all the time is none.
    if (pass.fromMs > atMs) {
      return {
        dark: `No satellite in view until ${new Date(pass.fromMs).toISOString()}`,
        forMs: Math.min(pass.fromMs - atMs, LONGEST_WAIT_MS),
      }
    }
    const forMs = Math.min(pass.untilMs - atMs, STEP_MS)
    // As it is in the middle of the step.
    const sighting = sightingAt({ ...satellite, ...pass }, (atMs + forMs / 2 - pass.culminationMs) / 1e3)
    return { channel: satelliteChannel(receiver, satellite, sighting), forMs }
  }
}

/** Passes that come again at the same times each day, from the day of `fromMs` on. */
export function dailyPasses(
  passes: readonly { readonly timeOfDayMs: number; readonly maximumElevationDeg: number }[],
  { fromMs, days }: { fromMs: number; days: number },
): Pass[] {
  const DAY_MS = 86_400_000
  const midnightMs = Math.floor(fromMs / DAY_MS) * DAY_MS
  return Array.from({ length: days }, (_, day) =>
    passes.map(({ timeOfDayMs, maximumElevationDeg }) => ({
      culminationMs: midnightMs + day * DAY_MS + timeOfDayMs,
      maximumElevationDeg,
    })),
  ).flat()
}

import { InvalidArgumentError } from '../errors.ts'
import type { Bb84LinkOptions } from './bb84/link/bb84-link-options.ts'
import { planBlock } from './bb84/model/plan-block.ts'
import type { PhotonPath } from './bb84/photons/photon-path.ts'
import { freeSpaceChannel } from './free-space/free-space-channel.ts'
import { FREE_SPACE_PRESETS } from './free-space/presets.ts'
import { sightingAt } from './satellite/orbit.ts'
import { SATELLITE_PRESETS } from './satellite/presets.ts'
import { satelliteChannel } from './satellite/satellite-channel.ts'
import { dailyPasses, satellitePath, usablePasses } from './satellite/timetable.ts'

/** What a link between two telescopes or with a satellite is made from. */
export type LinkDesignOptions = Pick<Bb84LinkOptions, 'kind' | 'channel' | 'protocol' | 'keyBits'> & {
  readonly path?: PhotonPath
}

/**
 * A link through air. Both ends work it out alike.
 * @throws {InvalidArgumentError} no such preset
 */
export function designFreeSpace({
  preset,
  distanceKm,
  keyBits,
}: {
  readonly preset: string
  readonly distanceKm: number
  readonly keyBits: number
}): LinkDesignOptions {
  const { receiver, air } = named(FREE_SPACE_PRESETS, preset)
  const channel = freeSpaceChannel(receiver, air, { lengthKm: distanceKm })
  return { kind: 'free-space', channel, protocol: planBlock(channel, { keyBits }).protocol, keyBits }
}

/** A pass of each day: `HH:MM` or `HH:MM:SS`, UTC, and how high the satellite then stands, in degrees. */
export interface DailyPass {
  readonly time: string
  readonly maximumElevationDeg: number
}

/** Days for which the timetable is written out at the start of a link. */
const TIMETABLE_DAYS = 3660

/**
 * A link with a satellite that passes at the same times each day, for ten years from yesterday.
 * @throws {InvalidArgumentError} no such preset, passes that overlap, or none that rises high enough
 */
export function designSatellite(
  {
    preset,
    passes,
    keyBits,
  }: { readonly preset: string; readonly passes: readonly DailyPass[]; readonly keyBits: number },
  now: () => number = Date.now,
): LinkDesignOptions {
  const { receiver, satellite, protocol } = named(SATELLITE_PRESETS, preset)
  const times = passes.map(({ time, maximumElevationDeg }) => ({ timeOfDayMs: timeOfDayMs(time), maximumElevationDeg }))
  const fromMs = now() - 86_400_000
  const [first] = usablePasses(satellite, dailyPasses(times, { fromMs, days: 2 }))
  if (first === undefined) {
    throw new InvalidArgumentError(
      `No pass rises above the ${satellite.minimumElevationDeg}° that preset "${preset}" begins at`,
    )
  }
  const highest = Math.max(...passes.map(({ maximumElevationDeg }) => maximumElevationDeg))
  const best = sightingAt({ ...satellite, maximumElevationDeg: highest }, 0)
  const timetable = dailyPasses(times, { fromMs, days: TIMETABLE_DAYS })
  return {
    kind: 'satellite',
    channel: satelliteChannel(receiver, satellite, best),
    path: satellitePath(receiver, satellite, { passes: timetable, now }),
    protocol,
    keyBits,
  }
}

function timeOfDayMs(time: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = time.split(':').map(Number)
  return ((hours * 60 + minutes) * 60 + seconds) * 1e3
}

function named<T>(presets: Readonly<Record<string, T>>, name: string): T {
  if (Object.hasOwn(presets, name)) return presets[name]!
  throw new InvalidArgumentError(`There is no preset "${name}"; choose one of ${Object.keys(presets).join(', ')}`)
}

import { InvalidArgumentError } from '../../errors.ts'
import type { PhotonPath } from '../bb84/photons/photon-path.ts'
import { type SwitchSchedule, stateAt } from './schedule.ts'

/**
 * The path of a link that shares its modules: `path` while it has its turn and the switches have settled, dark otherwise,
 * as planned. Make the link with `timeShare`, so that it knows what rate to expect.
 * @param now milliseconds of the clock that all sites of the schedule share
 * @throws {InvalidArgumentError} the schedule knows no such link
 */
export function switchedPath(
  path: PhotonPath,
  { schedule, linkId, now }: { schedule: SwitchSchedule; linkId: string; now: () => number },
): PhotonPath {
  if (!schedule.lightShares.has(linkId)) throw new InvalidArgumentError(`The schedule has no link "${linkId}"`)
  return () => {
    const atMs = now()
    const { turns, untilMs } = stateAt(schedule, atMs)
    // Never 0, however the numbers round.
    const forMs = Math.max(untilMs - atMs, 1e-3)
    const turn = turns.find(one => one.linkId === linkId)
    if (turn?.lit !== true) return { dark: 'The switch serves other links of the site', forMs, planned: true }
    const light = path()
    if ('dark' in light) return light
    return 'channel' in light
      ? { channel: light.channel, forMs: Math.min(light.forMs, forMs) }
      : { channel: light, forMs }
  }
}

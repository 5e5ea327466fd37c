import { BB84_PRESETS, createFibrePhotons } from '../../lib/index.ts'
import { defineCommand, usageError } from '../command.ts'
import { parseDistanceKm } from '../link/units.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

const presets = Object.keys(BB84_PRESETS) as (keyof typeof BB84_PRESETS)[]

/** `qkd link photons`: the photon channel of one link, for two sites in other processes. */
export const photonsCommand = defineCommand({
  command: 'photons',
  describe: 'Run the simulated photon channel of a BB84 link in a process of its own, until SIGTERM or Ctrl-C',
  builder: yargs =>
    yargs
      .option('link', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'linkId, as both sites have it',
      })
      .option('alice', { type: 'string', demandOption: true, requiresArg: true, describe: 'Site whose end listens' })
      .option('bob', { type: 'string', demandOption: true, requiresArg: true, describe: 'Site whose end connects' })
      .option('preset', {
        choices: presets,
        default: 'yuan-2018' as const,
        describe: 'The devices, as both sites have them',
      })
      .option('distance', {
        type: 'string',
        requiresArg: true,
        default: '10km',
        describe: 'Between the sites, in km or m',
      })
      .option('key-bits', {
        type: 'number',
        requiresArg: true,
        default: 2 ** 18,
        describe: 'keyBits, as both sites have it',
      })
      .option('eve', {
        type: 'number',
        requiresArg: true,
        default: 0,
        describe: 'Share of the pulses that an eavesdropper intercepts and resends, 0 to 1',
      })
      .option('host', { type: 'string', requiresArg: true, default: '127.0.0.1', describe: 'Local address' })
      .option('port', { type: 'number', requiresArg: true, default: 0, describe: 'TCP port; 0 for a free one' })
      .example('$0 link photons --link a-b --alice site-b --bob site-a --port 8030', 'then "photons" at both sites'),
  handler: async ({ link, alice, bob, preset, distance, keyBits, eve, host, port, json }) => {
    const stopped = stopSignal()
    if (alice === bob) throw usageError('--alice and --bob must be two sites')
    await using photons = await createFibrePhotons({
      linkId: link,
      siteIds: [alice, bob],
      preset,
      distanceKm: parseDistanceKm(distance),
      keyBits,
      interceptFraction: eve,
      host,
      port,
    })
    const address = { host, port: photons.port }
    await (json
      ? printJson({ ready: true, link, address, pid: process.pid })
      : printLines(`photons of ${link} come and go at ${host}:${photons.port}`))
    await stopped
  },
})

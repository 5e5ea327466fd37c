import { access, constants, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import {
  CURVE_POINTS,
  DESIGN_PRESETS,
  type DesignPoint,
  designCurve,
  type LinkSimulation,
  simulateLink,
} from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { ProgressBar } from '../demo/progress-bar.ts'
import { reportPage } from '../link/report-page.ts'
import { parseDistanceKm } from '../link/units.ts'
import { describeLink, eventLine, summaryLines } from '../link/words.ts'
import { print, printJson, printLines, stopSignal } from '../terminal.ts'
import { photonsCommand } from './link-photons.ts'
import { replayCommand } from './link-replay.ts'
import { serveCommand } from './link-serve.ts'

const presets = Object.keys(DESIGN_PRESETS)

const simulateCommand = defineCommand({
  command: 'simulate',
  describe: 'Run a BB84 link in this process: simulated photons, real post-processing, stage by stage',
  builder: yargs =>
    yargs
      .option('preset', {
        choices: presets,
        default: 'gys',
        describe: 'The devices, as published; roofs-…: through air',
      })
      .option('distance', {
        type: 'string',
        requiresArg: true,
        default: '50km',
        describe: 'Between the sites, in km or m',
      })
      .option('eve', {
        type: 'number',
        requiresArg: true,
        default: 0,
        describe: 'Share of the pulses that an eavesdropper intercepts and resends, 0 to 1',
      })
      .option('classical', {
        type: 'number',
        requiresArg: true,
        describe: 'Power of classical channels in the same fibre, in dBm [default: none]',
      })
      .option('filter', {
        type: 'number',
        requiresArg: true,
        default: 0.1,
        describe: "With --classical: width of the filter before Bob's detectors, in nm",
      })
      .option('blocks', { type: 'number', requiresArg: true, default: 3, describe: 'Blocks to distil, 1 to 1000' })
      .option('block-bits', {
        type: 'number',
        requiresArg: true,
        default: 2 ** 20,
        describe: 'Sifted bits of a block, 65536 to 4194304',
      })
      .option('report', { type: 'string', requiresArg: true, describe: 'Also draw it all into this HTML file' })
      .example('$0 link simulate --preset gys --distance 50km', 'told stage by stage')
      .example('$0 link simulate --distance 50km --eve 0.1 --report out.html', 'with an eavesdropper, and drawn'),
  handler: async ({ preset, distance, eve, classical, filter, blocks, blockBits, report, json }) => {
    const lengthKm = parseDistanceKm(distance)
    // Before the work, not after it.
    if (report !== undefined) await access(dirname(resolve(report)), constants.W_OK)
    const ended = new AbortController()
    const stopped = new AbortController()
    stopSignal({ signal: ended.signal }).then(
      name => stopped.abort(new DOMException(`Stopped by ${name}`, 'AbortError')),
      () => {},
    )
    const { signal } = stopped
    try {
      const lines = json ? undefined : new Lines()
      const simulation = await simulateLink({
        preset,
        lengthKm,
        interceptFraction: eve,
        blocks,
        blockBits,
        signal,
        ...(classical === undefined ? {} : { classical: lightOf(classical, filter) }),
        onEvent: event => lines?.add(eventLine(event)),
      })
      await lines?.written
      await (json ? printJson(asJson(simulation)) : printLines(...summaryLines(simulation)))
      const bar = json ? undefined : new ProgressBar('report      ', process.stdout)
      if (report !== undefined) await writeReport(report, simulation, { signal, bar })
    } finally {
      ended.abort()
    }
  },
})

/** `qkd link`: the link layer. */
export const linkCommands = defineGroup('link', "Try out QKD links, feed recorded ones, and run a site's links apart", [
  serveCommand,
  simulateCommand,
  photonsCommand,
  replayCommand,
])

/** Lines that are written one after the other, without holding up who adds them. */
class Lines {
  written: Promise<void> = Promise.resolve()

  add(line: string): void {
    this.written = this.written.then(() => print(`${line}\n`))
  }
}

function lightOf(launchPowerDbm: number, filterNm: number) {
  return { launchPowerDbm, filterNm, direction: 'co', gatePs: 300 } as const
}

async function writeReport(
  path: string,
  simulation: LinkSimulation,
  { signal, bar }: { signal: AbortSignal; bar: ProgressBar | undefined },
): Promise<void> {
  const curve: DesignPoint[] = []
  for (const point of designCurve(simulation.design)) {
    // The curve takes seconds: a stop is heard between two of its points.
    await new Promise(resolve => setImmediate(resolve))
    signal.throwIfAborted()
    curve.push(point)
    bar?.update(curve.length, CURVE_POINTS)
  }
  await writeFile(path, reportPage(simulation, curve))
  bar?.end(path)
}

function asJson(simulation: LinkSimulation) {
  const blocks = simulation.blocks.map(block => ({ ...block, block: Number(block.block) }))
  return { link: describeLink(simulation), ...simulation, blocks }
}

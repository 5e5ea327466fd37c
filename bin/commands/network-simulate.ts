import { access, constants, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { parseNetworkTrace, simulateNetwork } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { ProgressBar } from '../demo/progress-bar.ts'
import { readJsonFile, readNetworkFile } from '../network/network-file.ts'
import { networkReportPage } from '../network/report-page.ts'
import { summaryLines } from '../network/simulation-words.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

/** `qkd network simulate`. */
export const networkSimulateCommand = defineCommand({
  command: 'simulate <file>',
  describe:
    'Run a network in virtual time: the real planner, relay queues and demand monitors, and hosts that draw key',
  builder: yargs =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: 'The network file' })
      .option('trace', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'What happens: JSON with durationS, and links and demands that change',
      })
      .option('report', { type: 'string', requiresArg: true, describe: 'Also draw it all into this HTML file' })
      .example(
        '$0 network simulate examples/networks/metro-12.json --trace examples/networks/metro-day.json --report day.html',
        'a day in seconds',
      ),
  handler: async ({ file: path, trace: tracePath, report, json }) => {
    const file = await readNetworkFile(path)
    const trace = parseNetworkTrace(await readJsonFile(tracePath), file)
    // Before the work, not after it.
    if (report !== undefined) await access(dirname(resolve(report)), constants.W_OK)
    const ended = new AbortController()
    const stopped = new AbortController()
    stopSignal({ signal: ended.signal }).then(
      name => stopped.abort(new DOMException(`Stopped by ${name}`, 'AbortError')),
      () => {},
    )
    const bar = json ? undefined : new ProgressBar('simulating', process.stderr)
    try {
      const onProgress = (share: number) => bar?.update(share, 1)
      const simulation = await simulateNetwork(file, trace, { signal: stopped.signal, onProgress })
      bar?.end('done')
      if (report !== undefined) await writeFile(report, networkReportPage(file, simulation))
      await (json ? printJson(simulation) : printLines(...summaryLines(simulation)))
    } finally {
      ended.abort()
    }
  },
})

import { join } from 'node:path'
import { withDeadline } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { DEMO_LINK_KINDS, demoLink } from '../demo/demo-links.ts'
import { runDemo } from '../demo/run-demo.ts'
import { openSourceFile } from '../demo/source-file.ts'
import { demoFailure, silence, terminalStory } from '../demo/terminal-story.ts'
import { packageRoot } from '../package-root.ts'
import { printJson, stopSignal } from '../terminal.ts'

/** How long all of it may take, in milliseconds; large files included. */
const DEADLINE_MS = 120_000

/** `qkd demo`: two sites in one process, and a file that goes from one to the other. */
export const demoCommand = defineCommand({
  command: 'demo',
  describe: 'Show it all: two sites, a simulated QKD link, and a file sent under a key that never travels',
  builder: yargs =>
    yargs
      .option('file', {
        type: 'string',
        requiresArg: true,
        describe: "The file to send [default: the package's README.md]",
      })
      .option('link', {
        choices: DEMO_LINK_KINDS,
        default: 'bb84' as const,
        describe:
          'What joins the two sites: BB84 over fibre, through air or with a satellite; ML-KEM; plain random bytes',
      })
      .example('$0 demo', 'told step by step; ends by itself')
      .example('$0 demo --file photo.jpg --json', 'what came of it, as one JSON document'),
  handler: async ({ file, link, json }) => {
    const source = await openSourceFile(file ?? join(packageRoot(), 'README.md'))
    const ended = new AbortController()
    const stopped = new AbortController()
    stopSignal({ signal: ended.signal }).then(
      name => stopped.abort(new DOMException(`Stopped by ${name}`, 'AbortError')),
      () => {},
    )
    try {
      const signal = withDeadline(stopped.signal, DEADLINE_MS)
      const report = await runDemo(
        { file: source, link: demoLink(link) },
        json ? silence : terminalStory(process.stdout),
        signal,
      )
      if (json) await printJson(report)
      const failure = demoFailure(report)
      if (failure !== undefined) throw new Error(failure)
    } finally {
      ended.abort()
    }
  },
})

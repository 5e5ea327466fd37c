import { createFront, type Front, loadFrontConfig, watchPolicyFile } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { describeEvent } from '../site-events.ts'
import { printJson, printLines, stopSignal, warn } from '../terminal.ts'

/** `qkd kme front`: policy and audit of ours, keys of somebody else. */
export const frontCommand = defineCommand({
  command: 'front',
  describe: "Stand in front of other vendors' KMEs with policy, audit and metrics, until SIGTERM or Ctrl-C",
  builder: yargs =>
    yargs
      .option('config', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: "The front's configuration",
      })
      .example('$0 kme front --config front-a.json', 'prints one line when it serves; events go to standard error')
      .example('$0 kme front --config front-a.json --json', 'the same for a program: addresses as JSON'),
  handler: async ({ config: path, json }) => {
    // Asked for before anything is open, so that a signal during the start is not lost.
    const stopped = stopSignal()
    const { config, policyPath, warnings } = await loadFrontConfig(path)
    warn(warnings, { json })
    await using front = await createFront(config)
    front.telemetry.subscribe(event => {
      const text = describeEvent(event)
      if (text !== undefined) process.stderr.write(`${json ? JSON.stringify({ event }) : text}\n`)
    })
    using _ = policyPath === undefined ? undefined : followPolicy(front, policyPath)
    const { siteId, address } = front
    const { kmeId, kmes } = config
    const far = kmes.map(({ peerSiteId }) => peerSiteId).join(', ')
    await (json
      ? printJson({ ready: true, siteId, kmeId, address, pid: process.pid })
      : printLines(`${siteId} serves: ETSI 014 as ${kmeId} at ${address.etsi014.url}, before the KMEs towards ${far}`))
    await stopped
  },
})

/** Takes the policy anew whenever its file changes; one with an error is refused whole, and the one before stays. */
function followPolicy(front: Front, path: string): Disposable {
  return watchPolicyFile(path, {
    onPolicy: ({ file }) => front.setPolicy(file),
    onRefusal: error => front.telemetry.emit({ type: 'policy', outcome: 'refused', reason: error.message }),
  })
}

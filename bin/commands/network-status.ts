import { setTimeout as sleep } from 'node:timers/promises'
import type { Argv } from 'yargs'
import {
  ConfigError,
  type DrainTarget,
  describeFilling,
  describeNetworkStatus,
  dialController,
  InvalidArgumentError,
  type LinkView,
  loadOperatorConfig,
  type NetworkController,
} from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

interface ControllerArguments {
  readonly config: string
  readonly timeoutMs: number
}

function withControllerOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('config', {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: "Who asks, and whom: an operator's file, a site's configuration, or the controller's",
    })
    .option('timeout-ms', {
      type: 'number',
      requiresArg: true,
      default: 10_000,
      describe: 'How long a controller may take to answer, in milliseconds',
    })
}

/** `qkd network status`. */
export const networkStatusCommand = defineCommand({
  command: 'status',
  describe: 'Show the running network as its controller sees it: sites, links, pairs and the plan in force',
  builder: yargs =>
    withControllerOptions(yargs)
      .option('watch', { type: 'boolean', default: false, describe: 'Again each second until Ctrl-C' })
      .example('$0 network status --config site-a.json', 'tables for a person')
      .example('$0 network status --config operator.json --watch --json', 'one JSON document a second'),
  handler: async ({ json, watch, ...args }) => {
    const stopped = new AbortController()
    if (watch)
      void stopSignal({ signal: stopped.signal }).then(
        () => stopped.abort(),
        () => {},
      )
    try {
      await withController(args, async (controller, signal) => {
        for (;;) {
          const status = await controller.status({ signal: signal() })
          const clear = watch && process.stdout.isTTY ? '\u001b[H\u001b[2J' : ''
          await (json ? printJson(status) : printLines(clear + describeNetworkStatus(status)))
          if (!watch || stopped.signal.aborted) return
          await sleep(1000, undefined, { signal: stopped.signal }).catch(() => {})
          if (stopped.signal.aborted) return
        }
      })
    } finally {
      stopped.abort()
    }
  },
})

const TARGET = 'A link, or a site with all its links'

/** `qkd network drain`. */
export const networkDrainCommand = defineCommand({
  command: 'drain <target>',
  describe: 'Take a link or a site out of the plans for maintenance: pools that depend on it are filled first',
  builder: yargs =>
    withControllerOptions(yargs)
      .positional('target', { type: 'string', demandOption: true, describe: TARGET })
      .option('fill', {
        type: 'number',
        requiresArg: true,
        default: 30,
        describe: 'Seconds after which it goes out of the plans whether pools are full or not, 0 to 86400',
      })
      .option('wait', { type: 'boolean', default: false, describe: 'Return when nothing is planned over it any more' })
      .example('$0 network drain berlin-hamburg --config operator.json --wait', 'then switch the link off'),
  handler: async ({ target, fill, wait, json, ...args }) => {
    if (!(fill >= 0 && fill <= 86_400))
      throw new InvalidArgumentError('--fill must be a number of seconds from 0 to 86400')
    const fillMs = Math.round(fill * 1000)
    await withController(args, async (controller, signal) => {
      const links = await controller.drain(await targetOf(controller, target, signal()), { signal: signal(), fillMs })
      if (!wait) {
        const text = `pools are filled for ${fill} s at most, then nothing is planned over it`
        await (json ? printJson({ links, drained: false }) : printLines(...links.map(link => `${link}: ${text}`)))
        return
      }
      const views = await untilDrained(controller, links, { signal, fillMs, say: json ? () => {} : sayProgress })
      const filled = views.every(view => view.filled === true)
      const text = (view: LinkView) => `out of the plans${view.filled ? '' : ', before all its pools were full'}`
      const lines = views.map(view => `${view.linkId}: ${text(view)}`)
      await (json ? printJson({ links, drained: true, filled }) : printLines(...lines))
    })
  },
})

/** `qkd network restore`. */
export const networkRestoreCommand = defineCommand({
  command: 'restore <target>',
  describe: 'Take a link or a site back into the plans after maintenance',
  builder: yargs =>
    withControllerOptions(yargs)
      .positional('target', { type: 'string', demandOption: true, describe: TARGET })
      .example('$0 network restore berlin-hamburg --config operator.json', 'planned over again within a second'),
  handler: async ({ target, json, ...args }) => {
    await withController(args, async (controller, signal) => {
      const links = await controller.restore(await targetOf(controller, target, signal()), { signal: signal() })
      await (json ? printJson({ links }) : printLines(...links.map(link => `${link}: back in the plans`)))
    })
  },
})

/** Tells a person how far it is. */
function sayProgress(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Waits until nothing is planned over the links, at most some seconds longer than their pools are filled. */
async function untilDrained(
  controller: NetworkController,
  links: readonly string[],
  { signal, fillMs, say }: { signal: () => AbortSignal; fillMs: number; say: (text: string) => void },
): Promise<readonly LinkView[]> {
  const beganMs = performance.now()
  const deadlineMs = beganMs + fillMs + 15_000
  let toldMs = beganMs
  for (;;) {
    const status = await controller.status({ signal: signal() })
    const views = status.links.filter(({ linkId }) => links.includes(linkId))
    const waiting = views.filter(({ drain, loadBps }) => !(drain === 'drained' && loadBps === 0))
    if (waiting.length === 0) return views
    if (performance.now() - toldMs > 1000) {
      toldMs = performance.now()
      for (const { linkId, filling } of waiting)
        say(`${linkId}: ${filling === undefined ? 'waiting for the plan without it' : describeFilling(filling)}`)
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`Still planned over: ${waiting.map(({ linkId }) => linkId).join(', ')}`)
    }
    await sleep(200)
  }
}

/** The link of that name, or else the site. */
async function targetOf(controller: NetworkController, name: string, signal: AbortSignal): Promise<DrainTarget> {
  const { links, sites } = await controller.status({ signal })
  if (links.some(({ linkId }) => linkId === name)) return { linkId: name }
  if (sites.some(({ siteId }) => siteId === name)) return { siteId: name }
  throw new InvalidArgumentError(`There is no link or site "${name}" in this network; qkd network status lists them`)
}

async function withController(
  { config, timeoutMs }: ControllerArguments,
  work: (controller: NetworkController, signal: () => AbortSignal) => Promise<void>,
): Promise<void> {
  const { tls, controllers } = await loadOperatorConfig(config)
  if (controllers.length === 0)
    throw new ConfigError(`${config}: /: field "controllers" is missing; it says where the controller is`)
  await using controller = dialController({ tls, network: { controllers } })
  await work(controller, () => AbortSignal.timeout(timeoutMs))
}

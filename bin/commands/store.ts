import { setTimeout as pause } from 'node:timers/promises'
import {
  ConfigError,
  hasNextKek,
  inspectStore,
  KmeUnreachableError,
  loadSiteConfig,
  lookAtStore,
  openOperatorClient,
  type PoolReport,
  proposeNextKek,
  type RekeyReport,
  type ReplicaReport,
  rekeyStore,
  requireStore,
  StoreError,
  verifyStore,
} from '../../lib/index.ts'
import { defineCommand, defineGroup, usageError } from '../command.ts'
import { credentials } from '../credentials.ts'
import { printJson, printLines } from '../terminal.ts'
import { backupCommand, restoreCommand } from './store-backup.ts'

const configOption = {
  type: 'string',
  demandOption: true,
  requiresArg: true,
  describe: "The site's configuration, which names the store",
} as const

const LOOK_EVERY_MS = 100
/** Longest wait for a running site: a day. */
const MAX_TIMEOUT_S = 86_400

async function configOf(path: string) {
  return (await loadSiteConfig(path, credentials())).config
}

const inspectCommand = defineCommand({
  command: 'inspect',
  describe: 'Say what a store holds, pool by pool; no key is opened. The site must be stopped',
  builder: yargs => yargs.option('config', configOption),
  handler: async ({ config, json }) => {
    const { store, kekName, replicas, close } = await lookAtStore(await configOf(config))
    try {
      const pools = await inspectStore(store)
      await (json
        ? printJson({ kek: kekName, ...(replicas && { replicas }), pools })
        : printLines(
            ...pools.map(describePool),
            ...(replicas === undefined ? [] : describeReplicas(replicas)),
            `key encryption key ${kekName}`,
          ))
    } finally {
      await close()
    }
  },
})

const verifyCommand = defineCommand({
  command: 'verify',
  describe: 'Open every block and pair secret of a store, and say what is damaged. The site must be stopped',
  builder: yargs => yargs.option('config', configOption),
  handler: async ({ config, json }) => {
    const { store, slots, close } = await lookAtStore(await configOf(config))
    try {
      const pools = await verifyStore({ store, slots })
      const damaged = pools.reduce((sum, { faults }) => sum + faults.length, 0)
      if (json) await printJson({ pools })
      else
        for (const { poolId, opened, faults } of pools)
          await printLines(
            `${poolId}: ${opened} opened, ${faults.length} damaged`,
            ...faults.map(({ what, reason }) => `  ${what}: ${reason}`),
          )
      if (damaged > 0)
        throw new StoreError(
          `${damaged} parts of the store are damaged: none of them is ever served; the sites drop them when they next meet`,
        )
    } finally {
      await close()
    }
  },
})

const rekeyCommand = defineCommand({
  command: 'rekey',
  describe:
    'Change the key encryption key of a store, while its site runs or not; the old one opens nothing afterwards',
  builder: yargs =>
    yargs
      .option('config', configOption)
      .option('timeout', {
        type: 'number',
        default: 60,
        requiresArg: true,
        describe: 'Seconds that a running site may take',
      })
      .example(
        '$0 store rekey --config site-a.json',
        'makes a new key, wraps every block key under it, and overwrites the old one',
      ),
  handler: async ({ config, json, timeout }) => {
    if (!(timeout > 0 && timeout <= MAX_TIMEOUT_S))
      throw usageError(`--timeout ${timeout} is no time to wait: give seconds, up to ${MAX_TIMEOUT_S}`)
    const { store: place, operators } = await configOf(config)
    if (place.kind === 'memory') throw new ConfigError(`${config}: /store: kind "memory" has no key`)
    if (!('file' in place.kek))
      throw new ConfigError(
        `${config}: /store/kek: only a key of kind "file" is changed by this command; otherwise give the new one, name the old one as "previous", and start the site again`,
      )
    const { file } = place.kek
    if (await rekeyByCall(config, { socket: operators?.socket, timeout })) {
      await (json ? printJson({ by: 'site' }) : printLines(describeRekey({ by: 'site' })))
      return
    }
    // A key laid beside a store that is not there would be taken for a change under way by the next call.
    requireStore(place)
    const fresh = await proposeNextKek(file)
    if (!fresh && !json) await printLines('A change is under way already: it is finished first')
    const report = (await rekeyStopped(place)) ?? (await rekeyRunning(file, timeout))
    await (json ? printJson(report) : printLines(describeRekey(report)))
  },
})

/** `qkd store`: what an operator does with the store of a site. */
export const storeCommands = defineGroup('store', 'Look after the store of a site', [
  inspectCommand,
  verifyCommand,
  rekeyCommand,
  backupCommand,
  restoreCommand,
])

/** Undefined where a site has the store open: then that site does it. */
async function rekeyStopped(place: Parameters<typeof rekeyStore>[0]): Promise<RekeyReport | undefined> {
  try {
    return await rekeyStore(place)
  } catch (error) {
    if (error instanceof StoreError && /in use by process/.test(error.message)) return undefined
    throw error
  }
}

/**
 * Asks a site that runs and has a socket for operators, so that the change goes by role and into the audit log; false where
 * nobody listens there.
 */
async function rekeyByCall(
  config: string,
  { socket, timeout }: { socket: string | undefined; timeout: number },
): Promise<boolean> {
  if (socket === undefined) return false
  const timeoutMs = Math.ceil(1000 * timeout)
  await using site = await openOperatorClient(config, { timeoutMs })
  try {
    await site.call('store-rekey', {}, { signal: AbortSignal.timeout(timeoutMs) })
    return true
  } catch (error) {
    // Nobody listens: the site is stopped, and its store free.
    if (error instanceof KmeUnreachableError && error.details[0]?.sent === false) return false
    throw error
  }
}

async function rekeyRunning(file: string, timeoutSeconds: number): Promise<{ by: 'site' }> {
  const endsAt = Date.now() + 1000 * timeoutSeconds
  while (await hasNextKek(file)) {
    if (Date.now() > endsAt)
      throw new StoreError(
        `The site that has the store open did not take the new key within ${timeoutSeconds} s; it lies in ${file}.next, and is taken at its next start`,
      )
    await pause(LOOK_EVERY_MS)
  }
  return { by: 'site' }
}

function describeRekey(report: RekeyReport | { by: 'site' }): string {
  if ('by' in report) return 'Changed by the site that has the store open; its log says how much was wrapped anew'
  const { renewed, damaged } = report
  return `Changed: ${renewed} slots are wrapped anew${damaged === 0 ? '' : `; ${damaged} were damaged before`}`
}

function describeReplicas({ owner, epoch, keyEpoch, hostKeyEpoch, timeline }: ReplicaReport): string[] {
  const who =
    owner === undefined
      ? 'nobody has owned the pools yet'
      : `owned by ${owner.id}${owner.address === '' ? '' : ` at ${owner.address}`} in epoch ${epoch}, renewed ${owner.renewedAt}`
  const behind = hostKeyEpoch === keyEpoch ? '' : ` (this host had ${hostKeyEpoch})`
  return [who, `epoch key ${keyEpoch}${behind}; database on timeline ${timeline ?? 'unknown'}`]
}

function describePool({ poolId, blocks, ...pool }: PoolReport): string {
  const lanes = Object.entries(blocks).map(
    ([owner, states]) =>
      `  owned by ${owner}: ${Object.entries(states)
        .map(([state, count]) => `${count} ${state}`)
        .join(', ')}`,
  )
  const { poolEpoch, sealEpoch, commits, peerCommits, rolledBack, leasedCells, consumedCells } = pool
  return [
    `${poolId}: epoch ${poolEpoch}, seal epoch ${sealEpoch}, ${commits} commits, ${peerCommits} heard from the peer${rolledBack ? ', ROLLED BACK' : ''}`,
    ...lanes,
    `  ${leasedCells} cells leased, ${consumedCells} spent`,
  ].join('\n')
}

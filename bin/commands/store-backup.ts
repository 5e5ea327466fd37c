import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  backupStore,
  ConfigError,
  decodeBackup,
  describeBackup,
  encodeBackup,
  loadSiteConfig,
  openStore,
  openStoreToRead,
  restoreStore,
  unreadable,
} from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { credentials } from '../credentials.ts'
import { placeFile } from '../file-once.ts'
import { printJson, printLines } from '../terminal.ts'

const configOption = {
  type: 'string',
  demandOption: true,
  requiresArg: true,
  describe: "The site's configuration, which names the store",
} as const

/** `qkd store backup`: what a site must not forget, and nothing that a key could be made from. */
export const backupCommand = defineCommand({
  command: 'backup <file>',
  describe: 'Write identities, counters, ownership and policy of a store to <file>: no key. The site may run',
  builder: yargs =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: 'Where to; must not be there yet' })
      .option('config', configOption)
      .example('$0 store backup site-a.backup --config site-a.json', 'while the site runs or not'),
  handler: async ({ file, config: path, json }) => {
    const { store: kept, siteId, policy } = await configOf(path)
    const store = await openStoreToRead(kept)
    try {
      const backup = await backupStore(store, { siteId, policy })
      await place(file, encodeBackup(backup))
      const told = describeBackup(backup)
      await (json
        ? printJson(told)
        : printLines(`${file}: ${told.pools} pools, ${told.blocks} blocks; it holds no key`))
    } finally {
      await store.close()
    }
  },
})

/** `qkd store restore`: into an empty store, which then counts as put back. */
export const restoreCommand = defineCommand({
  command: 'restore <file>',
  describe: 'Make a new store from a backup: its pools begin anew with their peers, and no number comes again',
  builder: yargs =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: 'What `qkd store backup` wrote' })
      .option('config', configOption)
      .option('policy', {
        type: 'string',
        requiresArg: true,
        describe: 'Where to write the policy of the backup, as JSON',
      })
      .example('$0 store restore site-a.backup --config site-a.json', 'with the old directory moved away'),
  handler: async ({ file, config: path, policy: policyPath, json }) => {
    const { store: kept, siteId } = await configOf(path)
    const backup = decodeBackup(await textOf(file))
    if (backup.siteId !== siteId)
      throw new ConfigError(`${file} is a backup of ${backup.siteId}; ${path} is the configuration of ${siteId}`)
    const { store, slots, marks } = await openStore(kept)
    try {
      await restoreStore(store, backup)
    } finally {
      await marks.close()
      await slots.close()
      await store.close()
    }
    if (policyPath !== undefined && backup.policy !== undefined)
      await place(policyPath, `${JSON.stringify(backup.policy, null, 2)}\n`)
    const told = describeBackup(backup)
    await (json
      ? printJson(told)
      : printLines(
          `${told.pools} pools of ${told.siteId}, as of ${told.madeAt}: they begin anew when they meet their peers; the key of ${told.blocks} blocks is lost`,
        ))
  },
})

/** @throws {ConfigError} there is such a file: no backup is ever written over; or no directory for it */
async function place(path: string, content: string): Promise<void> {
  const isNew = await placeFile(path, content, { mode: 0o600, replace: false }).catch(cause => {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new ConfigError(`no such directory: ${dirname(path)}; make it, or correct the path`, { cause })
  })
  if (!isNew) throw new ConfigError(`${path} is there already; name another file`)
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new ConfigError(unreadable(path, cause), { cause })
  }
}

async function configOf(path: string) {
  const { config } = await loadSiteConfig(path, credentials())
  const { store, siteId, policy } = config
  if (store.kind === 'lmdb') return { store, siteId, policy }
  throw new ConfigError(`${path}: /store: kind "${store.kind}" keeps nothing here; this command is for kind "lmdb"`)
}

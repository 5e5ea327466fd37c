import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type AbortOptions, StoreError } from '../../../lib/index.ts'
import type { KerberosKey } from '../enctype.ts'
import type { KeySink, WantedVersions } from '../versions/key-sink.ts'
import type { KeyVault } from '../versions/ledger-store.ts'
import type { KdcDatabase } from './kdc-database.ts'
import { MasterKeys } from './master-key.ts'

const run = promisify(execFile)
const PROPAGATE_TIMEOUT_MS = 60_000

/** Options of `createDatabaseSink`. */
export interface DatabaseSinkOptions {
  /**
   * A program and its arguments that bring the database to the replica KDCs, such as one that runs kprop for each. Runs
   * after every change and before the other end is told that the key is there.
   */
  readonly propagate?: readonly string[]
}

/** Keys go into a KDC's database: mode setup. */
export function createDatabaseSink(database: KdcDatabase, { propagate = [] }: DatabaseSinkOptions = {}): KeySink {
  const [program, ...args] = propagate
  return {
    present: async (principal, options) => (await database.state(principal, options))?.kvnos ?? [],
    async apply({ principal, versions, keepForeign, expiresMs }: WantedVersions, options?: AbortOptions) {
      await database.setVersions(principal, () => ({ put: versions, keep: keepForeign, expiresMs }), options)
      if (program === undefined) return
      try {
        await run(program, args, { timeout: PROPAGATE_TIMEOUT_MS, signal: options?.signal })
      } catch (cause) {
        options?.signal?.throwIfAborted()
        throw new StoreError(`propagate: ${program} failed: ${(cause as Error).message}`, { cause })
      }
    },
  }
}

/** Keys in the agent's file are under the realm's master key, as they are in the database. */
export function masterKeyVault(stashFile: string): KeyVault {
  return {
    async seal(key: KerberosKey, { kvno }) {
      using masterKeys = await MasterKeys.fromStash(stashFile)
      const { newest } = masterKeys
      const { parts } = masterKeys.seal(key, { kvno, masterKeyVersion: newest })
      return `${newest} ${Buffer.from(parts[0]!.data).toString('base64')}`
    },
    async open(sealed, { kvno, enctype }) {
      using masterKeys = await MasterKeys.fromStash(stashFile)
      const [version = '', data = ''] = sealed.split(' ')
      const parts = [{ type: enctype, data: Buffer.from(data, 'base64') }]
      return masterKeys.open({ kvno, parts }, { masterKeyVersion: Number(version) })
    },
  }
}

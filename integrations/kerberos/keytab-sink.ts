import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { StoreError } from '../../lib/index.ts'
import { type KeytabEntry, readKeytab, writeKeytab } from './keytab.ts'
import { servedEnctype } from './messages/common-fields.ts'
import type { KeySink, WantedVersions } from './versions/key-sink.ts'
import type { KeyVault } from './versions/ledger-store.ts'

/**
 * Keys go into the keytab of a service, with every version that is announced: acceptors such as sshd and nginx read the
 * file anew at each login and find the key of a kvno before the KDC first uses it. Entries of other principals stay.
 */
export function createKeytabSink(path: string): KeySink {
  return {
    async present(principal) {
      const entries = await loadKeytab(path)
      const kvnos = entries.filter(entry => entry.principal === principal).map(({ kvno }) => kvno)
      wipe(entries)
      return [...new Set(kvnos)]
    },
    async apply({ principal, versions, keepForeign }: WantedVersions) {
      const entries = await loadKeytab(path)
      try {
        const put = new Set(versions.map(({ kvno }) => kvno))
        const kept = entries.filter(
          entry => entry.principal !== principal || (keepForeign.includes(entry.kvno) && !put.has(entry.kvno)),
        )
        const timestamp = (ms: number) => Math.floor(ms / 1000)
        const fresh = versions.flatMap(({ kvno, keys, sinceMs }) =>
          keys.map(({ enctype, secret }) => ({ principal, timestamp: timestamp(sinceMs), kvno, enctype, secret })),
        )
        // The oldest first, as kadmin leaves them.
        await replaceKeytab(path, [...kept, ...fresh.sort((a, b) => a.kvno - b.kvno)])
      } finally {
        wipe(entries)
      }
    },
  }
}

/** The keytab is the safe: what is written down beside it only says that the key is there. */
export function keytabVault(path: string): KeyVault {
  return {
    seal: async () => 'keytab',
    async open(_, { principal, kvno, enctype }) {
      const entries = await loadKeytab(path)
      const found = entries.find(
        entry => entry.principal === principal && entry.kvno === kvno && entry.enctype === enctype,
      )
      wipe(entries.filter(entry => entry !== found))
      return found && { enctype: servedEnctype(found.enctype), secret: found.secret }
    },
  }
}

/** The entries of a keytab file, none where there is no file. The caller owns the keys. */
export async function loadKeytab(path: string): Promise<KeytabEntry[]> {
  try {
    const file = await readFile(path)
    try {
      return readKeytab(file)
    } finally {
      file.fill(0)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Puts a keytab in place as a whole, with the mode and owner of the one before, or 0600. */
export async function replaceKeytab(path: string, entries: readonly KeytabEntry[]): Promise<void> {
  const before = await stat(path).catch(() => undefined)
  const draft = `${path}.${randomUUID()}.tmp`
  const bytes = writeKeytab(entries)
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(bytes)
      if (before !== undefined) {
        await file.chown(before.uid, before.gid)
        await file.chmod(before.mode & 0o7777)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (cause) {
    throw new StoreError(`Can't write the keytab ${path}: ${(cause as Error).message}`, { cause })
  } finally {
    bytes.fill(0)
    await rm(draft, { force: true })
  }
}

function wipe(entries: readonly KeytabEntry[]): void {
  for (const { secret } of entries) secret.wipe()
}

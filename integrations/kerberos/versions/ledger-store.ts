import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { type AbortOptions, type SecretKey, StoreError } from '../../../lib/index.ts'
import { ENCTYPES, type Enctype, type KerberosKey } from '../enctype.ts'
import { type KvnoEntry, type KvnoState, kvnoOf } from '../kvno-table.ts'

const FORMAT = 'qkdkit kerberos versions 1'
const MAX_FILE_BYTES = 16 * 1024 * 1024

/** What is written down of one principal. */
export interface SavedPrincipal {
  readonly principal: string
  readonly foreign: { readonly kvnos: readonly number[]; readonly endsMs: number | undefined } | undefined
  /** The newest first. */
  readonly versions: readonly KvnoEntry[]
}

/** Where an agent writes its key versions down. */
export interface LedgerStore {
  /** What was saved last; nothing where nothing ever was. The caller owns the keys. */
  load(options?: AbortOptions): Promise<SavedPrincipal[]>
  /** Replaces what is there, durably, before it resolves. */
  save(principals: readonly SavedPrincipal[], options?: AbortOptions): Promise<void>
}

/** Keys in a form that may lie in a file. */
export interface KeyVault {
  /** Text from which `open` gives the key again: sealed, or a note of where it is. */
  seal(key: KerberosKey, version: { principal: string; kvno: number }): Promise<string>
  /** The key; undefined where it is gone. The caller owns it. */
  open(sealed: string, version: { principal: string; kvno: number; enctype: Enctype }): Promise<KerberosKey | undefined>
}

/** One JSON file, mode 0600, replaced as a whole; its keys are under `vault`. */
export class LedgerFile implements LedgerStore {
  readonly #path: string
  readonly #vault: KeyVault
  /** What was sealed once stays as it is: an agent holds dozens of versions and writes them all down each time. */
  readonly #sealed = new WeakMap<SecretKey, string>()

  constructor(path: string, vault: KeyVault) {
    this.#path = path
    this.#vault = vault
  }

  async load(): Promise<SavedPrincipal[]> {
    let text: string
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw new StoreError(`Can't read ${this.#path}: ${(cause as Error).message}`, { cause })
    }
    try {
      if (text.length > MAX_FILE_BYTES) throw new Error('it is too large')
      const file = JSON.parse(text)
      if (file.format !== FORMAT) throw new Error(`it is not of the format "${FORMAT}"`)
      return await Promise.all((file.principals as SavedRow[]).map(row => this.#fromRow(row)))
    } catch (cause) {
      throw new StoreError(
        `${this.#path} can't be read: ${(cause as Error).message}. Without it the agent begins anew: move it away`,
        { cause },
      )
    }
  }

  async save(principals: readonly SavedPrincipal[]): Promise<void> {
    const rows = await Promise.all(principals.map(saved => this.#toRow(saved)))
    const draft = `${this.#path}.${randomUUID()}.tmp`
    try {
      const file = await open(draft, 'wx', 0o600)
      try {
        await file.writeFile(`${JSON.stringify({ format: FORMAT, principals: rows })}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(draft, this.#path)
    } catch (cause) {
      throw new StoreError(`Can't write ${this.#path}: ${(cause as Error).message}`, { cause })
    } finally {
      await rm(draft, { force: true })
    }
  }

  async #toRow({ principal, foreign, versions }: SavedPrincipal): Promise<SavedRow> {
    return {
      principal,
      foreign: foreign && { kvnos: foreign.kvnos, endsMs: foreign.endsMs ?? null },
      versions: await Promise.all(
        versions.map(async ({ epoch, keyId, state, sinceMs, endsMs = null, keys, kvno }) => {
          const sealed = keys.map(async key => ({
            enctype: key.enctype,
            sealed: await this.#seal(key, { principal, kvno }),
          }))
          return { epoch, keyId, state, sinceMs, endsMs, keys: await Promise.all(sealed) }
        }),
      ),
    }
  }

  async #seal(key: KerberosKey, version: { principal: string; kvno: number }): Promise<string> {
    const sealed = this.#sealed.get(key.secret) ?? (await this.#vault.seal(key, version))
    this.#sealed.set(key.secret, sealed)
    return sealed
  }

  async #fromRow({ principal, foreign, versions }: SavedRow): Promise<SavedPrincipal> {
    const entries: KvnoEntry[] = []
    for (const { epoch, keyId, state, sinceMs, endsMs, keys: sealed } of versions) {
      const kvno = kvnoOf(epoch)
      const keys: KerberosKey[] = []
      for (const { enctype, sealed: text } of sealed) {
        if (!ENCTYPES.some(profile => profile.enctype === enctype)) continue
        const key = await this.#vault.open(text, { principal, kvno, enctype })
        if (key === undefined) continue
        this.#sealed.set(key.secret, text)
        keys.push(key)
      }
      if (keys.length > 0)
        entries.push({ principal, epoch, kvno, keyId, state, keys, sinceMs, endsMs: endsMs ?? undefined })
    }
    return {
      principal,
      foreign: foreign && { kvnos: foreign.kvnos, endsMs: foreign.endsMs ?? undefined },
      versions: entries,
    }
  }
}

/** A row of the file. */
interface SavedRow {
  readonly principal: string
  readonly foreign?: { readonly kvnos: readonly number[]; readonly endsMs: number | null }
  readonly versions: readonly {
    readonly epoch: number
    readonly keyId: string
    readonly state: KvnoState
    readonly sinceMs: number
    readonly endsMs: number | null
    readonly keys: readonly { readonly enctype: Enctype; readonly sealed: string }[]
  }[]
}

/** Keeps nothing: after a restart the agent begins anew. */
export const noLedgerStore: LedgerStore = {
  load: async () => [],
  save: async () => {},
}

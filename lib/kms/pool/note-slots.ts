import type { SecretKey } from '../../key/secret-key.ts'
import type { BlockVault } from '../store/block-vault.ts'
import { decodeSecretNote, SECRET_NOTE } from './secret-note.ts'
import { decodeSharedKey, isSharedKeyName } from './shared-key-record.ts'

/** A secret that a note of a pool is about: where its key lies, and how it is opened. */
export interface NotedSecret {
  readonly what: string
  /** Place in the slot file: what it wraps is lost without it. */
  readonly slot: number
  /** The caller owns the result. */
  open(vault: BlockVault): Promise<SecretKey>
  /** Destroys its key, durably. */
  destroy(vault: BlockVault): Promise<void>
}

/** The secrets that a note of a pool is about; none for notes without any. */
export function notedSecrets(name: string, value: Uint8Array): NotedSecret[] {
  if (isSharedKeyName(name)) {
    const { held } = decodeSharedKey(value)
    if (held.kind !== 'sealed' || held.slot < 0) return []
    const { slot } = held
    return [
      {
        what: 'key of several hosts',
        slot,
        open: vault => vault.openNamed(name, held),
        destroy: vault => vault.destroyNamed(name, slot),
      },
    ]
  }
  if (name !== SECRET_NOTE) return []
  const { previous, pending } = decodeSecretNote(value)
  const secrets: NotedSecret[] = []
  if (previous !== undefined) {
    const { slot, epoch } = previous
    secrets.push({
      what: `sealing keys of epoch ${epoch}`,
      slot,
      open: vault => vault.readSeal(slot),
      destroy: vault => vault.destroySeal(slot),
    })
  }
  if (pending !== undefined) {
    const { slot } = pending
    secrets.push({
      what: 'next pair secret',
      slot,
      open: vault => vault.readRoot(slot),
      destroy: vault => vault.destroyRoot(slot),
    })
  }
  return secrets
}

/** The places in the slot file that a note of a pool refers to. */
export function slotsOfNote(name: string, value: Uint8Array): number[] {
  return notedSecrets(name, value).map(({ slot }) => slot)
}

import { decodeSecretNote, SECRET_NOTE } from './secret-note.ts'
import { decodeSharedKey, isSharedKeyName } from './shared-key-record.ts'

/** The places in the slot file that a note of a pool refers to: what it is about is lost without them. */
export function slotsOfNote(name: string, value: Uint8Array): number[] {
  if (isSharedKeyName(name)) {
    const { held } = decodeSharedKey(value)
    return held.kind === 'sealed' && held.slot >= 0 ? [held.slot] : []
  }
  if (name !== SECRET_NOTE) return []
  const { previous, pending } = decodeSecretNote(value)
  return [previous, pending].flatMap(place => (place === undefined ? [] : [place.slot]))
}

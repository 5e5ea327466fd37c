import { StoreError } from '../../errors.ts'
import type { KemName } from '../../key/post-quantum.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'

/** What a pool remembers of its pair secret besides the root: the stored form of one note. */

/** Name of the note. */
export const SECRET_NOTE = 'pair secret'
export const TRANSCRIPT_BYTES = 32
/** Parameter sets from the weakest; their places are the bits on the wire. */
export const KEMS: readonly KemName[] = ['ML-KEM-768', 'ML-KEM-1024']
const FORMAT = 1
const NO_SLOT = 0xffffffff

/** What a refresh was made with; the next one may not be made with less. */
export interface RefreshTerms {
  readonly kem: KemName
  /** True where both sites signed. */
  readonly isSigned: boolean
  /** SHA-256 of everything that was said; the next refresh names it. */
  readonly transcript: Uint8Array
}

/** The pair secret's surroundings. */
export interface SecretNote extends RefreshTerms {
  /** Wall clock, when the epoch began. */
  readonly sinceMs: number
  /** The epoch before, as long as its key_IDs may be fetched. */
  readonly previous: { readonly epoch: number; readonly slot: number; readonly untilMs: number } | undefined
  /** The next root, stored and not yet known to be the peer's too. */
  readonly pending: (RefreshTerms & { readonly slot: number }) | undefined
}

/** What stands where nothing was refreshed yet. */
export const FIRST_TERMS: RefreshTerms = {
  kem: 'ML-KEM-768',
  isSigned: false,
  transcript: new Uint8Array(TRANSCRIPT_BYTES),
}

/** The note as it is stored. */
export function encodeSecretNote(note: SecretNote): Buffer {
  const { previous, pending } = note
  const writer = new ByteWriter().u8(FORMAT).u64(BigInt(Math.round(note.sinceMs)))
  writeTerms(writer, note)
  writer
    .u32(previous?.slot ?? NO_SLOT)
    .u32(previous?.epoch ?? 0)
    .u64(BigInt(Math.round(previous?.untilMs ?? 0)))
    .u32(pending?.slot ?? NO_SLOT)
  writeTerms(writer, pending ?? FIRST_TERMS)
  return writer.bytes()
}

/** @throws {StoreError} the note is of another format, or damaged */
export function decodeSecretNote(bytes: Uint8Array): SecretNote {
  const reader = new ByteReader(bytes)
  const format = reader.u8()
  if (format !== FORMAT)
    throw new StoreError(`The store holds a note of format ${format}; this version reads ${FORMAT}`)
  const sinceMs = Number(reader.u64())
  const terms = readTerms(reader)
  const [previousSlot, epoch, untilMs] = [reader.u32(), reader.u32(), Number(reader.u64())]
  const pendingSlot = reader.u32()
  const pendingTerms = readTerms(reader)
  reader.end()
  return {
    sinceMs,
    ...terms,
    previous: previousSlot === NO_SLOT ? undefined : { slot: previousSlot, epoch, untilMs },
    pending: pendingSlot === NO_SLOT ? undefined : { slot: pendingSlot, ...pendingTerms },
  }
}

function writeTerms(writer: ByteWriter, { kem, isSigned, transcript }: RefreshTerms): void {
  writer
    .u8(KEMS.indexOf(kem))
    .u8(isSigned ? 1 : 0)
    .raw(transcript)
}

function readTerms(reader: ByteReader): RefreshTerms {
  const kem = KEMS[reader.u8()]
  if (kem === undefined) throw new StoreError('The store names an unknown parameter set of ML-KEM')
  return { kem, isSigned: reader.u8() === 1, transcript: Uint8Array.from(reader.raw(TRANSCRIPT_BYTES)) }
}

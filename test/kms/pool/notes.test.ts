import { expect } from 'chai'
import { slotsOfNote } from '../../../lib/kms/pool/note-slots.ts'
import {
  decodeSecretNote,
  encodeSecretNote,
  FIRST_TERMS,
  SECRET_NOTE,
  type SecretNote,
} from '../../../lib/kms/pool/secret-note.ts'
import {
  decodeSharedKey,
  encodeSharedKey,
  isSharedKeyName,
  type SharedKeyRecord,
  sharedKeyName,
  withTaken,
} from '../../../lib/kms/pool/shared-key-record.ts'

const ID = '00000000-0000-4000-8000-000000000000'

const record: SharedKeyRecord = {
  masterSaeId: 'alice',
  slaveSaeId: 'bob',
  recipients: ['carl', 'cleo'].map(saeId => ({ saeId, taken: false })),
  level: 'hybrid',
  trustClass: 'relayed',
  sizeBytes: 31_904,
  expiresAtMs: 1_700_000_000_000,
  ways: [{ shares: [[['a', 'x', 'b']]], links: [], sinceMs: 1, untilMs: 2 }],
  held: { kind: 'sealed', slot: 7, sealed: Uint8Array.from({ length: 31_932 }, (_, at) => at % 251) },
}

describe('the record of a key of several hosts', () => {
  it('comes back as it was stored, under a name that does not tell the key_ID', () => {
    for (const held of [record.held, { kind: 'cells' } as const])
      expect(decodeSharedKey(encodeSharedKey({ ...record, held }))).to.deep.equal({ ...record, held })
    expect(isSharedKeyName(sharedKeyName(ID))).to.equal(true)
    expect(sharedKeyName(ID)).to.not.contain(ID.slice(0, 8))
    expect(isSharedKeyName(SECRET_NOTE)).to.equal(false)
  })

  it('loses its bytes and its slot with the last who takes it', () => {
    const once = withTaken(record, 'carl')
    expect(once.recipients.map(({ taken }) => taken)).to.deep.equal([true, false])
    expect(slotsOfNote(sharedKeyName(ID), encodeSharedKey(once))).to.deep.equal([7])
    const twice = withTaken(once, 'cleo')
    expect(slotsOfNote(sharedKeyName(ID), encodeSharedKey(twice))).to.deep.equal([])
    expect(twice.held).to.deep.equal({ kind: 'sealed', slot: -1, sealed: new Uint8Array(0) })
  })
})

describe('the note on the pair secret', () => {
  const terms = {
    kem: 'ML-KEM-1024',
    isSigned: true,
    transcript: Uint8Array.from({ length: 32 }, (_, at) => at),
  } as const
  const notes: SecretNote[] = [
    { ...FIRST_TERMS, sinceMs: 0, previous: undefined, pending: undefined },
    {
      ...terms,
      sinceMs: 1_700_000_000_000,
      previous: { epoch: 3, slot: 9, untilMs: 1_700_000_060_000 },
      pending: undefined,
    },
    { ...FIRST_TERMS, sinceMs: 5, previous: undefined, pending: { ...terms, slot: 2 } },
  ]

  it('comes back as it was stored, and tells which slots it needs', () => {
    for (const note of notes) expect(decodeSecretNote(encodeSecretNote(note))).to.deep.equal(note)
    expect(notes.map(note => slotsOfNote(SECRET_NOTE, encodeSecretNote(note)))).to.deep.equal([[], [9], [2]])
  })
})

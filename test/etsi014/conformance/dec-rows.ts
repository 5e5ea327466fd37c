import { expect } from 'chai'
import { idsBody, keysOf, refusal, UNKNOWN_ID } from '../wires.ts'
import type { Checklist } from './checklist.ts'
import type { Rows } from './rows.ts'

const NOT_FOUND = 'one or more keys specified are not found on KME'

/** Fresh keys of A, for B unless another slave is named. */
const fresh = async ({ A }: Checklist, number = 1, slave = 'bob') =>
  keysOf(await A(`${slave}/enc_keys?number=${number}`))

/** One fresh key of A for B. */
const freshKey = async (list: Checklist) => (await fresh(list))[0]!

export const decRows: Rows<Checklist> = {
  '25 B gets by GET what A got': async list => {
    const key = await freshKey(list)
    expect(keysOf(await list.B(`alice/dec_keys?key_ID=${key.key_ID}`))).to.deep.equal([key])
  },

  '26 B gets three keys by POST, in the order asked for': async list => {
    const [one, two, three] = await fresh(list, 3)
    const answer = await list.B('alice/dec_keys', idsBody(three!.key_ID, one!.key_ID, two!.key_ID))
    expect(keysOf(answer)).to.deep.equal([three, one, two])
  },

  '27 a key is given once': async list => {
    const { key_ID } = await freshKey(list)
    keysOf(await list.B(`alice/dec_keys?key_ID=${key_ID}`))
    expect(refusal(await list.B(`alice/dec_keys?key_ID=${key_ID}`)).json.message).to.equal(NOT_FOUND)
  },

  '28 all keys are given or none': async list => {
    const [one, two] = await fresh(list, 2)
    const mixed = idsBody(one!.key_ID, UNKNOWN_ID, two!.key_ID)
    expect(refusal(await list.B('alice/dec_keys', mixed)).json.message).to.equal(NOT_FOUND)
    expect(keysOf(await list.B('alice/dec_keys', idsBody(one!.key_ID, two!.key_ID)))).to.deep.equal([one, two])
  },

  '29 unknown, expired and delivered keys look alike to the byte': async ({ open }) => {
    await using list = await open({})
    const [delivered, expired] = await fresh(list, 2)
    keysOf(await list.B(`alice/dec_keys?key_ID=${delivered!.key_ID}`))
    const replay = refusal(await list.B(`alice/dec_keys?key_ID=${delivered!.key_ID}`))
    const unknown = refusal(await list.B(`alice/dec_keys?key_ID=${UNKNOWN_ID}`))
    // The lifetime of the pool, and what a lease may add to it.
    list.advance(300_000 + 120_000)
    const late = refusal(await list.B(`alice/dec_keys?key_ID=${expired!.key_ID}`))
    expect(unknown.text).to.equal(replay.text)
    expect(late.text).to.equal(replay.text)
    const shape = ({ headers }: typeof late) => ({ ...headers, date: '' })
    expect([shape(unknown), shape(late)]).to.deep.equal([shape(replay), shape(replay)])
  },

  '30 an ID that is none, and a body without IDs, are refused': async ({ B }) => {
    expect(refusal(await B('alice/dec_keys?key_ID=not-a-uuid')).json.message).to.equal(NOT_FOUND)
    refusal(await B('alice/dec_keys'))
    refusal(await B('alice/dec_keys', { method: 'POST' }))
    for (const body of [{}, { key_IDs: [] }, { key_ids: [{ key_ID: UNKNOWN_ID }] }, { key_IDs: [UNKNOWN_ID] }]) {
      refusal(await B('alice/dec_keys', { body }))
    }
    refusal(await B('alice/dec_keys', { body: { key_IDs: [{ keyId: UNKNOWN_ID }] } }))
  },

  '31 an ID may be in upper case': async list => {
    const key = await freshKey(list)
    expect(keysOf(await list.B(`alice/dec_keys?key_ID=${key.key_ID.toUpperCase()}`))).to.deep.equal([key])
  },

  '32 an ID given twice is refused and nothing consumed': async list => {
    const key = await freshKey(list)
    refusal(await list.B('alice/dec_keys', idsBody(key.key_ID, key.key_ID)))
    refusal(await list.B('alice/dec_keys', idsBody(key.key_ID, key.key_ID.toUpperCase())))
    expect(keysOf(await list.B('alice/dec_keys', idsBody(key.key_ID)))).to.deep.equal([key])
  },

  '33 a GET has one key_ID': async list => {
    const [one, two] = await fresh(list, 2)
    refusal(await list.B(`alice/dec_keys?key_ID=${one!.key_ID}&key_ID=${two!.key_ID}`))
    expect(keysOf(await list.B('alice/dec_keys', idsBody(one!.key_ID, two!.key_ID)))).to.deep.equal([one, two])
  },

  '34 an entry may have further members': async list => {
    const key = await freshKey(list)
    const entry = { key_ID: key.key_ID, master_SAE_ID: 'alice', key_ID_extension: {} }
    expect(keysOf(await list.B('alice/dec_keys', { body: { key_IDs: [entry] } }))).to.deep.equal([key])
  },

  '35 neither C nor A itself gets a key for B': async list => {
    const key = await freshKey(list)
    refusal(await list.C(`alice/dec_keys?key_ID=${key.key_ID}`), 401)
    refusal(await list.A(`alice/dec_keys?key_ID=${key.key_ID}`), 401)
    // As if B were the master: in that direction KMS-1 knows no such ID, or somebody else's.
    expect((await list.A(`bob/dec_keys?key_ID=${key.key_ID}`)).status).to.be.oneOf([400, 401])
    expect(keysOf(await list.B(`alice/dec_keys?key_ID=${key.key_ID}`))).to.deep.equal([key])
  },

  '36 B with another master in the path gets nothing': async list => {
    const key = await freshKey(list)
    expect((await list.B(`carol/dec_keys?key_ID=${key.key_ID}`)).status).to.be.oneOf([400, 401])
    expect(keysOf(await list.B(`alice/dec_keys?key_ID=${key.key_ID}`))).to.deep.equal([key])
  },

  '37 a mix of keys of B and C is refused and nothing consumed': async list => {
    const [ofB] = await fresh(list)
    const [ofC] = await fresh(list, 1, 'carol')
    refusal(await list.B('alice/dec_keys', idsBody(ofB!.key_ID, ofC!.key_ID)), 401)
    expect(keysOf(await list.B('alice/dec_keys', idsBody(ofB!.key_ID)))).to.deep.equal([ofB])
    expect(keysOf(await list.C('alice/dec_keys', idsBody(ofC!.key_ID)))).to.deep.equal([ofC])
  },
}

import { expect } from 'chai'
import { createWires, idsBody, keysOf, refusal, UNKNOWN_ID, type Wires } from './wires.ts'

const NOT_FOUND = 'one or more keys specified are not found on KME'

describe('Etsi014Handler dec_keys', () => {
  let wires: Wires
  const A: Wires['A'] = (path, call) => wires.A(path, call)
  const B: Wires['B'] = (path, call) => wires.B(path, call)

  /** A fresh key of A for B. */
  const fresh = async () => keysOf(await A('bob/enc_keys'))[0]!

  before(async () => {
    wires = await createWires()
  })

  after(() => wires[Symbol.asyncDispose]())

  it('gives B the key that A was given, by GET and by POST, in the order asked for', async () => {
    const given = keysOf(await A('bob/enc_keys?number=4&size=512'))
    const single = await B(`alice/dec_keys?key_ID=${given[0]!.key_ID}`)
    expect(keysOf(single)).to.deep.equal([given[0]])
    expect(single.headers).to.include({ 'content-type': 'application/json', 'cache-control': 'no-store' })
    const rest = [given[3]!, given[1]!, given[2]!]
    expect(keysOf(await B('alice/dec_keys', idsBody(...rest.map(({ key_ID }) => key_ID))))).to.deep.equal(rest)
  })

  it('gives B each key at once, a thousand times', async () => {
    for (let n = 0; n < 1_000; n += 1) {
      const key = await fresh()
      expect(keysOf(await B(`alice/dec_keys?key_ID=${key.key_ID}`))).to.deep.equal([key])
    }
  }).timeout(60_000)

  it('refuses delivered, unknown and impossible IDs with the same bytes', async () => {
    const { key_ID } = await fresh()
    keysOf(await B(`alice/dec_keys?key_ID=${key_ID}`))
    const delivered = refusal(await B(`alice/dec_keys?key_ID=${key_ID}`))
    expect(delivered.json.message).to.equal(NOT_FOUND)
    for (const id of [UNKNOWN_ID, UNKNOWN_ID.replace('-4', '-1'), 'not-a-uuid']) {
      const unknown = await B(`alice/dec_keys?key_ID=${id}`)
      expect([unknown.status, unknown.headers, unknown.text]).to.deep.equal([400, delivered.headers, delivered.text])
    }
  })

  it('gives all or none', async () => {
    const [one, two] = [await fresh(), await fresh()]
    const mixed = idsBody(one.key_ID, UNKNOWN_ID, two.key_ID)
    expect(refusal(await B('alice/dec_keys', mixed)).json.message).to.equal(NOT_FOUND)
    expect(keysOf(await B('alice/dec_keys', idsBody(one.key_ID, two.key_ID)))).to.deep.equal([one, two])
  })

  it('refuses requests without an ID, with two in a query, and of another shape', async () => {
    const [one, two] = [await fresh(), await fresh()]
    const queries = ['', '?', '?key_ID=', `?id=${one.key_ID}`, `?key_ID=${one.key_ID}&key_ID=${two.key_ID}`]
    for (const query of [...queries, `?key_ID=${one.key_ID}&size=256`]) refusal(await B(`alice/dec_keys${query}`))
    const bodies = [
      {},
      { key_IDs: [] },
      { key_IDs: null },
      { key_ids: [{ key_ID: one.key_ID }] },
      { key_IDs: [one.key_ID] },
    ]
    const more = [{ key_IDs: [{ keyId: one.key_ID }] }, { key_IDs: [{ key_ID: 1 }] }, [], 'null']
    for (const body of [...bodies, ...more]) refusal(await B('alice/dec_keys', { body }))
    refusal(await B('alice/dec_keys', { method: 'POST' }))
    refusal(await B(`alice/dec_keys?key_ID=${one.key_ID}`, idsBody(one.key_ID)))
    expect(keysOf(await B('alice/dec_keys', idsBody(one.key_ID, two.key_ID)))).to.deep.equal([one, two])
  })

  it('refuses the same ID twice, and takes it in upper case and with extra members', async () => {
    const key = await fresh()
    refusal(await B('alice/dec_keys', idsBody(key.key_ID, key.key_ID)))
    refusal(await B('alice/dec_keys', idsBody(key.key_ID, key.key_ID.toUpperCase())))
    const body = {
      key_IDs: [{ key_ID: key.key_ID.toUpperCase(), key_ID_extension: {}, master_SAE_ID: 'alice' }],
      key_IDs_extension: null,
    }
    expect(keysOf(await B('alice/dec_keys', { body }))).to.deep.equal([key])
  })

  it('refuses C and A the key of B with 401, and still gives it to B', async () => {
    const key = await fresh()
    refusal(await wires.carol(`alice/dec_keys?key_ID=${key.key_ID}`), 401)
    expect((await A(`bob/dec_keys?key_ID=${key.key_ID}`)).status).to.be.oneOf([400, 401])
    expect((await A(`alice/dec_keys?key_ID=${key.key_ID}`)).status).to.be.oneOf([400, 401])
    expect((await B(`carol/dec_keys?key_ID=${key.key_ID}`)).status).to.be.oneOf([400, 401])
    expect(keysOf(await B(`alice/dec_keys?key_ID=${key.key_ID}`))).to.deep.equal([key])
  })

  it('refuses a mix of the keys of B and C with 401, and uses none up', async () => {
    const forBob = await fresh()
    const forCarol = keysOf(await A('carol/enc_keys'))[0]!
    refusal(await B('alice/dec_keys', idsBody(forBob.key_ID, forCarol.key_ID)), 401)
    expect(keysOf(await B('alice/dec_keys', idsBody(forBob.key_ID)))).to.deep.equal([forBob])
    expect(keysOf(await wires.carol('alice/dec_keys', idsBody(forCarol.key_ID)))).to.deep.equal([forCarol])
  })
})

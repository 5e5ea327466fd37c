import { expect } from 'chai'
import { type Call, createWires, keysOf, refusal, type Wires } from './wires.ts'

describe('Etsi014Handler enc_keys', () => {
  let wires: Wires
  const A: Wires['A'] = (path, call) => wires.A(path, call)
  const stored = async () => (await A('bob/status')).json.stored_key_count as number

  before(async () => {
    wires = await createWires()
  })

  after(() => wires[Symbol.asyncDispose]())

  it('gives one key of the default size to GET and to every POST without wishes', async () => {
    const { key_size } = (await A('bob/status')).json
    const calls: Call[] = [
      {},
      { headers: { 'content-type': 'application/json' } },
      { method: 'POST' },
      { method: 'POST', headers: { 'content-type': 'application/json' } },
      { method: 'POST', headers: { 'content-type': 'text/plain' } },
      { body: {} },
      { body: { number: null, size: null, extension_mandatory: null } },
      { body: '{}', headers: { 'content-type': 'application/json; charset=utf-8' } },
    ]
    for (const call of calls) {
      const answer = await A('bob/enc_keys', call)
      const [key, ...rest] = keysOf(answer)
      expect(rest).to.have.length(0)
      expect(key?.key_ID).to.match(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      expect(key?.key).to.match(/^[A-Za-z0-9+/]+={0,2}$/)
      expect(Buffer.from(key!.key, 'base64')).to.have.length(key_size / 8)
      expect(answer.headers).to.include({ 'content-type': 'application/json', 'cache-control': 'no-store' })
    }
  })

  it('heeds number and size, in query and body', async () => {
    for (const [answer, number, bytes] of [
      [await A('bob/enc_keys?number=3&size=1024'), 3, 128],
      [await A('bob/enc_keys', { body: { number: 3, size: 512 } }), 3, 64],
      [await A('bob/enc_keys', { body: { number: 2.0 } }), 2, 32],
    ] as const) {
      const keys = keysOf(answer)
      expect(keys).to.have.length(number)
      expect(new Set(keys.map(({ key_ID }) => key_ID)).size).to.equal(number)
      expect(new Set(keys.map(({ key }) => key)).size).to.equal(number)
      for (const { key } of keys) expect(Buffer.from(key, 'base64')).to.have.length(bytes)
    }
  })

  it('holds its limits to the bit', async () => {
    const { max_key_per_request: most, min_key_size: min, max_key_size: max } = (await A('bob/status')).json
    expect(keysOf(await A(`bob/enc_keys?number=${most}`))).to.have.length(most)
    expect(keysOf(await A(`bob/enc_keys?size=${min}`))).to.have.length(1)
    expect(keysOf(await A(`bob/enc_keys?size=${max}`))).to.have.length(1)
    for (const query of [`number=${most + 1}`, `size=${min - 8}`, `size=${max + 8}`]) {
      const { details } = refusal(await A(`bob/enc_keys?${query}`)).json
      const [name, value] = query.split('=')
      expect(details[0]).to.include({ parameter_name: name, parameter_value: value })
      expect(details[0].allowed_values).to.be.a('string')
    }
  })

  it('refuses a size that is no multiple of 8 in the words of the standard', async () => {
    for (const call of [await A('bob/enc_keys?size=250'), await A('bob/enc_keys', { body: { size: 250 } })]) {
      expect(refusal(call).json.message).to.equal('size shall be a multiple of 8')
    }
  })

  it('refuses numbers and sizes that are no positive integers', async () => {
    for (const name of ['number', 'size']) {
      for (const text of ['0', '-8', '1.5', '1e2', 'abc01', '', '%208', '+8', '8x', '99999999999999999999']) {
        refusal(await A(`bob/enc_keys?${name}=${text}`))
      }
      for (const text of ['0', '-8', '1.5', '1e2', '"2"', '"abc01"', 'true', '[8]', '99999999999999999999']) {
        refusal(await A('bob/enc_keys', { body: `{"${name}":${text}}` }))
      }
    }
    refusal(await A('bob/enc_keys?size=256&size=256'))
  })

  it('refuses what is no JSON object in UTF-8', async () => {
    const bodies = ['[]', 'null', '"{}"', '1', '{', '{"number":1,}', ' ', '<xml/>']
    for (const body of [...bodies, Buffer.from('7b2261223a22ff227d', 'hex')]) {
      refusal(await A('bob/enc_keys', { body }))
    }
  })

  it('passes over unknown fields and optional extensions, also those with numbers in them', async () => {
    for (const body of [
      { additional_target_sae_ids: [] },
      { extension_optional: [{ abc_x: 1 }, { abc_y: { z: null } }] },
      '{"extension_optional":[{"abc_x":1e2,"t":"number\\":1e2"}]}',
    ]) {
      keysOf(await A('bob/enc_keys', { body }))
    }
  })

  it('refuses an unknown mandatory extension in the words of the standard, and gives no key for it', async () => {
    const before = await stored()
    const body = { extension_mandatory: [{ abc_route_type: 'direct' }] }
    const { message, details } = refusal(await A('bob/enc_keys', { body })).json
    expect(message).to.equal('not all extension_mandatory parameters are supported')
    expect(details[0]).to.deep.equal({ extension_mandatory_unsupported: 'abc_route_type is not supported' })
    refusal(await A('bob/enc_keys', { body: { extension_mandatory: [{ qkd_level: 'quantum', abc: 1 }] } }))
    expect(await stored()).to.be.at.least(before)
  })

  it('heeds the level that a mandatory extension asks for, and reports it with the key', async () => {
    const body = { extension_mandatory: [{ qkd_level: 'quantum' }] }
    const { keys } = (await A('bob/enc_keys', { body })).json
    expect(keys[0].key_extension).to.deep.equal({ qkd_level: 'quantum', qkd_trust_class: 'direct' })
  })

  it('refuses a level that cannot be had in the words of the standard', async () => {
    for (const level of ['post-quantum', 'purple', 1, null]) {
      const body = { extension_mandatory: [{ qkd_level: level }] }
      const { message } = refusal(await A('bob/enc_keys', { body })).json
      expect(message).to.equal('not all extension_mandatory request options could be met')
    }
    const twice = { extension_mandatory: [{ qkd_level: 'quantum' }, { qkd_level: 'one-time-pad' }] }
    refusal(await A('bob/enc_keys', { body: twice }))
  })

  it('refuses extensions that are no list of objects', async () => {
    for (const name of ['extension_mandatory', 'extension_optional']) {
      for (const value of [{ abc: 1 }, ['abc'], [null], [[]], 'abc', 1]) {
        refusal(await A('bob/enc_keys', { body: { [name]: value } }))
      }
    }
  })

  it('refuses the caller itself, an unknown, blank, broken and over-long SAE ID', async () => {
    for (const id of ['alice', 'nobody', '%20', '%00', '%', '%ff', '', 'x'.repeat(292)]) {
      refusal(await A(`/api/v1/keys/${id}/enc_keys`))
      refusal(await A(`/api/v1/keys/${id}/enc_keys`, { body: {} }))
    }
  })

  it('refuses items at the wrong place', async () => {
    refusal(await A('bob/enc_keys?additional_slave_SAE_IDs=carol'))
    refusal(await A('bob/enc_keys?key_ID=x'))
    refusal(await A('bob/enc_keys', { method: 'GET', body: { number: 2 } }))
    refusal(await A('bob/enc_keys?number=2', { body: {} }))
  })

  it('refuses every odd list of additional slaves', async () => {
    const tooMany = Array.from({ length: 33 }, (_, n) => `sae-${n}`)
    for (const list of [['carol', 'carol'], ['bob'], ['alice'], [''], [], ['nobody'], 'carol', [1], tooMany]) {
      refusal(await A('bob/enc_keys', { body: { additional_slave_SAE_IDs: list } }))
    }
  })
})

import { expect } from 'chai'
import { type Answer, type Call, keysOf, refusal } from '../wires.ts'
import type { Ask, Checklist } from './checklist.ts'
import type { Rows } from './rows.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Expects `number` different keys of `bytes` bytes. */
function expectKeys(answer: Answer, number: number, bytes: number): void {
  const keys = keysOf(answer)
  expect(keys).to.have.length(number)
  expect(new Set(keys.map(({ key_ID }) => key_ID)).size).to.equal(number)
  expect(new Set(keys.map(({ key }) => key)).size).to.equal(number)
  for (const { key_ID, key } of keys) {
    expect(key_ID).to.match(UUID)
    expect(key).to.match(BASE64)
    expect(Buffer.from(key, 'base64')).to.have.length(bytes)
  }
}

async function expectOneOfDefaultSize(A: Ask, call: Call): Promise<void> {
  const { key_size } = (await A('bob/status')).json
  expectKeys(await A('bob/enc_keys', call), 1, key_size / 8)
}

const stored = async (A: Ask) => (await A('bob/status')).json.stored_key_count as number
const extension = (entries: unknown) => ({ body: { extension_mandatory: entries } })

export const encRows: Rows<Checklist> = {
  '4 enc_keys by GET gives one key of the default size': ({ A }) => expectOneOfDefaultSize(A, {}),
  '5 enc_keys by POST needs neither body nor type': ({ A }) => expectOneOfDefaultSize(A, { method: 'POST' }),
  '6 enc_keys by POST takes an empty body of type JSON': ({ A }) =>
    expectOneOfDefaultSize(A, { method: 'POST', headers: JSON_TYPE }),
  '7 enc_keys by POST takes {}': ({ A }) => expectOneOfDefaultSize(A, { body: '{}' }),

  '8 enc_keys by GET heeds number and size': async ({ A }) => {
    expectKeys(await A('bob/enc_keys?number=3&size=1024'), 3, 128)
  },

  '9 enc_keys by POST heeds number and size': async ({ A }) => {
    expectKeys(await A('bob/enc_keys', { body: { number: 3, size: 512 } }), 3, 64)
  },

  '10 a type on a GET without body does no harm': ({ A }) => expectOneOfDefaultSize(A, { headers: JSON_TYPE }),

  '11 number goes up to max_key_per_request': async ({ A }) => {
    const { max_key_per_request: most, key_size } = (await A('bob/status')).json
    expectKeys(await A(`bob/enc_keys?number=${most}`), most, key_size / 8)
    refusal(await A(`bob/enc_keys?number=${most + 1}`))
    refusal(await A('bob/enc_keys', { body: { number: most + 1 } }))
  },

  '12 size goes from min_key_size to max_key_size': async ({ A }) => {
    const { min_key_size: min, max_key_size: max } = (await A('bob/status')).json
    expectKeys(await A(`bob/enc_keys?size=${min}`), 1, min / 8)
    expectKeys(await A(`bob/enc_keys?size=${max}`), 1, max / 8)
    for (const size of [min - 8, max + 8]) {
      const { details } = refusal(await A(`bob/enc_keys?size=${size}`)).json
      expect(details[0]).to.include({ parameter_name: 'size', parameter_value: `${size}` })
    }
  },

  '13 a size of 250 is refused in the words of the standard': async ({ A }) => {
    for (const answer of [await A('bob/enc_keys?size=250'), await A('bob/enc_keys', { body: { size: 250 } })]) {
      expect(refusal(answer).json.message).to.equal('size shall be a multiple of 8')
    }
  },

  '14 numbers and sizes that are no positive integers are refused': async ({ A }) => {
    for (const name of ['number', 'size']) {
      for (const text of ['0', '-8', 'abc01', '1.5', '1e2']) {
        refusal(await A(`bob/enc_keys?${name}=${text}`))
        refusal(await A('bob/enc_keys', { body: `{"${name}":${text === 'abc01' ? '"abc01"' : text}}` }))
      }
    }
  },

  '15 a number that is text is refused': async ({ A }) => {
    refusal(await A('bob/enc_keys', { body: { number: '2' } }))
  },

  '16 a body that is no JSON object is refused': async ({ A }) => {
    for (const body of ['{', '{"number":1,}', '<xml/>', '[]', 'null', '"{}"', '{"number":1,"number":2}']) {
      refusal(await A('bob/enc_keys', { body }))
    }
  },

  '17 a field that nobody knows is passed over': async ({ A }) => {
    expectKeys(await A('bob/enc_keys', { body: { additional_target_sae_ids: [] } }), 1, 32)
  },

  '18 an optional extension that nobody knows is passed over': async ({ A }) => {
    expectKeys(await A('bob/enc_keys', { body: { extension_optional: [{ abc_x: 1 }] } }), 1, 32)
  },

  '19 a mandatory extension that nobody knows is refused and consumes nothing': async ({ A, sites }) => {
    const before = await stored(A)
    sites.cutLink()
    const { message, details } = refusal(await A('bob/enc_keys', extension([{ abc_route_type: 'direct' }]))).json
    expect(message).to.equal('not all extension_mandatory parameters are supported')
    expect(details[0]).to.deep.equal({ extension_mandatory_unsupported: 'abc_route_type is not supported' })
    expect(await stored(A)).to.be.at.least(before)
    sites.mendLink()
  },

  '20 a known mandatory extension that cannot be met is refused': async ({ A }) => {
    for (const level of ['post-quantum', 'purple']) {
      const { message } = refusal(await A('bob/enc_keys', extension([{ qkd_level: level }]))).json
      expect(message).to.equal('not all extension_mandatory request options could be met')
    }
  },

  '21 extension_mandatory is a list of objects': async ({ A }) => {
    for (const entries of [{ abc: 1 }, ['abc'], [null], [[]], 'abc', 1]) {
      refusal(await A('bob/enc_keys', extension(entries)))
    }
  },

  '22 the caller itself, a blank and an over-long SAE ID are refused': async ({ A }) => {
    for (const id of ['alice', '%20', 'x'.repeat(292)]) {
      refusal(await A(`${id}/enc_keys`))
      refusal(await A(`${id}/enc_keys`, { body: {} }))
    }
  },

  '23 an SAE ID with reserved characters is routed and printed decoded': async ({ open }) => {
    await using other = await open({ moreSaes: [['a/b'], ['a:b@c']] })
    const master = other.as('a/b')
    const { json } = await master('a%3Ab%40c/status')
    expect(json).to.include({ master_SAE_ID: 'a/b', slave_SAE_ID: 'a:b@c' })
    const [key] = keysOf(await master('a%3Ab%40c/enc_keys'))
    const fetched = await other.as('a:b@c', 1)(`a%2Fb/dec_keys?key_ID=${key!.key_ID}`)
    expect(keysOf(fetched)).to.deep.equal([key])
  },

  '24 a GET takes number and size only': async ({ A }) => {
    refusal(await A('bob/enc_keys?additional_slave_SAE_IDs=carol'))
    refusal(await A('bob/enc_keys?extension_optional=%5B%5D'))
  },
}

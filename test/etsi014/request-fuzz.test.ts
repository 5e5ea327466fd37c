import { expect } from 'chai'
import fc from 'fast-check'
import { readKeyIds, readKeyRequest } from '../../lib/etsi014/key-request.ts'
import type { HttpRequest } from '../../lib/interface/http.ts'
import { type Call, createWires, type Wires } from './wires.ts'

/** A request as the binding hands it over. */
function requestOf(method: string, body: Uint8Array): HttpRequest {
  const { signal } = new AbortController()
  return { method, target: '/', headers: {}, body, identity: undefined, signal }
}

/** What a reader makes of a request: a value, or the code of its refusal; any other error fails the test. */
function outcome<T>(read: () => T): { value: T } | { code: string } {
  try {
    return { value: read() }
  } catch (error) {
    const code = (error as { code?: unknown }).code
    if (typeof code === 'string' && code.startsWith('ERR_QKD_')) return { code }
    throw error
  }
}

/** True where no half of a surrogate pair stands alone: what can be percent-encoded. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}

/** JSON text with one byte changed, one part taken out, or a part put in twice. */
const mutilated = (texts: fc.Arbitrary<string>) =>
  fc
    .tuple(texts, fc.nat(), fc.nat(20), fc.constantFrom('flip', 'cut', 'twice'), fc.nat(255))
    .map(([text, at, length, how, byte]) => {
      const bytes = Buffer.from(text)
      const from = at % (bytes.byteLength + 1)
      const part = bytes.subarray(from, from + length)
      if (how === 'cut') return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + length)])
      if (how === 'twice') return Buffer.concat([bytes.subarray(0, from + length), part, bytes.subarray(from + length)])
      if (from < bytes.byteLength) bytes[from] = byte
      return bytes
    })

const extension = fc.dictionary(fc.stringMatching(/^[a-z]{1,4}_[a-z]{1,4}$/), fc.jsonValue({ maxDepth: 2 }), {
  maxKeys: 2,
})
const keyRequest = fc.record(
  {
    number: fc.integer({ min: 1, max: 3 }),
    size: fc.integer({ min: 8, max: 64 }).map(bytes => bytes * 8),
    extension_optional: fc.array(extension, { maxLength: 3 }),
    additional_target_sae_ids: fc.constant([]),
  },
  { requiredKeys: [] },
)
const keyIds = fc.record({
  key_IDs: fc.array(fc.record({ key_ID: fc.uuid(), key_ID_extension: fc.constant({}) }), {
    minLength: 1,
    maxLength: 5,
  }),
})
const bodies = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes)),
  fc.json({ maxDepth: 4 }).map(text => Buffer.from(text)),
  mutilated(keyRequest.map(model => JSON.stringify(model))),
  mutilated(keyIds.map(model => JSON.stringify(model))),
)
const queries = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.webQueryParameters(),
  fc.tuple(fc.constantFrom('number', 'size', 'key_ID'), fc.string({ maxLength: 20 })).map(pair => pair.join('=')),
)

describe('what a host may send', () => {
  it('is read as it was meant', () => {
    fc.assert(
      fc.property(keyRequest, model => {
        const read = readKeyRequest(requestOf('POST', Buffer.from(JSON.stringify(model))), '')
        expect(read.number).to.equal(model.number)
        expect(read.sizeBits).to.equal(model.size)
        expect(read.extensionOptional).to.deep.equal(model.extension_optional)
      }),
    )
    fc.assert(
      fc.property(keyIds, model => {
        const read = readKeyIds(requestOf('POST', Buffer.from(JSON.stringify(model))), '')
        expect(read.keyIds).to.deep.equal(model.key_IDs.map(({ key_ID }) => key_ID))
      }),
    )
  })

  it('is refused where a member stands twice, at any depth', () => {
    const name = fc.constantFrom('number', 'size', 'extension_optional')
    fc.assert(
      fc.property(name, fc.boolean(), (member, nested) => {
        const twice = `"${member}":1,"${member}":1`
        const text = nested ? `{"extension_optional":[{${twice}}]}` : `{${twice}}`
        const read = outcome(() => readKeyRequest(requestOf('POST', Buffer.from(text)), ''))
        expect(read).to.deep.equal({ code: 'ERR_QKD_INVALID_ARGUMENT' })
      }),
    )
  })

  it('is read or refused in words, whatever it is', () => {
    fc.assert(
      fc.property(fc.constantFrom('GET', 'POST'), bodies, queries, (method, body, query) => {
        const asked = outcome(() => readKeyRequest(requestOf(method, body), query))
        if ('value' in asked) {
          const { number = 1, sizeBits = 8 } = asked.value
          expect(Number.isInteger(number) && number >= 1).to.equal(true)
          expect(Number.isInteger(sizeBits) && sizeBits >= 1 && sizeBits % 8 === 0).to.equal(true)
        } else expect(asked.code).to.equal('ERR_QKD_INVALID_ARGUMENT')
        const ids = outcome(() => readKeyIds(requestOf(method, body), query))
        if ('value' in ids) for (const id of ids.value.keyIds) expect(id).to.be.a('string').that.is.not.empty
        else expect(ids.code).to.equal('ERR_QKD_INVALID_ARGUMENT')
      }),
      { numRuns: 2_000 },
    )
  })

  describe('to a KME', () => {
    let wires: Wires

    before(async () => {
      wires = await createWires()
    })

    after(() => wires[Symbol.asyncDispose]())

    const segments = fc.oneof(
      fc.constantFrom('bob', 'alice', '%62ob', '..', ''),
      fc.string({ maxLength: 20 }),
      fc.string({ unit: 'binary', maxLength: 20 }).filter(isWellFormed).map(encodeURIComponent),
      fc.string({ minLength: 250, maxLength: 400 }),
    )
    const paths = fc.oneof(
      fc
        .tuple(segments, fc.constantFrom('status', 'enc_keys', 'dec_keys', 'keys', ''), queries)
        .map(([segment, method, query]) => `/api/v1/keys/${segment}/${method}?${query}`),
      fc.webPath().map(path => `/${path}`),
    )
    const methods = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'get', '')
    const types = fc.constantFrom(undefined, 'application/json', 'application/json; charset=utf-8', 'text/plain', '')

    it('gets an answer in the shape of the standard', async () => {
      await fc.assert(
        fc.asyncProperty(methods, paths, types, fc.option(bodies), async (method, path, type, body) => {
          const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
          const call: Call = { method, headers, ...(body !== null && { body }) }
          const { status, headers: sent, json } = await wires.A(path, call)
          expect(status).to.be.oneOf([200, 400, 401, 404, 405, 413, 415])
          expect(sent).to.include({ 'content-type': 'application/json', 'cache-control': 'no-store' })
          if (status === 200) expect(json).to.satisfy((model: object) => 'keys' in model || 'key_size' in model)
          else expect(json.message).to.be.a('string').that.is.not.empty
        }),
        { numRuns: 500 },
      )
    })
  })
})

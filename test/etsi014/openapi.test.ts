import { expect } from 'chai'
import { etsi014OpenApi } from '../../lib/etsi014/openapi/document.ts'
import { compileSchema, type JsonSchema } from '../../lib/util/json-schema.ts'
import { createTestSites } from '../helpers/test-sites.ts'
import { type Answer, type Call, createWires, idsBody, keysOf, openWire, UNKNOWN_ID, type Wires } from './wires.ts'

// biome-ignore lint/suspicious/noExplicitAny: a document is read here as any reader does
type Node = any

const document: Node = JSON.parse(JSON.stringify(etsi014OpenApi))

function resolve(node: Node): Node {
  if (node?.$ref === undefined) return node
  const target = String(node.$ref)
    .slice(2)
    .split('/')
    .reduce((at, step) => at?.[step], document)
  expect(target, node.$ref).to.be.an('object')
  return target
}

/** Every `$ref` and every object of the document. */
function visit(node: Node, see: (node: Node) => void): void {
  if (typeof node !== 'object' || node === null) return
  see(node)
  for (const member of Object.values(node)) visit(member, see)
}

/** A check by JSON Schema 2020-12, which is the dialect of OpenAPI 3.1. */
function checkOf(schema: JsonSchema) {
  const text = JSON.stringify({ ...schema, $defs: document.components.schemas })
  return compileSchema(JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/')))
}

const checks = new Map<string, ReturnType<typeof checkOf>>()

function expectValid(schema: JsonSchema, value: unknown, what: string): void {
  const key = JSON.stringify(schema)
  const check = checks.get(key) ?? checkOf(schema)
  checks.set(key, check)
  const outcome = check(value)
  expect(outcome.ok ? [] : outcome.faults, `${what}: ${JSON.stringify(value).slice(0, 200)}`).to.deep.equal([])
}

/** The operation that a call is of. */
function operationOf(path: string, method: string): { name: string; operation: Node } {
  const last = path.split('?')[0]!.split('/').at(-1)!
  const [pattern, item] = Object.entries<Node>(document.paths).find(([name]) => name.endsWith(`/${last}`))!
  return { name: `${method} ${pattern}`, operation: item[method.toLowerCase()] }
}

describe('etsi014OpenApi', () => {
  let wires: Wires
  const seen = new Set<string>()

  /** Makes the call, and holds its answer, and the body of what was taken, against the document. */
  async function call(ask: (path: string, call?: Call) => Promise<Answer>, path: string, options: Call = {}) {
    const answer = await ask(path, options)
    const method = options.method ?? (options.body === undefined ? 'GET' : 'POST')
    const { name, operation } = operationOf(path, method)
    const response = resolve(operation.responses[answer.status])
    expect(response, `${name} ${answer.status}`).to.be.an('object')
    seen.add(`${name} ${answer.status}`)
    for (const [header, reference] of Object.entries(response.headers)) {
      expectValid(resolve(reference).schema, answer.headers[header.toLowerCase()], `${name} ${header}`)
    }
    expectValid(response.content[answer.headers['content-type']!].schema, answer.json, name)
    if (answer.status === 200 && typeof options.body === 'object') {
      expectValid(operation.requestBody.content['application/json'].schema, options.body, `${name} request`)
    }
    return answer
  }

  before(async () => {
    wires = await createWires()
  })

  after(() => wires[Symbol.asyncDispose]())

  it('is a whole OpenAPI 3.1 document', () => {
    expect(document.openapi).to.equal('3.1.0')
    const ids: string[] = []
    visit(document, node => {
      if ('$ref' in node) resolve(node)
      if ('operationId' in node) ids.push(node.operationId)
    })
    expect(ids).to.have.length(5)
    expect(new Set(ids).size).to.equal(ids.length)
    for (const [path, item] of Object.entries<Node>(document.paths)) {
      const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      expect(item.parameters.map((parameter: Node) => parameter.name)).to.deep.equal(names)
    }
    for (const schema of Object.keys(document.components.schemas)) checkOf({ $ref: `#/components/schemas/${schema}` })
  })

  it('says what the server answers, whatever it is asked', async () => {
    const { A, B, carol: C, kms1 } = wires
    const stranger: typeof A = (path, options) => kms1('sae-9', path, options)
    const json = { 'content-type': 'application/json' }
    await call(A, 'bob/status')
    await call(A, 'nobody/status')
    await call(stranger, 'bob/status')
    const given = [
      await call(A, 'bob/enc_keys'),
      await call(A, 'bob/enc_keys?number=3&size=512'),
      await call(A, 'bob/enc_keys', { method: 'POST', headers: json }),
      await call(A, 'bob/enc_keys', { body: {} }),
      await call(A, 'bob/enc_keys', { body: { number: 2, size: null, further: [], extension_mandatory: null } }),
      await call(A, 'bob/enc_keys', {
        body: { extension_mandatory: [{ qkd_level: 'hybrid' }], extension_optional: [{ qkd_integration: 'tls' }] },
      }),
    ].flatMap(keysOf)
    await call(A, 'bob/enc_keys', { body: { additional_slave_SAE_IDs: ['carol'] } })
    for (const path of ['bob/enc_keys?size=250', 'bob/enc_keys?number=0', 'alice/enc_keys']) await call(A, path)
    for (const body of ['[]', { number: 0 }, { extension_mandatory: [{ abc_x: 1 }] }]) {
      await call(A, 'bob/enc_keys', { body })
    }
    await call(stranger, 'bob/enc_keys')
    await call(stranger, 'bob/enc_keys', { body: {} })
    const [first, ...rest] = given.map(({ key_ID }) => key_ID)
    await call(C, `alice/dec_keys?key_ID=${first}`)
    await call(C, 'alice/dec_keys', idsBody(...rest))
    await call(B, `alice/dec_keys?key_ID=${first}`)
    await call(B, 'alice/dec_keys', idsBody(...rest))
    await call(B, `alice/dec_keys?key_ID=${UNKNOWN_ID}`)
    await call(B, 'alice/dec_keys', idsBody(first!))
    for (const path of ['bob/enc_keys', 'bob/dec_keys']) {
      await call(A, path, { body: `{"x":"${'y'.repeat(65_536)}"}` })
      await call(A, path, { body: '{}', headers: { 'content-type': 'text/plain' } })
    }
  })

  it('says what the server answers where it has no key, or cannot work', async () => {
    await using dry = await createTestSites({ pool: { targetBlocks: 2, maxWaitMs: 1 } })
    dry.cutLink()
    const A = openWire(dry.sites[0])
    const ask = (path: string, options?: Call) => A('alice', path, options)
    let answer: Answer
    do answer = await call(ask, 'bob/enc_keys?number=100')
    while (answer.status === 200)
    expect(answer.status).to.equal(503)
    await call(ask, 'bob/enc_keys', { body: { number: 100 } })
    const broken = openWire({
      kmsFor: () => {
        throw new Error('out of order')
      },
    })
    const askBroken = (path: string, options?: Call) => broken('alice', path, options)
    for (const path of ['bob/status', `bob/dec_keys?key_ID=${UNKNOWN_ID}`]) await call(askBroken, path)
    await call(askBroken, 'bob/dec_keys', idsBody(UNKNOWN_ID))
  })

  it('says nothing that was not seen', () => {
    const said = Object.entries<Node>(document.paths).flatMap(([path, item]) =>
      ['get', 'post'].flatMap(method =>
        Object.keys(item[method]?.responses ?? {}).map(status => `${method.toUpperCase()} ${path} ${status}`),
      ),
    )
    expect([...seen].sort()).to.deep.equal(said.sort())
  })
})

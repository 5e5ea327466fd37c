import { expect } from 'chai'
import { docstringFaults, formFaults, nameFaults, signalFaults, worldFaults } from './rules.ts'
import { readSources } from './tree.ts'

const published = readSources('lib', 'integrations')
const product = [...published, ...readSources('bin', 'examples', 'bench')]

describe('sources', () => {
  it('leave console and the process to bin', () => {
    expect(published.flatMap(worldFaults)).to.deep.equal([])
  })

  it('have neither default exports nor enums', () => {
    expect([...product, ...readSources('test')].flatMap(formFaults)).to.deep.equal([])
  })

  it('join signals in the one way that loses no timeout', () => {
    expect(product.flatMap(signalFaults)).to.deep.equal([])
    expect(signalFaults({ path: 'lib/a.ts', text: 'const s = AbortSignal.any([a, b])' })).to.have.length(1)
  })

  it('document every exported class, function and interface', () => {
    expect(published.flatMap(docstringFaults)).to.deep.equal([])
  })

  it('are named after a noun in kebab-case', () => {
    expect([...product, ...readSources('test')].flatMap(nameFaults)).to.deep.equal([])
  })
})

describe('worldFaults', () => {
  const faults = (text: string) => worldFaults({ path: 'lib/a.ts', text })

  for (const text of [
    'console.log(1)',
    'const { log } = console',
    'process.exit(1)',
    'process.argv.slice(2)',
    'const home = process.env.HOME',
    "process['env']",
    'const { env } = process',
    'globalThis.process.env',
    'process?.env',
    "import { env } from 'node:process'",
    "import console from 'console'",
  ]) {
    it(`finds ${text}`, () => expect(faults(text)).to.not.be.empty)
  }

  it('passes names that only look alike', () => {
    expect(
      faults(
        "process.nextTick(f); a.console.log; const b = 'process.exit'; f({ process: 1 }) // console.log\ninterface A { console?: B }",
      ),
    ).to.be.empty
  })
})

describe('formFaults', () => {
  it('finds default exports and enums, and not the words', () => {
    const faults = (text: string) => formFaults({ path: 'lib/a.ts', text })
    expect(faults('export default class A {}')).to.have.length(1)
    expect(faults('const enum Colour { red }')).to.have.length(1)
    expect(faults("schema = { enum: ['a'], default: 1 }; // export default")).to.be.empty
  })
})

describe('docstringFaults', () => {
  const faults = (text: string) => docstringFaults({ path: 'lib/a.ts', text })

  it('finds what is exported without a doc comment', () => {
    expect(faults('export class A {}\nexport async function* b() {}\n/* no */ export interface C {}')).to.have.length(3)
    expect(faults('// no\nexport abstract class A {}')).to.have.length(1)
  })

  it('passes what has one, and what is not exported', () => {
    expect(faults('/** A. */\nexport class A {}\nfunction b() {}\nexport const c = 1')).to.be.empty
  })
})

describe('nameFaults', () => {
  it('finds names that say nothing and names in other cases', () => {
    const paths = ['lib/utils.ts', 'lib/types.ts', 'lib/KeyPool.ts', 'lib/key_pool.ts', 'test/helper.test.ts']
    expect(paths.flatMap(path => nameFaults({ path, text: '' }))).to.have.length(paths.length)
  })

  it('passes kebab-case nouns', () => {
    expect(nameFaults({ path: 'test/key-pool.test.ts', text: '' })).to.be.empty
  })
})

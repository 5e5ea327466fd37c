import { expect } from 'chai'
import { DOORS } from '../../lib/key/secret-key.ts'
import { doorFaults } from './rules.ts'
import { readSources } from './tree.ts'

describe('doors of SecretKey', () => {
  it('are each called once, in the file that the list names, and nowhere else', () => {
    expect(doorFaults(readSources('lib', 'integrations', 'bin', 'examples', 'bench'), DOORS)).to.deep.equal([])
  })
})

describe('doorFaults', () => {
  const doors = { front: 'lib/a.ts' }
  const faults = (...sources: [path: string, text: string][]) =>
    doorFaults(
      sources.map(([path, text]) => ({ path, text })),
      doors,
    )

  it('passes one call in the listed file, over lines and with type arguments', () => {
    expect(faults(['lib/a.ts', "key\n  .expose<Map<string, A<B>>>(\n'front', x => x)"])).to.be.empty
  })

  for (const [what, path, text] of [
    ['a call in another file', 'lib/b.ts', "key.expose('front', x => x)"],
    ['a call at an unknown door', 'lib/a.ts', "key.expose('back', x => x)"],
    ['a call at a computed door', 'lib/a.ts', 'key.expose(door, x => x)'],
    ['the method taken without a call', 'lib/a.ts', 'const open = key.expose'],
    ['the method taken by destructuring', 'lib/a.ts', 'const { expose } = key'],
    ['the method reached by a computed name', 'lib/a.ts', "key['expose']('front', x => x)"],
  ] as const) {
    it(`finds ${what}`, () => {
      expect(faults(['lib/a.ts', "key.expose('front', x => x)"], [path, text])).to.have.length(1)
    })
  }

  it('finds a door that nobody calls, and one that is called twice', () => {
    expect(faults()).to.have.length(1)
    expect(faults(['lib/a.ts', "a.expose('front', f); b.expose('front', f)"])).to.have.length(1)
  })

  it('does not count a call in a comment', () => {
    expect(faults(['lib/a.ts', "// key.expose('front', f)"])).to.have.length(1)
  })
})

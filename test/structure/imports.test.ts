import { expect } from 'chai'
import { commandPackages, packageDoors, rooms } from './rooms.ts'
import { endingFaults, importFaults, keyBytesFaults, packageFaults, roomOf } from './rules.ts'
import { readSources } from './tree.ts'

describe('imports', () => {
  const product = readSources('lib', 'integrations', 'bin', 'examples', 'bench', 'test/compliance')

  it('go down the layers only, and through the contracts', () => {
    expect(product).to.have.length.above(0)
    expect(product.flatMap(source => importFaults(source, rooms))).to.deep.equal([])
  })

  it('say the whole name of a file, tests included', () => {
    expect([...product, ...readSources('test')].flatMap(endingFaults)).to.deep.equal([])
  })

  it('take outside packages at their one door', () => {
    const shipped = product.filter(({ path }) => !path.startsWith('bench/'))
    expect(packageFaults(shipped, packageDoors, commandPackages)).to.deep.equal([])
  })

  it('take the bytes of a key only inside lib/key', () => {
    expect([...product, ...readSources('test')].flatMap(keyBytesFaults)).to.deep.equal([])
  })
})

describe('importFaults', () => {
  const faults = (path: string, text: string) => importFaults({ path, text }, rooms)

  for (const [what, path, text] of [
    ['a KMS that imports a class of the network', 'lib/kms/a.ts', "import { B } from '../qnl/b.ts'"],
    ['a type of a deeper layer', 'lib/kms/a.ts', "import type { B } from '../qll/b.ts'"],
    ['a layer that imports upwards', 'lib/qnl/a.ts', "export { B } from '../kms/b.ts'"],
    ['a re-export of everything', 'lib/qnl/a.ts', "export * from '../kms/b.ts'"],
    ['a dynamic import', 'lib/qll/a.ts', "const b = await import('../kms/b.ts')"],
    ['a type import()', 'lib/qll/a.ts', "let b: import('../kms/b.ts').B"],
    ['a computed import', 'lib/qll/a.ts', 'const b = await import(name)'],
    [
      'an integration that reaches past the public face',
      'integrations/tls/a.ts',
      "import { B } from '../../lib/errors.ts'",
    ],
    ['an integration that imports another', 'integrations/tls/a.ts', "import { B } from '../kerberos/index.ts'"],
    ['a command that reaches past the public face', 'bin/commands/a.ts', "import { B } from '../../lib/kms/b.ts'"],
    ['an example that reaches past the public face', 'examples/a.ts', "import { B } from '../lib/kms/b.ts'"],
    ['a contract that imports an implementation', 'lib/interface/a.ts', "import type { B } from '../kms/b.ts'"],
    ['the library importing its tests', 'lib/kms/a.ts', "import { B } from '../../test/helpers/b.ts'"],
    ['a file in no room', 'lib/kme/a.ts', ''],
  ] as const) {
    it(`finds ${what}`, () => expect(faults(path, text)).to.have.length(1))
  }

  it('passes imports of the own room and of rooms below', () => {
    expect(
      faults('lib/kms/pool/a.ts', "import { B } from '../store/b.ts'\nimport type { C } from '../../interface/c.ts'"),
    ).to.be.empty
  })

  it('passes what only looks like an import', () => {
    expect(faults('lib/kms/a.ts', "// import '../qnl/b.ts'\nconst a = `import '../qnl/b.ts'`; import.meta.url")).to.be
      .empty
  })

  it('takes the longest room that matches', () => {
    expect(roomOf('lib/kms/store/a.ts', [...rooms, { room: 'lib/kms/store/', holds: '', sees: [] }])?.room).to.equal(
      'lib/kms/store/',
    )
  })
})

describe('endingFaults', () => {
  it('finds relative imports that end in .js or in nothing', () => {
    expect(endingFaults({ path: 'lib/a.ts', text: "import './b.js'\nimport './c'\nimport './d.ts'" })).to.have.length(2)
  })
})

describe('packageFaults', () => {
  const faults = (...sources: [path: string, text: string][]) =>
    packageFaults(
      sources.map(([path, text]) => ({ path, text })),
      packageDoors,
      commandPackages,
    )

  it('finds a package that is taken outside its door', () => {
    expect(faults(['lib/kms/a.ts', "import { Ajv } from 'ajv/dist/2020.js'"])).to.have.length(1)
    expect(faults(['lib/kms/a.ts', "import type { Argv } from 'yargs'"])).to.have.length(1)
  })

  it('finds a package that has no door', () => {
    expect(faults(['lib/kms/a.ts', "import x from '@scope/left-pad/sub'"])).to.have.length(1)
  })

  it('finds a second door in the same room', () => {
    expect(faults(['lib/kms/a.ts', "import 'lmdb'"], ['lib/kms/b.ts', "import type { X } from 'lmdb'"])).to.have.length(
      1,
    )
  })

  it('passes the doors and modules of Node', () => {
    expect(
      faults(['lib/forge.ts', "import forge from 'node-forge'\nimport 'node:tls'"], ['bin/qkd.ts', "import 'yargs'"]),
    ).to.be.empty
  })
})

describe('keyBytesFaults', () => {
  const faults = (path: string, text: string) => keyBytesFaults({ path, text })

  it('finds bytesOf under any name, outside lib/key', () => {
    expect(faults('lib/kms/a.ts', "import { bytesOf } from '../key/secret-key.ts'")).to.have.length(1)
    expect(faults('lib/kms/a.ts', "import { bytesOf as b } from '../key/secret-key.ts'")).to.have.length(1)
    expect(faults('lib/kms/a.ts', "import * as k from '../key/secret-key.ts'")).to.have.length(1)
    expect(faults('lib/index.ts', "export { bytesOf } from './key/secret-key.ts'")).to.have.length(1)
  })

  it('passes it inside lib/key', () => {
    expect(faults('lib/key/a.ts', "import { bytesOf } from './secret-key.ts'")).to.be.empty
  })
})

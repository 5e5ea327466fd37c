import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import { expect } from 'chai'
import { createTempDir } from '../helpers/temp-dir.ts'
import { algorithms, cryptoCalls } from './crypto/assets.ts'
import { codeLines, cryptoSources } from './crypto/cbom.ts'
import { top } from './tree.ts'

/** The standard's own schemas, as its library for JavaScript brings them. */
const schemas = join(
  dirname(createRequire(import.meta.url).resolve('@cyclonedx/cyclonedx-library/package.json')),
  'res/schema',
)

interface Bom {
  readonly specVersion: string
  readonly metadata: { readonly component: { readonly name: string } }
  readonly components: readonly { readonly name: string; readonly 'bom-ref': string }[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

describe('bills of materials', function () {
  this.timeout(120_000)
  let boms: Record<'sbom' | 'cbom', Bom>

  before(async () => {
    await using dir = await createTempDir()
    execFileSync(process.execPath, ['--import', 'tsx', 'test/structure/write-boms.ts', dir.path], { cwd: top })
    const read = (name: string) => JSON.parse(readFileSync(join(dir.path, `${name}.cdx.json`), 'utf8')) as Bom
    boms = { sbom: read('sbom'), cbom: read('cbom') }
  })

  for (const name of ['sbom', 'cbom'] as const) {
    it(`writes ${name}.cdx.json as CycloneDX has it`, () => {
      const validate = validatorOf(boms[name].specVersion)
      expect(validate(boms[name]), JSON.stringify(validate.errors)).to.equal(true)
      expect(boms[name].metadata.component.name).to.equal('qkdkit')
    })
  }

  it('lists the packages that come along, and no tools', () => {
    const { dependencies } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { dependencies: object }
    const listed = boms.sbom.components.map(({ name }) => name)
    expect(listed).to.include.members(Object.keys(dependencies))
    expect(listed).not.to.include('mocha')
    const known = new Set(['qkdkit', ...boms.sbom.components.map(part => part['bom-ref'])])
    for (const { ref, dependsOn } of boms.sbom.dependencies) expect([...known]).to.include.members([ref, ...dependsOn])
    expect(boms.sbom.dependencies.find(({ ref }) => ref === 'node_modules/lmdb')!.dependsOn).to.include(
      'node_modules/msgpackr',
    )
  })

  it('knows every call of node:crypto', () => {
    const unknown = cryptoSources.flatMap(({ path, text }) =>
      codeLines(text)
        .filter(line => cryptoCalls.test(line) && !algorithms.some(({ found }) => found.test(line)))
        .map(line => `${path}: ${line.trim()}`),
    )
    expect(unknown).to.deep.equal([])
  })

  it('misses a call that it does not know', () => {
    const line = "  const cipher = createCipheriv('chacha20-poly1305', key, nonce)"
    expect(cryptoCalls.test(line)).to.equal(true)
    expect(algorithms.some(({ found }) => found.test(line))).to.equal(false)
  })
})

function validatorOf(specVersion: string): ValidateFunction {
  const ajv = new Ajv({ strict: false, validateFormats: false })
  const read = (name: string) =>
    JSON.parse(readFileSync(join(schemas, `${name}.SNAPSHOT.schema.json`), 'utf8')) as object
  for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs'])
    ajv.addSchema(read(name), `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`)
  return ajv.compile(read(`bom-${specVersion}`))
}

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import packageJson from '../../package.json' with { type: 'json' }
import { top } from './tree.ts'

const execute = promisify(execFile)

/** The environment without what an outer `npm test` puts into it. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')))

/** How a user names each export of the package. */
const specifiers = Object.keys(packageJson.exports).map(path => path.replace('.', packageJson.name))
const modules = specifiers.filter(specifier => !specifier.endsWith('.json'))

describe('the packed package, installed into an empty project', function () {
  // Packs, installs from the registry and compiles.
  this.timeout(180_000)
  let project: string

  const inProject = (file: string, ...args: string[]) => execute(file, args, { cwd: project, env })
  const node = (...args: string[]) => inProject(process.execPath, ...args)

  before(async () => {
    project = await mkdtemp(join(tmpdir(), 'qkdkit-package-'))
    await writeFile(join(project, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }')
    // The project's .npmrc turns scripts off; prepack, which builds, must run.
    await execute('npm', ['pack', '--ignore-scripts=false', '--pack-destination', project], { cwd: top, env })
    const [tarball] = (await readdir(project)).filter(name => name.endsWith('.tgz'))
    const flags = ['--omit=dev', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund']
    await inProject('npm', 'install', ...flags, `./${tarball}`)
  })

  after(() => rm(project, { recursive: true, force: true }))

  for (const specifier of modules) {
    it(`imports ${specifier} and requires the same names`, async () => {
      const names = 'Object.keys(m).filter(name => name !== "__esModule" && name !== "module.exports").sort().join()'
      const imported = `const m = await import('${specifier}'); console.log(${names})`
      const required = `const m = require('${specifier}'); console.log(${names})`
      const esm = await node('--input-type=module', '--eval', imported)
      const cjs = await node('--no-warnings', '--input-type=commonjs', '--eval', required)
      expect(esm.stdout.trim()).to.not.equal('')
      expect(cjs.stdout).to.equal(esm.stdout)
    })
  }

  it('gives every export its types under NodeNext', async () => {
    const imports = modules.map((specifier, at) => `import * as m${at} from '${specifier}'`)
    const uses = modules.map((_, at) => `export const n${at}: string[] = Object.keys(m${at})`)
    const wrong =
      "import { QkdError } from 'qkdkit'\nexport const code: 'no such code' = new QkdError('ERR_QKD_CLOSED', '').code"
    await writeFile(join(project, 'right.ts'), [...imports, ...uses].join('\n'))
    await writeFile(join(project, 'wrong.ts'), wrong)
    const compile = (file: string) =>
      node(
        join(top, 'node_modules/typescript/bin/tsc'),
        ...['--ignoreConfig', '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022'],
        ...['--lib', 'es2023,esnext.disposable', '--types', 'node', '--typeRoots', join(top, 'node_modules/@types')],
        file,
      ).then(
        () => '',
        (error: { stdout: string }) => error.stdout,
      )
    expect(await compile('right.ts')).to.equal('')
    expect(await compile('wrong.ts')).to.match(/not assignable to type '"no such code"'/)
  })

  it('starts the command without tsx', async () => {
    expect(await readdir(join(project, 'node_modules'))).to.not.include('tsx')
    const { stdout } = await inProject('npx', '--no-install', 'qkd', '--help')
    expect(stdout).to.match(/^qkd/m)
  })

  it('holds the pages that it names and no sources', async () => {
    const files = await readdir(join(project, 'node_modules', packageJson.name))
    expect(files).to.include.members(['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CHANGELOG.md', 'LICENSE', 'dist'])
    expect(files).to.not.include.members(['lib'])
  })
})

import { existsSync, readdirSync } from 'node:fs'
import { join, posix } from 'node:path'
import { expect } from 'chai'
import { SyntaxKind } from 'typescript/unstable/ast'
import packageJson from '../../package.json' with { type: 'json' }
import { runQkd } from '../bin/run-qkd.ts'
import { subcommands } from './command-help.ts'
import { commandFaults, commandReference } from './command-rules.ts'
import { configurationTable, replaceBlock } from './configuration-table.ts'
import { generatedDocs } from './generated-docs.ts'
import { brokenLinkFaults, fillerFaults, scriptFaults, unnamedFaults } from './page-rules.ts'
import { tokenize } from './source-tokens.ts'
import { readSource, readSources, top } from './tree.ts'

const pagePaths = ['.', 'docs'].flatMap(folder =>
  readdirSync(join(top, folder))
    .filter(name => name.endsWith('.md'))
    .map(name => posix.join(folder, name)),
)
const pages = pagePaths.map(readSource)

/** A line of output without what differs from run to run. */
const withoutValues = (line: string) => line.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4,12}){4}|\d+(\.\d+)?/g, '#')

describe('pages', function () {
  // The help of every command is that of the command itself, run once for each.
  this.timeout(60_000)

  it('name every error code', () => {
    const codes = tokenize(readSource('lib/errors.ts').text)
      .filter(({ kind, value }) => kind === SyntaxKind.StringLiteral && value.startsWith('ERR_QKD_'))
      .map(({ value }) => value)
    expect(codes).to.have.length.above(0)
    expect(unnamedFaults([...new Set(codes)], readSource('docs/errors.md'))).to.deep.equal([])
  })

  it('name every event of the audit log', () => {
    const union =
      /readonly event:\n?((?:\s*\|? ?'[a-z-]+')+)/.exec(readSource('lib/interface/audit.ts').text)?.[1] ?? ''
    const events = [...union.matchAll(/'([a-z-]+)'/g)].map(match => match[1] ?? '')
    expect(events).to.have.length.above(8)
    expect(unnamedFaults(events, readSource('docs/audit-log.md'))).to.deep.equal([])
  })

  it('name every metric that a site counts or measures', () => {
    const names = readSources('lib').flatMap(({ path, text }) =>
      path.startsWith('lib/metrics/') ? [...text.matchAll(/'(qkd_[a-z_]+)'/g)].map(match => match[1] ?? '') : [],
    )
    const page = readSource('docs/metrics.md')
    const isNamed = (name: string) => page.text.includes(`\`${name}\``) || page.text.includes(`\`${name}_total\``)
    expect(names).to.have.length.above(20)
    expect(names.filter(name => !isNamed(name))).to.deep.equal([])
  })

  for (const [path, write] of Object.entries(generatedDocs)) {
    it(`show in ${path} what the code has`, async () => {
      const { text } = readSource(path)
      expect((await write(text)) === text, `${path} is behind the code: npm run docs writes it anew`).to.equal(true)
    })
  }

  it('have an entry in CHANGELOG.md for the version of the package', () => {
    expect(readSource('CHANGELOG.md').text).to.match(
      new RegExp(`^## \\[${packageJson.version.replaceAll('.', '\\.')}\\] - \\d{4}-\\d{2}-\\d{2}$`, 'm'),
    )
  })

  it('name every entry point of the package in README.md', () => {
    const specifiers = Object.keys(packageJson.exports)
      .filter(path => !path.endsWith('.json'))
      .map(path => path.replace('.', packageJson.name))
    expect(unnamedFaults(specifiers, readSource('README.md'))).to.deep.equal([])
  })

  it('show in README.md what npm start prints', async () => {
    const shown = /```text\n(3\. [\s\S]*?)```/.exec(readSource('README.md').text)?.[1] ?? ''
    const printed = (await runQkd(['demo'])).stdout.split('\n').map(withoutValues)
    const lines = shown.split('\n').filter(line => line.trim() !== '' && line.trim() !== '…')
    expect(lines).to.have.length.above(5)
    expect(printed).to.include.members(lines.map(withoutValues))
  })

  it('say in ARCHITECTURE.md what each dependency is for', () => {
    expect(unnamedFaults(Object.keys(packageJson.dependencies), readSource('ARCHITECTURE.md'))).to.deep.equal([])
  })

  it('name only npm scripts that exist', () => {
    expect(pages.flatMap(page => scriptFaults(page, Object.keys(packageJson.scripts)))).to.deep.equal([])
  })

  it('name only commands and options of qkd that exist', () => {
    const reference = commandReference(readSource('docs/cli.md'))
    expect(reference.size).to.be.above(50)
    const others = pages.filter(({ path }) => path !== 'docs/cli.md')
    expect(others.flatMap(page => commandFaults(page, reference))).to.deep.equal([])
  })

  it('link only to files that exist', () => {
    expect(pages.flatMap(page => brokenLinkFaults(page, path => existsSync(join(top, path))))).to.deep.equal([])
  })

  it('take from the installed package only what is in it', () => {
    const taken = pages.flatMap(({ text }) =>
      [...text.matchAll(/npm root -g\)\/qkdkit\/([\w./-]*\w)/g)].map(match => match[1] ?? ''),
    )
    expect(taken).to.have.length.above(5)
    const isPacked = (path: string) => packageJson.files.some(entry => `${path}/`.startsWith(`${entry}/`))
    expect(taken.filter(path => !isPacked(path) || !existsSync(join(top, path)))).to.deep.equal([])
  })

  it('and comments do without filler words', () => {
    expect([...pages, ...readSources('lib', 'integrations', 'bin', 'examples')].flatMap(fillerFaults)).to.deep.equal([])
  })
})

describe('unnamedFaults', () => {
  const faults = (text: string, ...words: string[]) => unnamedFaults(words, { path: 'a.md', text })

  it('finds what a page does not name as code, as a word of its own', () => {
    expect(faults('A ERR_A and `ERR_AB` and `--site-b`', 'ERR_A', '--site')).to.have.length(2)
  })

  it('passes what stands in backquotes or in a block of code', () => {
    expect(faults('`ERR_A`\n```sh\nqkd key get --site=a\n```', 'ERR_A', 'qkd key get', '--site')).to.be.empty
  })
})

describe('commandFaults', () => {
  const reference = new Map([
    ['qkd', '\nCommands:\n  qkd key'],
    ['qkd key', '\nCommands:\n  qkd key get'],
    ['qkd key get', '--config --bits'],
  ])

  it('finds commands and options that do not exist, in blocks and in backquotes', () => {
    const text = '`qkd kay get bob`, `qkd key got`\n```sh\nuntil npx qkd key get bob \\\n  --bit 8; do x; done\n```'
    expect(commandFaults({ path: 'a.md', text }, reference)).to.deep.equal([
      'a.md:3: qkd key get has no option --bit',
      'a.md:1: qkd has no command kay',
      'a.md:1: qkd key has no command got',
    ])
  })

  it('passes those that do, and what is no command of qkd', () => {
    const text = '`qkd key get bob --config=a --bits 8`\n```sh\ncreatedb qkd --owner qkd\n```'
    expect(commandFaults({ path: 'a.md', text }, reference)).to.deep.equal([])
  })
})

describe('scriptFaults', () => {
  it('finds an npm script that does not exist, and passes npm’s own commands', () => {
    const page = { path: 'a.md', text: 'npm run build\nnpm run nope\nnpm ci && npm start\nnpm cit' }
    expect(scriptFaults(page, ['build', 'start', 'test'])).to.have.length(1)
    expect(scriptFaults({ path: 'a.md', text: '`npm start`' }, ['test'])).to.have.length(1)
  })
})

describe('brokenLinkFaults', () => {
  it('finds links to missing files, relative to the page', () => {
    const page = { path: 'docs/a.md', text: '[b](b.md#part) [c](../c.md) [web](https://example.org/) [here](#x)' }
    expect(brokenLinkFaults(page, path => path === 'docs/b.md')).to.deep.equal([
      'docs/a.md:1: links to c.md, which is missing',
    ])
  })
})

describe('fillerFaults', () => {
  it('finds filler words in pages and comments, and not in code', () => {
    expect(fillerFaults({ path: 'a.md', text: 'This is simply easy.\nAdjust it.' })).to.have.length(2)
    expect(
      fillerFaults({ path: 'a.ts', text: '// just this\nconst s = "just"\n/** Easily\n * simply */' }),
    ).to.have.length(3)
  })
})

describe('configurationTable', () => {
  it('has a row for each field at every depth, with default or need', () => {
    const table = configurationTable({
      properties: {
        a: { type: 'integer', description: 'A|a', default: 3 },
        b: { type: 'array', description: 'Bs', items: { type: 'object', properties: { c: { enum: ['x', 'y'] } } } },
      },
      required: ['b'],
    })
    expect(table.split('\n').slice(2)).to.deep.equal([
      '| `a` | A\\|a | `3` |',
      '| `b[]` | Bs | required |',
      '| `b[].c` | `x` or `y` |  |',
    ])
  })
})

describe('subcommands', () => {
  it('finds the commands below one, and not those of its examples', () => {
    const help =
      'qkd key\n\nCommands:\n  qkd key get <a>  Take\n                   qkd key x\n  qkd key get-by-id\n\nExamples:\n  qkd key no'
    expect(subcommands(help, ['key'])).to.deep.equal(['get', 'get-by-id'])
    expect(subcommands('Options:\n  --help', [])).to.deep.equal([])
  })
})

describe('replaceBlock', () => {
  it('replaces what stands between its markers and refuses a page without them', () => {
    expect(replaceBlock('a\n<!-- b -->\nold\n<!-- /b -->\nc', 'b', 'new')).to.equal(
      'a\n<!-- b -->\n\nnew\n\n<!-- /b -->\nc',
    )
    expect(() => replaceBlock('a', 'b', 'new')).to.throw(/no block/)
  })
})

import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { EXIT_CODES, exitFor } from '../../bin/exit-codes.ts'
import { runQkd } from './run-qkd.ts'

describe('qkd', function () {
  this.timeout(60_000)

  it('says in one line that Node is too old, before it loads anything else', async () => {
    const pretend = (version: string) =>
      `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'${version}'})`
    for (const version of ['18.19.1', '20.18.3']) {
      const result = await runQkd(['--help'], { node: ['--import', pretend(version)] })
      expect(result).to.deep.equal({
        exitCode: 1,
        stdout: '',
        stderr: `qkd needs Node.js 20.19 or later; this is ${version} (https://nodejs.org)\n`,
      })
    }
    expect((await runQkd(['--version'], { node: ['--import', pretend('21.0.0')] })).exitCode).to.equal(0)
  })

  it('prints the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(await runQkd(['--version'])).to.deep.equal({ exitCode: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('lists its commands and every exit code in the help', async () => {
    const { exitCode, stdout } = await runQkd(['--help'])
    expect(exitCode).to.equal(0)
    for (const command of ['demo', 'site', 'key', 'status', 'pki'])
      expect(stdout).to.match(new RegExp(`^ +qkd ${command} `, 'm'))
    for (const { code, meaning } of Object.values(EXIT_CODES)) expect(stdout).to.include(` ${code}  ${meaning}`)
  })

  for (const args of [['demo'], ['site', 'serve'], ['key', 'get'], ['key', 'get-by-id'], ['status'], ['pki', 'init']]) {
    it(`shows examples in the help of ${args.join(' ')}`, async () => {
      const { exitCode, stdout, stderr } = await runQkd([...args, '--help'])
      expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
      expect(stdout).to.match(new RegExp(`Examples:\\n +.*qkd ${args.join(' ')} `))
    })
  }

  for (const [what, args, message] of [
    ['an unknown command', ['keys'], /Unknown argument: keys/],
    ['a group without its command', ['key'], /Name a command; qkd key --help/],
    ['an unknown option', ['status', 'bob', '--verbose'], /Unknown argument: verbose/],
    ['a missing argument', ['status'], /Not enough non-option arguments/],
    ['an unknown choice', ['key', 'get', 'bob', '--format', 'pem'], /format.*Choices: "text", "json"/],
    ['a number that is none', ['link', 'simulate', '--classical', 'abc'], /--classical needs a number/],
    [
      'a time that never ends',
      ['store', 'rekey', '--config', 'none.json', '--timeout', 'Infinity'],
      /--timeout Infinity/,
    ],
  ] as const) {
    it(`refuses ${what} on standard error, without a stack`, async () => {
      const { exitCode, stdout, stderr } = await runQkd(args)
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.usage.code, stdout: '' })
      expect(stderr).to.match(/^error: ERR_QKD_INVALID_ARGUMENT: /)
      expect(stderr).to.match(message)
      expect(stderr.trimEnd().split('\n')).to.have.length(1)
    })
  }

  it('gives errors as JSON where it is asked to', async () => {
    const { exitCode, stderr } = await runQkd(['status', '--json'])
    const { error } = JSON.parse(stderr) as { error: Record<string, unknown> }
    expect(error).to.include({ code: 'ERR_QKD_INVALID_ARGUMENT', exitCode })
    expect(error.message).to.match(/Not enough/)
  })
})

describe('EXIT_CODES', () => {
  it('has a code of its own for each outcome', () => {
    const codes = Object.values(EXIT_CODES).map(({ code }) => code)
    expect(new Set(codes).size).to.equal(codes.length)
  })

  it('takes what is none of our codes for a fault of the program', () => {
    expect(exitFor('ERR_QKD_CONFIG')).to.equal('config')
    expect(exitFor('ERR_NOBODY_KNOWS')).to.equal('internal')
  })
})

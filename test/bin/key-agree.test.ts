import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { qkdCommandLine, type RunResult, runQkd } from './run-qkd.ts'
import { openServedSites, type ServedSites, stop } from './served-sites.ts'

/** `qkd key agree --listen` as a process, once it listens. */
interface Waiting {
  readonly child: ChildProcess
  readonly port: number
  /** What it left when it ended. */
  readonly result: Promise<RunResult>
}

describe('qkd key agree', function () {
  // Each case starts several processes.
  this.timeout(120_000)

  let sites: ServedSites
  before(async () => {
    sites = await openServedSites()
  })
  after(() => sites?.close())

  async function waitAsBob(...args: string[]): Promise<Waiting> {
    const line = [
      'key',
      'agree',
      '--listen',
      '127.0.0.1:0',
      '--config',
      sites.profile('bob'),
      '--peer',
      'alice',
      ...args,
    ]
    const [program, ...words] = qkdCommandLine(line)
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    const errors: string[] = []
    child.stdout.setEncoding('utf8').on('data', chunk => {
      stdout += chunk
    })
    const lines = createInterface({ input: child.stderr })
    lines.on('line', text => errors.push(text))
    const result = once(child, 'close').then(([exitCode]) => ({ exitCode, stdout, stderr: errors.slice(1).join('\n') }))
    const [first] = (await once(lines, 'line', { signal: AbortSignal.timeout(30_000) })) as [string]
    return { child, port: Number(/\d+(?=\D*$)/.exec(first)?.[0]), result }
  }
  const beginAsAlice = ({ port }: { port: number }, ...args: string[]) =>
    runQkd([
      ...['key', 'agree', '--connect', `127.0.0.1:${port}`, '--config', sites.profile('alice'), '--peer', 'bob'],
      ...args,
    ])

  it('shows the same fingerprint in two terminals, and not the key', async () => {
    const bob = await waitAsBob()
    const alice = await beginAsAlice(bob)
    expect(alice).to.include({ exitCode: 0, stderr: '' })
    expect(alice.stdout).to.match(
      /^hosts +alice -> bob, for "qkd key agree"\nkey_ID +[0-9a-f-]{36}\nkey +256 bits, quantum, direct\nfingerprint +[0-9a-f]{8}, the same at both hosts\n$/,
    )
    expect(await bob.result).to.deep.equal(alice)
  })

  it('tells the same to a program', async () => {
    const bob = await waitAsBob('--json', '--purpose', 'backup')
    const alice = await beginAsAlice(bob, '--json', '--purpose', 'backup', '--size', '512', '--level', 'quantum')
    const shown = JSON.parse(alice.stdout)
    expect(shown).to.include({
      masterSaeId: 'alice',
      slaveSaeId: 'bob',
      purpose: 'backup',
      sizeBits: 512,
      level: 'quantum',
    })
    expect(Object.keys(shown)).to.have.members([
      ...['masterSaeId', 'slaveSaeId', 'purpose', 'keyId', 'sizeBits', 'level', 'trustClass', 'fingerprint'],
    ])
    expect(await bob.result).to.deep.equal(alice)
  })

  it('prints the key itself only where a format is asked for', async () => {
    const bob = await waitAsBob('--format', 'json')
    const alice = await beginAsAlice(bob, '--format', 'hex')
    const [keyId, hex] = alice.stdout.trim().split(' ')
    const document = JSON.parse((await bob.result).stdout)
    expect(document).to.have.all.keys('masterSaeId', 'slaveSaeId', 'keys')
    expect(document.keys[0].keyId).to.equal(keyId)
    expect(Buffer.from(document.keys[0].key, 'base64').toString('hex')).to.equal(hex)
    expect(hex).to.have.length(64)
  })

  it('fails at both where the purposes differ', async () => {
    const bob = await waitAsBob('--purpose', 'one', '--json')
    const alice = await beginAsAlice(bob, '--purpose', 'two', '--json')
    for (const { exitCode, stdout, stderr } of [alice, await bob.result]) {
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.response.code, stdout: '' })
      expect(JSON.parse(stderr).error.message).to.include('wrong-purpose')
    }
  })

  it('keeps waiting when somebody else calls, and ends with Ctrl-C', async () => {
    const bob = await waitAsBob()
    const line = ['key', 'agree', '--connect', `127.0.0.1:${bob.port}`, '--config', sites.profile('alice')]
    // Alice takes the listener for Carol, and asks for a key shared with her.
    expect((await runQkd([...line, '--peer', 'carol'])).exitCode).to.equal(EXIT_CODES.handshake.code)
    expect(bob.child.exitCode).to.equal(null)
    bob.child.kill('SIGINT')
    expect((await bob.result).exitCode).to.equal(EXIT_CODES.interrupted.code)
    await stop(bob.child)
  })

  it('refuses a command line that is incomplete or contradicts itself', async () => {
    for (const args of [
      ['--peer', 'bob'],
      ['--peer', 'bob', '--listen', '127.0.0.1:0', '--connect', '127.0.0.1:1'],
      ['--peer', 'bob', '--connect', 'nowhere'],
      ['--peer', 'bob', '--connect', '127.0.0.1:70000'],
      ['--peer', 'bob', '--listen', '127.0.0.1:0', '--size', '256'],
      ['--peer', 'bob', '--connect', '127.0.0.1:1', '--size', '128'],
      ['--peer', 'bob', '--connect', '127.0.0.1:1', '--level', 'one-time-pad'],
      ['--peer', 'bob', '--connect', '127.0.0.1:1', '--format', 'openssl'],
      ['--connect', '127.0.0.1:1'],
    ]) {
      const { exitCode, stdout } = await runQkd(['key', 'agree', ...args, '--config', sites.profile('alice')])
      expect({ exitCode, stdout }, args.join(' ')).to.deep.equal({ exitCode: EXIT_CODES.usage.code, stdout: '' })
    }
  })
})

import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { expect } from 'chai'
import type { DemoReport } from '../../bin/demo/run-demo.ts'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { qkdCommandLine, runQkd, startQkd } from './run-qkd.ts'

const quote = (word: string) => `'${word}'`

describe('qkd demo', function () {
  this.timeout(60_000)

  it('tells the story line by line, without colours where there is no terminal', async () => {
    const { exitCode, stdout, stderr } = await runQkd(['demo'])
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
    expect(stdout).to.match(/^ {3}file +.*README\.md \([\d,]+ bytes\)$/m)
    expect(stdout).to.match(/^ {3}pool 100 %$/m)
    const keyId = /^ {3}key_ID +([0-9a-f-]{36})$/m.exec(stdout)![1]
    expect(stdout).to.include(`q1~alice~${keyId}`)
    const [sent, received] = [...stdout.matchAll(/SHA-256 ([0-9a-f]{64})/g)].map(match => match[1])
    expect(sent).to.equal(received)
    expect(stdout).to.match(/refuses: ERR_QKD_KEY_NOT_FOUND/)
    expect(stdout).to.match(/\n\nDone in \d+\.\d s; both sites are closed, nothing is left behind\n$/)
    expect(stdout).to.not.include('\r').and.not.include('\x1b')
  })

  it('draws the bar over itself on a terminal, in colours unless NO_COLOR is set', async function () {
    const script = peerProgram(this, 'script', 'bsdutils')
    const onTerminal = (env: NodeJS.ProcessEnv) =>
      promisify(execFile)(
        script,
        ['--quiet', '--return', '--command', qkdCommandLine(['demo']).map(quote).join(' '), '/dev/null'],
        {
          env: { PATH: process.env.PATH, HOME: process.env.HOME, TERM: 'xterm-256color', ...env },
        },
      )
    const { stdout } = await onTerminal({})
    expect(stdout).to.include('\x1b[1m1. Two sites').and.include('\x1b[32mDone')
    expect(stdout).to.match(/\r {3}pool \[#{30}\] 100 % {2}[\d,]+ cells/)
    const plain = await onTerminal({ NO_COLOR: '1' })
    expect(plain.stdout).to.include('\r   pool [').and.not.include('\x1b')
  })

  it('sends the file that is named, and gives one JSON document', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'three megabytes')
    const bytes = randomBytes(3_000_001)
    await writeFile(path, bytes)
    const { exitCode, stdout } = await runQkd(['demo', '--file', path, '--json'])
    expect(exitCode).to.equal(0)
    const report = JSON.parse(stdout) as DemoReport
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    expect(report.transfer).to.include({ sentSha256: sha256, receivedSha256: sha256, receivedBytes: bytes.byteLength })
    expect(report.transfer.session).to.include({ masterSaeId: 'alice', slaveSaeId: 'bob', level: 'quantum' })
    expect(report.transfer.wire).to.include({ sawKeyId: true, sawFile: false })
    expect(report.transfer.wire.byteCount).to.be.above(bytes.byteLength)
    expect(report).to.have.property('secondRetrieval', 'ERR_QKD_KEY_NOT_FOUND')
  })

  it('sends a file of one byte', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'tiny')
    await writeFile(path, 'x')
    const { exitCode, stdout } = await runQkd(['demo', '--file', path])
    expect(exitCode).to.equal(0)
    expect(stdout).to.match(/\(1 bytes\)/)
  })

  for (const [link, secrecy, told] of [
    ['free-space', 'quantum', /BB84 through 1 km of air \(roofs-night\); its photons are simulated/],
    ['satellite', 'quantum', /BB84 with a satellite in view \(leo-fast\)/],
    ['post-quantum', 'computational', /ML-KEM-768, no quantum channel/],
  ] as const) {
    it(`replaces the fibre where --link says so: ${link}`, async () => {
      const { exitCode, stdout, stderr } = await runQkd(['demo', '--link', link])
      expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' })
      expect(stdout).to.match(told)
      expect(stdout).to.match(/\nDone in \d/)
      if (link !== 'post-quantum') return
      const report = JSON.parse((await runQkd(['demo', '--link', link, '--json'])).stdout) as DemoReport
      expect(report.link).to.include({ kind: link, secrecy, simulated: false })
      expect(report.file.identical).to.equal(true)
    })
  }

  it('refuses a file that is missing, empty, a directory or unreadable, before anything starts', async () => {
    await using dir = await createTempDir()
    const [empty, locked] = [join(dir.path, 'empty'), join(dir.path, 'locked')]
    await writeFile(empty, '')
    await writeFile(locked, 'x')
    await chmod(locked, 0)
    const cases: [path: string, message: RegExp][] = [
      [join(dir.path, 'no'), /there is no such file/],
      [empty, /is empty, so there is nothing to send/],
      [dir.path, /must name a file/],
    ]
    // root may read everything
    if (process.getuid?.() !== 0) cases.push([locked, /not allowed to read it/])
    for (const [path, message] of cases) {
      const { exitCode, stdout, stderr } = await runQkd(['demo', '--file', path])
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: EXIT_CODES.usage.code, stdout: '' })
      expect(stderr).to.match(/^error: ERR_QKD_INVALID_ARGUMENT: .*\n$/)
      expect(stderr).to.match(message)
    }
  })

  it('closes everything and ends on Ctrl-C', async () => {
    const child = startQkd(['demo'])
    const exited = once(child, 'exit')
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.includes('fills the pool')) child.kill('SIGINT')
    }
    expect(await exited).to.deep.equal([EXIT_CODES.interrupted.code, null])
  })
})

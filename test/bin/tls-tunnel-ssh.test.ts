import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { peerProgram } from '../helpers/peer-program.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { findFreePort, PeerProcess } from '../integrations/tls/peer-process.ts'
import { firstLine, qkdCommandLine, startQkd } from './run-qkd.ts'
import { openServedSites, type ServedSites, stop } from './served-sites.ts'

/** Where sshd wants an empty directory when it is started by root; its service makes it, a test has no service. */
const PRIVSEP = '/run/sshd'

describe('qkd tls tunnel --stdio', function () {
  // Several processes are started one after the other.
  this.timeout(120_000)

  let sites: ServedSites
  before(async () => {
    sites = await openServedSites()
  })
  after(async () => {
    await sites?.close()
  })

  it('is a ProxyCommand of ssh: a shell at a real sshd, its input, output and exit code', async function () {
    const [ssh, keygen] = [
      peerProgram(this, 'ssh', 'openssh-client'),
      peerProgram(this, 'ssh-keygen', 'openssh-client'),
    ]
    await using dir = await createTempDir()
    await using sshd = await startSshd(peerProgram(this, 'sshd', 'openssh-server'), keygen, dir.path)

    const exit = startQkd([
      ...['tls', 'tunnel', '--json', '--config', sites.profile('bob'), '--accept', '127.0.0.1:0'],
      ...['--connect', `127.0.0.1:${sshd.port}`, '--peer', 'alice'],
    ])
    try {
      const { listening } = JSON.parse(await firstLine(exit)) as { listening: { port: number } }
      const proxy = ['tls', 'tunnel', '--stdio', '--config', sites.profile('alice'), '--peer', 'bob']
      const words = qkdCommandLine([...proxy, '--connect', `%h:${listening.port}`])
      const options = [
        `ProxyCommand=${words.map(word => `'${word}'`).join(' ')}`,
        ...['IdentitiesOnly=yes', 'BatchMode=yes', 'StrictHostKeyChecking=no', 'LogLevel=ERROR'],
        `UserKnownHostsFile=${join(dir.path, 'known-hosts')}`,
      ].flatMap(option => ['-o', option])
      const target = `${userInfo().username}@127.0.0.1`
      const shell = spawn(ssh, [
        ...['-F', 'none', '-i', join(dir.path, 'user'), ...options],
        ...[target, 'tr a-z A-Z; exit 7'],
      ])
      const text = 'from one site to another\n'.repeat(20_000)
      shell.stdin.on('error', () => {}).end(text)
      const [stdout, stderr, [code]] = await Promise.all([
        shell.stdout.toArray(),
        shell.stderr.toArray(),
        once(shell, 'close'),
      ])
      expect({ code, stderr: Buffer.concat(stderr).toString() }).to.deep.equal({ code: 7, stderr: '' })
      expect(Buffer.concat(stdout).toString() === text.toUpperCase()).to.equal(true)
    } finally {
      await stop(exit)
    }
  })
})

/** An sshd on loopback that lets this user in with the key in `dir/user`, and nobody else. */
async function startSshd(
  program: string,
  keygen: string,
  dir: string,
): Promise<{ readonly port: number } & AsyncDisposable> {
  for (const name of ['host', 'user']) {
    await promisify(execFile)(keygen, ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, name)])
  }
  await copyFile(join(dir, 'user.pub'), join(dir, 'authorized'))
  const port = await findFreePort()
  const config = join(dir, 'sshd.conf')
  const lines = [
    ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${join(dir, 'host')}`, 'PidFile none'],
    ...[`AuthorizedKeysFile ${join(dir, 'authorized')}`, 'StrictModes no', 'UsePAM no'],
    ...['PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'PermitRootLogin prohibit-password'],
  ]
  await writeFile(config, `${lines.join('\n')}\n`)
  const made = userInfo().uid === 0 ? await mkdir(PRIVSEP, { recursive: true, mode: 0o755 }) : undefined
  const server = new PeerProcess(program, ['-D', '-e', '-f', config])
  await server.printed(/Server listening on/)
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      if (made !== undefined) await rm(made, { recursive: true, force: true })
    },
  }
}

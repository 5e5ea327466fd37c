import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { until } from '../helpers/until.ts'
import { startQkd } from './run-qkd.ts'

/** Children of a process, as Linux tells them. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.trim().split(' ').filter(Boolean).map(Number)
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('qkd site serve --workers', function () {
  this.timeout(120_000)
  const authority = createTestAuthority()
  let dir: Awaited<ReturnType<typeof createTempDir>>
  const started: ChildProcess[] = []

  before(async () => {
    dir = await createTempDir()
    for (const [name, pem] of Object.entries(authority.issue('kme-a'))) {
      await writeFile(join(dir.path, `${name}.pem`), pem, { mode: 0o600 })
    }
    const port = 0
    const tls = { cert: 'cert.pem', key: 'key.pem', ca: 'ca.pem' }
    const config = { siteId: 'site-a', kmeId: 'kme-a', listen: { port }, peerListen: { port }, tls }
    const none = { saes: [{ saeId: 'alice' }], peers: [], links: [] }
    await writeFile(join(dir.path, 'site.json'), JSON.stringify({ ...config, ...none }))
  })

  after(async () => {
    for (const child of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await dir[Symbol.asyncDispose]()
  })

  /** The site with two workers, ready. */
  async function start() {
    const child = startQkd(['site', 'serve', '--config', join(dir.path, 'site.json'), '--workers', '2', '--json'])
    started.push(child)
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    const { address, pid } = JSON.parse(String(line))
    const workers: number[] = []
    for (const each of await childrenOf(pid)) {
      if ((await readFile(`/proc/${each}/cmdline`, 'utf8')).includes('site-worker')) workers.push(each)
    }
    expect(workers).to.have.length(2)
    return { child, workers, url: address.etsi014.url as string }
  }

  it('answers hosts from its workers, and ends them when it is told to end', async () => {
    const { child, workers, url } = await start()
    const alice = createRemoteKms({ saeId: 'alice', baseUrl: url, ...authority.issue('alice') })
    await rejectsWith(alice.getStatus('bob'), 'ERR_QKD_INVALID_ARGUMENT')
    await alice.close()
    // As a service manager does, which signals every process of the group: the workers leave it to their owner.
    for (const pid of workers) process.kill(pid, 'SIGTERM')
    child.kill('SIGTERM')
    const [code] = await once(child, 'exit')
    expect(code).to.equal(0)
    expect(workers.filter(isRunning)).to.deep.equal([])
  })

  it('leaves no worker behind when it is killed', async () => {
    const { child, workers } = await start()
    child.kill('SIGKILL')
    await until(() => !workers.some(isRunning), 'the workers have ended')
  })

  it('says how many workers there may be', async () => {
    const child = startQkd(['site', 'serve', '--config', join(dir.path, 'site.json'), '--workers', '65'])
    started.push(child)
    let said = ''
    child.stderr.on('data', chunk => {
      said += String(chunk)
    })
    const [code] = await once(child, 'exit')
    expect(code).to.equal(2)
    expect(said).to.include('--workers must be an integer from 0 to 64')
  })
})

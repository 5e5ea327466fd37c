import { ChildProcess, fork } from 'node:child_process'
import { expect } from 'chai'
import { startWorker } from '../../bin/start-worker.ts'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import { UnauthorizedError } from '../../lib/errors.ts'
import type { Kms, KmsDirectory } from '../../lib/interface/kms.ts'
import { WorkerPool } from '../../lib/workers/worker-pool.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { until } from '../helpers/until.ts'

/** An owner whose hosts are those of a list that may change, and who has a status for each. */
function ownerOf(saeIds: string[]): KmsDirectory {
  const status = {
    sourceKmeId: 'kme-a',
    targetKmeId: 'kme-b',
    keySizeBits: 256,
    storedKeyCount: 7,
    maxKeyCount: 9,
    maxKeyPerRequest: 1,
    maxKeySizeBits: 256,
    minKeySizeBits: 256,
    maxSaeIdCount: 0,
  }
  return {
    kmsFor: saeId => {
      if (!saeIds.includes(saeId)) throw new UnauthorizedError(`SAE ${saeId} is not registered`)
      const getStatus = async (slaveSaeId: string) => ({ ...status, masterSaeId: saeId, slaveSaeId })
      return { saeId, getStatus } as unknown as Kms
    },
  }
}

describe('worker processes', function () {
  this.timeout(120_000)
  const authority = createTestAuthority()
  const saeIds = ['alice']
  let pool: WorkerPool
  let ready = 0
  let starts = 0

  before(async () => {
    pool = await WorkerPool.open({
      count: 1,
      start: () => {
        starts += 1
        return startWorker()
      },
      setup: { siteId: 'site-a', tls: authority.issue('kme-a'), saes: [{ saeId: 'alice' }] },
      listen: { host: '127.0.0.1', port: 0 },
      maxConnections: 4,
      directory: ownerOf(saeIds),
      onUndelivered: () => {},
      onChange: change => {
        ready = change.ready
      },
    })
  })

  after(() => pool.close())

  const open = (saeId: string) =>
    createRemoteKms({ saeId, baseUrl: `https://127.0.0.1:${pool.address.port}`, ...authority.issue(saeId) })

  const served = (kms: Kms) =>
    kms.getStatus('bob').then(
      () => true,
      () => false,
    )

  it('serve hosts that the site registers while they run, and then no others', async () => {
    const [alice, amy] = [open('alice'), open('amy')]
    expect(await alice.getStatus('bob')).to.include({ masterSaeId: 'alice', storedKeyCount: 7 })
    await rejectsWith(amy.getStatus('bob'), 'ERR_QKD_UNAUTHORIZED')
    saeIds.splice(0, 1, 'amy')
    pool.register([{ saeId: 'amy' }])
    await until(() => served(amy), 'amy is served')
    await rejectsWith(alice.getStatus('bob'), 'ERR_QKD_UNAUTHORIZED')
    await Promise.all([alice.close(), amy.close()])
  })

  it('that come later serve the same hosts, on the same port', async () => {
    const [pid] = pool.workerPids()
    process.kill(pid!, 'SIGKILL')
    await until(() => ready === 0, 'the worker is gone')
    // Nobody serves at this moment: a connection waits at the door, or is closed there in the end.
    const amy = open('amy')
    await until(() => served(amy), 'amy is served again', { timeoutMs: 60_000 })
    expect(pool.workerPids()).to.not.include(pid)
    await amy.close()
  })

  it('that start while the hosts change serve the new ones, and no others', async () => {
    const before = starts
    process.kill(pool.workerPids()[0]!, 'SIGKILL')
    await until(() => starts > before, 'the next worker starts')
    saeIds.splice(0, 1, 'alice')
    pool.register([{ saeId: 'alice' }])
    await until(() => ready === 1, 'it serves', { timeoutMs: 60_000 })
    const [alice, amy] = [open('alice'), open('amy')]
    expect(await alice.getStatus('bob')).to.include({ masterSaeId: 'alice' })
    await rejectsWith(amy.getStatus('bob'), 'ERR_QKD_UNAUTHORIZED')
    await Promise.all([alice.close(), amy.close()])
  })

  it('that end before they serve fail the start, and leave nothing behind', async () => {
    const start = () =>
      fork('/dev/null', [], {
        execArgv: ['--eval', 'process.exit(3)'],
        stdio: ['ignore', 'ignore', 'ignore', 'ipc', 'pipe'],
      })
    const opening = WorkerPool.open({
      count: 2,
      start,
      setup: { siteId: 'site-a', tls: authority.issue('kme-a'), saes: [] },
      listen: { host: '127.0.0.1', port: 0 },
      maxConnections: 4,
      directory: ownerOf([]),
      onUndelivered: () => {},
      onChange: () => {},
    })
    const error = await rejectsWith(opening, 'ERR_QKD_CLOSED')
    expect(error.message).to.include('exit code 3')
  })

  it('end with their owner', async () => {
    const [pid] = pool.workerPids()
    await pool.close()
    expect(() => process.kill(pid!, 0)).to.throw('ESRCH')
  })

  it('come back after the machine had no file descriptors and no memory for them', async () => {
    let starts = 0
    const start = () => {
      starts += 1
      if (starts === 2) {
        // As spawn() gives it where it finds no descriptor: never run, without pipes, and told a moment later.
        const none = new ChildProcess()
        process.nextTick(() => none.emit('error', new Error('spawn EMFILE')))
        return none
      }
      if (starts === 3) throw new Error('spawn ENOMEM')
      return startWorker()
    }
    await using own = await WorkerPool.open({
      count: 1,
      start,
      setup: { siteId: 'site-a', tls: authority.issue('kme-a'), saes: [{ saeId: 'alice' }] },
      listen: { host: '127.0.0.1', port: 0 },
      maxConnections: 4,
      directory: ownerOf(saeIds),
      onUndelivered: () => {},
      onChange: () => {},
    })
    const [first] = own.workerPids()
    process.kill(first!, 'SIGKILL')
    await until(() => own.workerPids().some(pid => pid !== first), 'another worker serves', { timeoutMs: 60_000 })
    expect(starts).to.equal(4)
  })
})

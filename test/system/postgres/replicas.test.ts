import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Key, Kms } from '../../../lib/interface/kms.ts'
import { connectPostgres } from '../../../lib/util/postgres-client.ts'
import { runQkd } from '../../bin/run-qkd.ts'
import { withoutPeer } from '../../helpers/peer-program.ts'
import { PostgresNode, postgresPrograms } from '../../helpers/postgres.ts'
import { startSiteFellow } from '../../helpers/site-fellow.ts'
import { type SiteProcesses, startSiteProcesses } from '../../helpers/site-process.ts'
import { until } from '../../helpers/until.ts'

/** What a client makes of HTTP 503. */
const TRY_AGAIN = ['ERR_QKD_KME_UNREACHABLE', 'ERR_QKD_POOL_EXHAUSTED']

const digestOf = ({ secret }: Key) =>
  secret.expose('application', bytes => createHash('sha256').update(bytes).digest('hex'))

/** Keeps asking while a site has no owner of its pools. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  let result: { value: T } | undefined
  let last: unknown
  await until(
    async () => {
      try {
        result = { value: await call() }
        return true
      } catch (error) {
        last = error
        return false
      }
    },
    'an answer',
    { timeoutMs: 40_000 },
  ).catch(cause => {
    throw new Error(`No answer: ${String(last)}`, { cause })
  })
  return result!.value
}

describe('two replicas of a site over PostgreSQL', function () {
  this.timeout(180_000)
  let server: PostgresNode
  let sites: SiteProcesses
  let fellow: Awaited<ReturnType<typeof startSiteFellow>>
  let [first, second, bob]: Kms[] = []
  const owner = async () => {
    await using sql = await connectPostgres({
      url: server.url,
      applicationName: 'test',
      timeoutMs: 10_000,
      neededBy: 'The test',
    })
    return (await sql.query(`select owner_id from qkd_site where site_id = 'site-a'`))[0]?.owner_id
  }

  before(async function () {
    const programs = postgresPrograms() ?? withoutPeer(this, 'PostgreSQL is not installed (Debian package postgresql)')
    server = await PostgresNode.create(programs)
    await server.start()
    sites = await startSiteProcesses({ databases: { 'site-a': server.url } })
    fellow = await startSiteFellow(sites)
    first = sites.kms('alice')
    second = sites.kms('alice', { port: fellow.port })
    bob = sites.kms('bob')
  })
  after(async () => {
    await fellow?.process.kill()
    await sites?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })

  it('answer every request at each of them, whichever owns the pools', async () => {
    for (const replica of [first!, second!]) {
      const [drawn] = await patiently(() => replica.getKey('bob'))
      const [fetched] = await bob!.getKeyWithIds('alice', [drawn!.keyId])
      expect(fetched!.secret.equals(drawn!.secret)).to.equal(true)
      const [theirs] = await patiently(() => bob!.getKey('alice'))
      const [ours] = await replica.getKeyWithIds('bob', [theirs!.keyId])
      expect(ours!.secret.equals(theirs!.secret)).to.equal(true)
      expect((await replica.getStatus('bob')).storedKeyCount).to.be.above(0)
    }
  })

  it('give out nothing stale by an owner that was stopped past its lease and goes on', async () => {
    expect(await owner()).to.equal('site-a-1')
    const seen = new Set<string>()
    const note = (keys: readonly Key[]) => {
      for (const key of keys) {
        for (const mark of [key.keyId, digestOf(key)]) {
          expect(seen.has(mark), `${mark} came twice`).to.equal(false)
          seen.add(mark)
        }
      }
      return keys
    }
    const [pending] = await patiently(() => bob!.getKey('alice'))
    const stopped = sites.processes[0].pid!
    process.kill(stopped, 'SIGSTOP')
    // They reach the process's socket, and are read when it goes on.
    const waits = { timeoutMs: 60_000 }
    const drawn = Array.from({ length: 8 }, () => first!.getKey('bob', waits).then(note, (error: unknown) => error))
    const fetched = first!.getKeyWithIds('bob', [pending!.keyId], waits).catch((error: unknown) => error)
    await until(async () => (await owner()) === 'site-a-2', 'the fellow takes over', { timeoutMs: 30_000 })
    for (let count = 0; count < 8; count++) note(await patiently(() => second!.getKey('bob')))
    process.kill(stopped, 'SIGCONT')
    // Refused, or brought to the new owner by then: what that gives is its own.
    for (const outcome of await Promise.all(drawn)) {
      if (outcome instanceof Error) expect((outcome as { code?: string }).code).to.be.oneOf(TRY_AGAIN)
      else await bob!.getKeyWithIds('alice', [(outcome as Key[])[0]!.keyId])
    }
    // Given out once, by whichever it was.
    const outcome = await fetched
    const [late] =
      outcome instanceof Error
        ? await patiently(() => second!.getKeyWithIds('bob', [pending!.keyId]))
        : (outcome as Key[])
    expect(late!.secret.equals(pending!.secret)).to.equal(true)
    const twice = await second!.getKeyWithIds('bob', [pending!.keyId]).catch((error: { code?: string }) => error)
    expect(twice).to.include({ code: 'ERR_QKD_KEY_NOT_FOUND' })
    const [again] = note(await patiently(() => first!.getKey('bob')))
    const [there] = await bob!.getKeyWithIds('alice', [again!.keyId])
    expect(there!.secret.equals(again!.secret)).to.equal(true)
    expect(await owner()).to.equal('site-a-2')
  })

  it('go on by the other one when the owner is killed', async () => {
    await fellow.process.kill()
    const [drawn] = await patiently(() => first!.getKey('bob'))
    const [fetched] = await bob!.getKeyWithIds('alice', [drawn!.keyId])
    expect(fetched!.secret.equals(drawn!.secret)).to.equal(true)
    expect(await owner()).to.equal('site-a-1')
  })

  it('refuse while the database is away, give out nothing, and go on by themselves when it is back', async () => {
    const [issued] = await patiently(() => bob!.getKey('alice'))
    await server.kill()
    const refusal = await first!.getKeyWithIds('bob', [issued!.keyId]).catch((error: { code?: string }) => error)
    expect(refusal).to.be.instanceOf(Error)
    expect((refusal as { code?: string }).code ?? 'a time-out').to.be.oneOf([...TRY_AGAIN, 'ERR_QKD_STORE', 23])
    await server.start()
    // What was asked for is as it was: delivered now, and once.
    const [fetched] = await patiently(() => first!.getKeyWithIds('bob', [issued!.keyId]))
    expect(fetched!.secret.equals(issued!.secret)).to.equal(true)
    const [drawn] = await patiently(() => first!.getKey('bob'))
    expect((await bob!.getKeyWithIds('alice', [drawn!.keyId]))[0]!.secret.equals(drawn!.secret)).to.equal(true)
  })

  it('leave a store that is looked at and verified by the command', async () => {
    expect(await sites.processes[0].stop()).to.equal(0)
    const config = join(sites.directory, 'site-a.json')
    const inspected = await runQkd(['store', 'inspect', '--config', config, '--json'])
    expect(inspected.exitCode, inspected.stderr).to.equal(0)
    const { replicas, pools } = JSON.parse(inspected.stdout)
    expect(replicas.owner.id).to.equal('site-a-1')
    expect(replicas.epoch).to.be.at.least(3)
    expect(pools.map(({ poolId }: { poolId: string }) => poolId)).to.have.length(1)
    const verified = await runQkd(['store', 'verify', '--config', config])
    expect(verified.exitCode, verified.stderr).to.equal(0)
    expect(verified.stdout).to.match(/: \d+ opened, 0 damaged/)
    const refused = await runQkd(['site', 'serve', '--config', config, '--store', 'postgres://qkd:secret@db/pools'])
    expect(refused.exitCode).to.not.equal(0)
    expect(refused.stderr).to.contain('PGPASSFILE').and.to.not.contain('secret')
  })
})

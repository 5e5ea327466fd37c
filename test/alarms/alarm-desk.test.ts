import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { AlarmDesk, type AlarmDeskOptions } from '../../lib/alarms/alarm-desk.ts'
import type { AuditEntry } from '../../lib/interface/audit.ts'
import type { OperatorIdentity } from '../../lib/interface/operator.ts'
import type { AlarmSeverity } from '../../lib/interface/telemetry.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { debugLogger } from '../../lib/util/debug-logger.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { VirtualTimers } from '../helpers/virtual-timers.ts'

const olga: OperatorIdentity = { name: 'olga', roles: ['operator'], by: 'certificate' }
const paul: OperatorIdentity = { name: 'paul', roles: ['operator'], by: 'socket' }

/** A desk whose clock stands where the test puts it, with all that it says and writes. */
async function openDesk(options: Partial<AlarmDeskOptions> = {}) {
  const timers = new VirtualTimers()
  const telemetry = new TelemetryHub()
  const said: string[] = []
  const written: AuditEntry[] = []
  telemetry.subscribe(event => {
    if (event.type === 'alarm-state') said.push(`${event.id} ${event.state} ${event.severity}`)
  })
  const audit = { record: async (entry: AuditEntry) => void written.push(entry) }
  const desk = await AlarmDesk.open({
    telemetry,
    audit,
    timers,
    now: timers.nowMs,
    logger: debugLogger('test'),
    ...options,
  })
  const say = (id: string, state: 'raised' | 'cleared', severity: AlarmSeverity = 'major') =>
    telemetry.emit({ type: 'alarm', id, severity, state, text: `${id} is ${state}` })
  return { desk, timers, said, written, say }
}

describe('AlarmDesk', () => {
  it('makes one alarm of a cause that comes and goes, and clears it once the cause has been gone for long enough', async () => {
    const { desk, timers, said, written, say } = await openDesk()
    for (let n = 0; n < 5; n += 1) {
      say('link-down:x', 'raised')
      timers.moveTo(timers.nowMs() + 1_000)
      say('link-down:x', 'cleared')
      timers.moveTo(timers.nowMs() + 4_999)
    }
    expect(said).to.deep.equal(['link-down:x active major'])
    expect(desk.list()).to.deep.include.members([
      { ...desk.list()[0]!, id: 'link-down:x', state: 'active', times: 5, raisedAtMs: 0 },
    ])
    timers.moveTo(timers.nowMs() + 1)
    expect(said).to.deep.equal(['link-down:x active major', 'link-down:x cleared major'])
    expect(desk.list()[0]).to.include({ state: 'cleared', text: 'link-down:x is cleared' })
    expect(written.map(({ event, outcome, alarm }) => ({ event, outcome, alarm }))).to.deep.equal([
      { event: 'alarm', outcome: 'active', alarm: 'link-down:x' },
      { event: 'alarm', outcome: 'cleared', alarm: 'link-down:x' },
    ])
  })

  it('notes who acknowledges an alarm, once, and takes it back where it gets worse', async () => {
    const { desk, said, written, say } = await openDesk()
    await rejectsWith(desk.acknowledge('pool-low:b', olga), 'ERR_QKD_INVALID_ARGUMENT')
    say('pool-low:b', 'raised', 'minor')
    const seen = await desk.acknowledge('pool-low:b', olga, { note: 'the splicers are there' })
    expect(seen.acknowledged).to.include({ by: 'olga', note: 'the splicers are there' })
    expect((await desk.acknowledge('pool-low:b', paul)).acknowledged?.by).to.equal('olga')
    say('pool-low:b', 'raised', 'minor')
    expect(said).to.deep.equal(['pool-low:b active minor', 'pool-low:b acknowledged minor'])
    expect(written.at(-1)).to.deep.include({ event: 'alarm', outcome: 'acknowledged', operator: olga })
    say('pool-low:b', 'raised', 'critical')
    expect(said.at(-1)).to.equal('pool-low:b active critical')
    expect(desk.list()[0]).to.include({ state: 'active' }).and.not.have.property('acknowledged')
  })

  it('lists the worst first, and what is cleared last', async () => {
    const { desk, timers, say } = await openDesk()
    for (const [id, severity] of [
      ['a', 'warning'],
      ['b', 'critical'],
      ['c', 'major'],
      ['d', 'critical'],
    ] as const) {
      say(id, 'raised', severity)
      timers.moveTo(timers.nowMs() + 10)
    }
    say('b', 'cleared', 'critical')
    timers.moveTo(timers.nowMs() + 5_000)
    expect(desk.list().map(({ id }) => id)).to.deep.equal(['d', 'c', 'a', 'b'])
  })

  it('keeps acknowledgements over a restart, and tells nobody again', async () => {
    await using dir = await createTempDir()
    const file = join(dir.path, 'alarms.json')
    const before = await openDesk({ file })
    for (const id of ['stays', 'goes']) before.say(id, 'raised')
    await before.desk.acknowledge('stays', olga)
    // A crash: nobody closes the desk.
    const after = await openDesk({ file })
    expect(after.desk.list().map(({ id, state }) => `${id} ${state}`)).to.have.members([
      'stays acknowledged',
      'goes active',
    ])
    after.say('stays', 'raised')
    after.timers.moveTo(180_000)
    expect(after.said).to.deep.equal(['goes cleared major'])
    expect(after.desk.list()[0]).to.deep.include({
      id: 'stays',
      state: 'acknowledged',
      acknowledged: { by: 'olga', atMs: 0 },
    })
    await after.desk.close()
    expect((await openDesk({ file })).desk.list().map(({ state }) => state)).to.deep.equal(['acknowledged', 'cleared'])
  })

  it('does not say that an alarm is seen to where that cannot be kept', async () => {
    await using dir = await createTempDir()
    const { desk, say } = await openDesk({ file: join(dir.path, 'no', 'such', 'alarms.json') })
    say('x', 'raised')
    await rejectsWith(desk.acknowledge('x', olga), 'ERR_QKD_STORE')
    expect(desk.list()[0]).to.include({ state: 'active' })
  })

  it('refuses a file that is damaged, and loses nothing of it', async () => {
    await using dir = await createTempDir()
    const file = join(dir.path, 'alarms.json')
    for (const text of ['{', '{"version":2,"alarms":[]}', '{"version":1,"alarms":[{"id":"x"}]}']) {
      await writeFile(file, text)
      await rejectsWith(openDesk({ file }), 'ERR_QKD_STORE')
      expect(await readFile(file, 'utf8')).to.equal(text)
    }
  })

  it('does not grow with what layers say', async () => {
    const { desk, timers, say } = await openDesk()
    for (let n = 0; n < 1_500; n += 1) say(`a${n}`, 'raised')
    expect(desk.list()).to.have.length(1_000)
    for (let n = 0; n < 1_500; n += 1) say(`a${n}`, 'cleared')
    timers.moveTo(10_000)
    expect(desk.list()).to.have.length(200)
  })
})

import { expect } from 'chai'
import type { AuditEntry, AuditLog } from '../../../lib/interface/audit.ts'
import { WatchedAudit } from '../../../lib/kms/audit/watched-audit.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'
import { until } from '../../helpers/until.ts'

/** A log on a disk that the test fills and empties. */
function createLog() {
  const written: AuditEntry[] = []
  const disk = { isFull: false }
  const close = async () => {}
  const log: AuditLog = {
    record: async entry => {
      if (disk.isFull) throw new Error('no space left on device')
      written.push(entry)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
  const telemetry = new TelemetryHub()
  const blocked = () => telemetry.readings().find(({ name }) => name === 'audit_blocked')?.value
  return { written, disk, watched: new WatchedAudit({ log, telemetry, retryMs: 5 }), blocked }
}

const entry: AuditEntry = { event: 'issue', outcome: 'allowed' }

describe('WatchedAudit', () => {
  it('says that the log is blocked from the first line that it refuses to the next that it takes', async () => {
    const { disk, watched, blocked } = createLog()
    expect(blocked()).to.equal(0)
    await watched.record(entry)
    disk.isFull = true
    const error = await watched.record(entry).catch((cause: Error) => cause)
    expect((error as Error).message).to.include('no space left')
    expect(blocked()).to.equal(1)
    disk.isFull = false
    await watched.record(entry)
    expect(blocked()).to.equal(0)
    await watched.close()
  })

  it('finds out by itself that the log can be written again, and writes how much it refused', async () => {
    const { disk, watched, blocked, written } = createLog()
    disk.isFull = true
    for (let n = 0; n < 3; n += 1) await watched.record(entry).catch(() => {})
    expect(blocked()).to.equal(1)
    disk.isFull = false
    await until(() => blocked() === 0, 'the log is tried again')
    expect(written).to.have.length(1)
    expect(written[0]).to.deep.include({ event: 'alarm', alarm: 'audit-blocked', outcome: 'cleared' })
    expect(written[0]!.reason).to.include('3 entries were refused')
    await watched.close()
  })
})

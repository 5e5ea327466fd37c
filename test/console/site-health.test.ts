import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { checkConsole } from '../../lib/config/console-config.ts'
import type { GaugeReading } from '../../lib/interface/telemetry.ts'
import { siteHealth } from '../../lib/site-health.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'

const DAY_MS = 86_400_000

describe('siteHealth', () => {
  const tls = createTestAuthority().issue('kme-a')
  type Config = Parameters<typeof siteHealth>[0]['config']
  const look = async (
    config: Partial<Config>,
    { readings = [], nowMs = Date.now() }: { readings?: GaugeReading[]; nowMs?: number } = {},
  ) => {
    const rows = await siteHealth({
      config: { tls, store: { kind: 'memory' }, ...config },
      pools: () => [],
      readings: () => readings,
      auditLines: () => 7,
      now: () => nowMs,
    })
    return Object.fromEntries(rows.map(({ name, state, text }) => [name, `${state}: ${text}`]))
  }

  it('says how old the newest backup is, and that there is none', async () => {
    await using dir = await createTempDir()
    const backups = join(dir.path, 'backups')
    const at = { host: '127.0.0.1', port: 0, backups }
    expect(await look({})).to.include({ Backup: 'off: none is known here' })
    expect(await look({ console: at })).to.include({ Backup: 'bad: ENOENT' })
    await mkdir(backups)
    expect(await look({ console: at })).to.include({ Backup: 'bad: none has been written' })
    await writeFile(join(backups, 'old'), '')
    await utimes(join(backups, 'old'), 0, 0)
    await writeFile(join(backups, 'new'), '')
    expect(await look({ console: at })).to.include({ Backup: 'ok: the newest is within the hour' })
    const nowMs = Date.now() + 1.5 * DAY_MS
    expect(await look({ console: at }, { nowMs })).to.include({ Backup: 'warning: the newest is 36 h old' })
    expect(await look({ console: { ...at, backupMaxAgeHours: 48 } }, { nowMs })).to.include({
      Backup: 'ok: the newest is 36 h old',
    })
  })

  it('says that the audit log is blocked, how clocks stand, and when the certificate ends', async () => {
    await using dir = await createTempDir()
    const audit = { file: join(dir.path, 'audit.log') }
    const gauge = (name: GaugeReading['name'], value: number, labels = {}): GaugeReading => ({ name, value, labels })
    expect((await look({ audit }))['Audit log']).to.match(/^ok: 7 lines, [\d.]+ GiB free$/)
    expect(await look({ audit }, { readings: [gauge('audit_blocked', 1)] })).to.include({
      'Audit log': 'bad: cannot be written: requests are refused',
    })
    expect((await look({ audit: { file: join(dir.path, 'none/audit.log') } }))['Audit log']).to.match(/^bad: .*ENOENT/)
    expect(await look({}, { nowMs: Date.now() + 5 * DAY_MS })).to.include({ Certificate: 'bad: has expired' })
    expect((await look({})).Certificate).to.equal('bad: 1 day left')
  })
})

describe('checkConsole', () => {
  it('wants certificates for an address that others reach, and somebody to show one', () => {
    const paths = (...args: Parameters<typeof checkConsole>) => checkConsole(...args).map(({ path }) => path)
    expect(paths(undefined)).to.deep.equal([])
    expect(paths({ port: 0 })).to.deep.equal([])
    expect(paths({ host: 'localhost', port: 0 })).to.deep.equal([])
    expect(paths({ host: '0.0.0.0', port: 0 })).to.deep.equal(['/console/host'])
    expect(paths({ host: '0.0.0.0', port: 0, viewers: ['noc'] })).to.deep.equal([])
    expect(paths({ port: 0, viewers: [] })).to.deep.equal(['/console/viewers'])
    expect(paths({ host: '0.0.0.0', port: 0, viewers: [] }, { people: 1 })).to.deep.equal([])
  })
})

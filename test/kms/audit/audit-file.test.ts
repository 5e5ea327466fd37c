import { execFile } from 'node:child_process'
import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import type { AuditEntry } from '../../../lib/interface/audit.ts'
import { AuditFile } from '../../../lib/kms/audit/audit-file.ts'
import { type AuditLine, FIRST_LINK } from '../../../lib/kms/audit/audit-line.ts'
import { verifyAudit } from '../../../lib/kms/audit/verify-audit.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const entry = (n: number): AuditEntry => ({
  event: 'issue',
  outcome: 'allowed',
  masterSaeId: 'alice',
  keyIds: [`k${n}`],
})

async function opened(dir: string): Promise<AuditFile> {
  return AuditFile.open(join(dir, 'audit.log'), { siteId: 'site-a' })
}

describe('AuditFile', () => {
  it('writes a chain that verifies, over reopenings', async () => {
    await using dir = await createTempDir()
    for (const start of [0, 50]) {
      await using log = await opened(dir.path)
      expect(log.head.n).to.equal(start)
      await Promise.all(Array.from({ length: 50 }, (_, n) => log.record(entry(start + n))))
    }
    const lines: AuditLine[] = []
    const verdict = await verifyAudit(join(dir.path, 'audit.log'), { onLine: line => lines.push(line) })
    expect(verdict).to.include({ ok: true, lines: 100 })
    expect(lines[0]!.follows).to.equal(FIRST_LINK)
    expect(lines.map(({ keyIds }) => keyIds![0])).to.deep.equal(Array.from({ length: 100 }, (_, n) => `k${n}`))
    expect((await stat(join(dir.path, 'audit.log'))).mode & 0o777).to.equal(0o600)
  })

  it('shows every change, of any byte, any line', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'audit.log')
    {
      await using log = await opened(dir.path)
      for (let n = 0; n < 4; n += 1) await log.record(entry(n))
    }
    const sound = await readFile(path)
    const lines = sound.toString().trimEnd().split('\n')
    const { link } = await verifyAudit(path)
    const changed = [
      ...Array.from(sound.keys()).map(at => {
        const copy = Buffer.from(sound)
        copy[at]! ^= 1
        return copy
      }),
      [lines[0], lines[2], lines[3]].join('\n'),
      [lines[1], lines[0], lines[2], lines[3]].join('\n'),
      [...lines, lines[3]].join('\n'),
      lines.slice(0, 3).join('\n'),
    ]
    for (const content of changed) {
      await writeFile(path, content)
      const verdict = await verifyAudit(path)
      // A missing or changed end is told by the hash that was kept elsewhere alone.
      expect(verdict.ok && verdict.link === link, String(content)).to.equal(false)
    }
  })

  it('takes back a line that a crash cut short, and goes on from the one before', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'audit.log')
    {
      await using log = await opened(dir.path)
      await log.record(entry(0))
      await log.record(entry(1))
    }
    const whole = await stat(path)
    await appendFile(path, '{"n":3,"at":"2026')
    {
      await using log = await opened(dir.path)
      expect(log.head.n).to.equal(2)
      await log.record(entry(2))
    }
    expect(await verifyAudit(path)).to.include({ ok: true, lines: 3 })
    await truncate(path, whole.size - 5)
    await using log = await opened(dir.path)
    expect(log.head.n).to.equal(1)
  })

  it('takes back a write of which a power loss has left only the end', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'audit.log')
    {
      await using log = await opened(dir.path)
      await log.record(entry(0))
      await log.record(entry(1))
    }
    const lines = (await readFile(path, 'utf8')).split('\n')
    await appendFile(path, `{"n":3,${'\0'.repeat(4096)}"follows":"x"}\n${lines[1]}\n`)
    {
      await using log = await opened(dir.path)
      expect(log.head.n).to.equal(2)
      await log.record(entry(2))
    }
    expect(await verifyAudit(path)).to.include({ ok: true, lines: 3 })
  })

  it('does not go on from a last line that is none', async () => {
    await using dir = await createTempDir()
    await writeFile(join(dir.path, 'audit.log'), 'no audit log\n')
    const error = await rejectsWith(opened(dir.path), 'ERR_QKD_STORE')
    expect(error.message).to.include('its last line is not JSON')
  })

  it('refuses what a full device cannot hold, takes it back, and goes on when there is room', async function () {
    this.timeout(30_000)
    await using dir = await createTempDir()
    const program = fileURLToPath(new URL('full-device-program.ts', import.meta.url))
    const limited = `trap '' XFSZ; ulimit -f 8; exec "$0" --import tsx "$1" "$2"`
    const path = join(dir.path, 'audit.log')
    const { stdout } = await promisify(execFile)('bash', ['-c', limited, process.execPath, program, path])
    const { written, refused } = JSON.parse(stdout)
    expect(written).to.be.above(10)
    expect(refused).to.equal(3)
    expect(await verifyAudit(path)).to.include({ ok: true, lines: written })
    await using log = await opened(dir.path)
    await log.record(entry(1))
    expect((await verifyAudit(path)).lines).to.equal(written + 1)
  })
})

import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import type { SiteConfig } from '../../lib/config/site-config.ts'
import { openLink } from '../../lib/site-links.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { firstLine, runQkd, startQkd } from './run-qkd.ts'

const words = ['link', 'photons', '--link', 'a-b', '--alice', 'site-b', '--bob', 'site-a']

describe('qkd link photons', function () {
  this.timeout(60_000)

  it('hands two sites their ends of the light, until SIGTERM', async () => {
    await using dir = await createTempDir()
    const psk = join(dir.path, 'link.psk')
    await writeFile(psk, Buffer.alloc(32, 5), { mode: 0o600 })
    const child = startQkd([...words, '--preset', 'li-2023', '--distance', '5km', '--json'])
    const { address } = JSON.parse(await firstLine(child)) as { address: { host: string; port: number } }
    const common = { linkId: 'a-b', kind: 'bb84', preset: 'li-2023', distanceKm: 5, keyBits: 2 ** 18 } as const
    const listening: Record<string, { host: string; port: number }> = {}
    const open = (siteId: string, peerSiteId: string, end: { role: 'listen' | 'connect'; port: number }) =>
      openLink(
        { siteId } as SiteConfig,
        { ...common, ...end, peerSiteId, host: '127.0.0.1', psk, photons: address },
        { telemetry: new TelemetryHub(), listening },
      )
    const alice = await open('site-b', 'site-a', { role: 'listen', port: 0 })
    const bob = await open('site-a', 'site-b', { role: 'connect', port: listening['a-b']!.port })
    const signal = AbortSignal.timeout(30_000)
    const [one, other] = await Promise.all([alice.nextBlock({ signal }), bob.nextBlock({ signal })])
    expect(one.number).to.equal(other.number)
    expect(one.secret.equals(other.secret)).to.equal(true)
    await Promise.all([alice.close(), bob.close()])
    child.kill('SIGTERM')
    expect(await once(child, 'close')).to.deep.equal([0, null])
  })

  it('refuses an unknown preset, a share that is none, and one site twice', async () => {
    for (const wrong of [
      [...words, '--preset', 'x'],
      [...words, '--eve', '2'],
      ['link', 'photons', '--link', 'a-b', '--alice', 'one', '--bob', 'one'],
    ]) {
      const { exitCode, stderr } = await runQkd(wrong)
      expect(exitCode, stderr).to.equal(EXIT_CODES.usage.code)
      expect(stderr).to.match(/^error: /)
    }
  })
})

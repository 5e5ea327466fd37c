import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { type SiteProcesses, startSiteProcesses } from '../../helpers/site-process.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { createDevicePair, type DevicePair, LINK_SAES } from './device-pair.ts'

/** `device` of each site's configuration; the files lie in `dir`. */
async function deviceFields(dir: string, { kmes }: DevicePair) {
  for (const [site, { tls }] of kmes.entries()) {
    for (const part of ['cert', 'key', 'ca'] as const) {
      await writeFile(join(dir, `${site}.${part}`), tls[part], { mode: 0o600 })
    }
  }
  return (siteId: 'site-a' | 'site-b') => {
    const site = siteId === 'site-a' ? 0 : 1
    const { url, kmeId } = kmes[site]
    const tls = { cert: join(dir, `${site}.cert`), key: join(dir, `${site}.key`), ca: join(dir, `${site}.ca`) }
    const device = { saeId: LINK_SAES[site], peerSaeId: LINK_SAES[1 - site], kme: url, kmeId, tls, keySizeBits: 1_024 }
    return { kind: 'etsi-014', psk: 'link.psk', device }
  }
}

async function share(sites: SiteProcesses, master: string, slave: string): Promise<void> {
  const [own, other] = [sites.kms(master), sites.kms(slave)]
  const deadlineMs = performance.now() + 60_000
  const stored = async () => (await own.getStatus(slave).catch(() => undefined))?.storedKeyCount ?? 0
  while ((await stored()) < 5 && performance.now() < deadlineMs) await new Promise(resolve => setTimeout(resolve, 100))
  const keys = await own.getKey(slave, { number: 5, timeoutMs: 20_000 })
  const same = await other.getKeyWithIds(
    master,
    keys.map(({ keyId }) => keyId),
  )
  expect(keys.every(({ secret }, at) => secret.equals(same[at]!.secret))).to.equal(true)
  for (const key of [...keys, ...same]) expect(key).to.include({ level: 'quantum', trustClass: 'direct' })
}

describe('two site processes, joined by the KMEs of another vendor', function () {
  this.timeout(180_000)

  it('share keys in both directions, also after one of them was killed', async () => {
    await using dir = await createTempDir()
    await using devices = await createDevicePair()
    const link = await deviceFields(dir.path, devices)
    await using sites = await startSiteProcesses({ store: 'lmdb', targetBlocks: 4, link })
    await share(sites, 'alice', 'bob')
    await share(sites, 'bob', 'alice')
    const [near, far] = sites.processes
    for (const site of [far, near]) {
      await site.kill()
      await site.start()
      await share(sites, 'alice', 'bob')
      await share(sites, 'bob', 'alice')
    }
    // What one end drew the other fetched, but for what was under way at the kills.
    const { issuedCount, fetchedCount } = devices.pair
    expect(fetchedCount).to.be.at.most(issuedCount)
    expect(fetchedCount).to.be.at.least(250)
    for (const site of sites.processes) expect(await site.stop(), site.stderr).to.equal(0)
  })
})

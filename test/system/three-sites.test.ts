import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { createTempDir } from '../helpers/temp-dir.ts'
import { top } from '../structure/tree.ts'

const INSTALL = join(top, 'examples/three-sites/install.sh')
const ADDRESSES = { A: '10.0.0.1', B: '10.0.0.2', C: '10.0.0.3' }

describe('examples/three-sites', () => {
  it('installs each site with the addresses of all, its state where systemd has it, and the controller at b', async () => {
    await using dir = await createTempDir()
    for (const site of ['a', 'b', 'c'] as const) {
      const root = join(dir.path, site)
      const env = { ...process.env, ...ADDRESSES, DESTDIR: root }
      await promisify(execFile)(INSTALL, [site], { env })
      const text = await readFile(join(root, 'etc/qkd/site.json'), 'utf8')
      expect(text).not.to.match(/127\.0\.1\.|state-/)
      const config = JSON.parse(text)
      expect(config.siteId).to.equal(`site-${site}`)
      expect(config.listen.host).to.equal(ADDRESSES[site.toUpperCase() as 'A'])
      expect(config.store.path).to.equal('/var/lib/qkdkit/site/store')
      expect(config.operators.socket).to.equal('/run/qkdkit-site/operator.sock')
      const unit = await readFile(join(root, 'etc/systemd/system/qkd@.service'), 'utf8')
      expect(unit).to.include('StateDirectory=qkdkit/%i').and.to.include('RuntimeDirectory=qkdkit-%i')
      const controller = await readFile(join(root, 'etc/qkd/network.json'), 'utf8').catch(() => undefined)
      expect(controller !== undefined).to.equal(site === 'b')
      const again = await promisify(execFile)(INSTALL, [site], { env })
      expect(again.stdout).to.include(`kept: ${root}/etc/qkd/site.json`)
    }
  })

  it('refuses to install without the addresses of all', async () => {
    await using dir = await createTempDir()
    const env = { ...process.env, A: '10.0.0.1', B: '', C: '', DESTDIR: dir.path }
    const failed = await promisify(execFile)(INSTALL, ['a'], { env }).catch((error: { stderr: string }) => error)
    expect(failed.stderr).to.include('is not set')
  })
})

import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { importConnection, loadIpsecAgentConfig, pairSnippet } from '../../../integrations/strongswan/index.ts'
import { qkdCommandLine } from '../../bin/run-qkd.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const execute = promisify(execFile)
const EXAMPLE = fileURLToPath(new URL('../../../examples/strongswan/', import.meta.url))

describe('examples/strongswan', function () {
  this.timeout(60_000)

  it('has two gateways that fit each other, and their swanctl.conf', async () => {
    const load = async (name: string) => (await loadIpsecAgentConfig(join(EXAMPLE, name, 'ipsec.json'))).connections[0]!
    const [a, b] = [await load('gateway-a'), await load('gateway-b')]
    expect(pairSnippet(a).remote).to.equal(pairSnippet(b).local)
    expect(pairSnippet(b).remote).to.equal(pairSnippet(a).local)
    for (const [connection, name] of [
      [a, 'gateway-a'],
      [b, 'gateway-b'],
    ] as const) {
      const { peer, role } = connection
      const imported = await importConnection(join(EXAMPLE, name, 'swanctl.conf'), { peer, role })
      const { local, remote, children } = connection
      expect(imported).to.deep.include({ name: connection.name, local, remote })
      const traffic = ({ localTs, remoteTs }: Record<string, unknown>) => ({ localTs, remoteTs })
      expect((imported.children as Record<string, unknown>[]).map(traffic)).to.deep.equal(
        children.map(child => traffic({ ...child })),
      )
    }
  })

  it('installs a gateway, and keeps what was configured', async () => {
    await using dir = await createTempDir()
    const env = { ...process.env, DESTDIR: dir.path, QKD: qkdCommandLine([]).join(' ') }
    await execute(join(EXAMPLE, 'install.sh'), ['a'], { env })
    const config = join(dir.path, 'etc/qkdkit/ipsec.json')
    expect((await loadIpsecAgentConfig(config)).connections[0]).to.include({ role: 'initiator' })
    expect((await stat(config)).mode & 0o777).to.equal(0o600)
    const hook = await stat(join(dir.path, 'etc/qkdkit/updown'))
    expect(hook.mode & 0o777).to.equal(0o755)
    const unit = await readFile(join(dir.path, 'etc/systemd/system/qkd-ipsec.service'), 'utf8')
    expect(unit).to.contain('ExecStart=').and.contain('--config /etc/qkdkit/ipsec.json')
    const { stdout } = await execute(join(EXAMPLE, 'install.sh'), ['a'], { env })
    expect(stdout).to.contain(`kept: ${config}`)
  })
})

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { initPki } from '../../../bin/pki-directory.ts'
import { enrolSae } from '../../../bin/sae/enrol-sae.ts'
import { CharonNode } from '../../helpers/charon/charon-node.ts'
import { createNamespacePair } from '../../helpers/charon/namespace-pair.ts'
import { requireCharon } from '../../helpers/charon-pair.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

describe('swanctl snippet of qkd sae add', function () {
  this.timeout(30_000)

  it('is loaded by a real swanctl as it stands', async function () {
    requireCharon(this, { childless: true })
    await using dir = await createTempDir()
    const pki = join(dir.path, 'pki')
    const common = { dir: pki, siteId: 'site-a', kmeUrl: 'https://127.0.0.1:8014', days: 1, force: false }
    await initPki({ ...common, kmeId: 'kme-a', saeIds: [], hosts: { dnsNames: [], ipAddresses: [] } })
    const skip = { host: '127.0.0.1', port: 8016 }
    const request = { ...common, saeId: 'gw-a', peerSaeId: 'gw-b', peerAddress: '192.0.2.2', skip }
    const files = await enrolSae({ ...request, kinds: ['swanctl'] })
    const snippet = files.find(({ path }) => path.endsWith('.swanctl.conf'))!.path
    const folder = join(dir.path, 'charon')
    await mkdir(folder)
    await using namespaces = await createNamespacePair()
    await using charon = new CharonNode(namespaces.a, folder, { childless: true })
    await charon.start()
    const said = await charon.swanctl('--load-conns', '--file', snippet)
    expect(said).to.include("loaded connection 'gw-a-gw-b'")
    const listed = await charon.swanctl('--list-conns')
    expect(listed).to.include('gw-a-gw-b: IKEv2').and.include('CN=gw-a').and.include('CN=gw-b')
    expect(listed).to.include('192.0.2.2').and.include('net: TUNNEL')
  })
})

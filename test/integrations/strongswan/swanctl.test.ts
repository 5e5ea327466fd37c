import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { readSettings } from '../../../integrations/strongswan/doctor/settings-file.ts'
import type { IpsecConnectionConfig } from '../../../integrations/strongswan/index.ts'
import { loadIpsecAgentConfig } from '../../../integrations/strongswan/load-agent-config.ts'
import { formatSettings } from '../../../integrations/strongswan/swanctl/format-settings.ts'
import { importConnection } from '../../../integrations/strongswan/swanctl/import-connection.ts'
import { pairSnippet } from '../../../integrations/strongswan/swanctl/pair-snippet.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const WORKING = `connections {
  HQ_to.Branch {
    version = 2
    local_addrs = 192.0.2.1
    remote_addrs = 192.0.2.2, 198.51.100.2
    proposals = aes256-sha256-x25519
    rekey_time = 3h
    local {
      auth = pubkey
      id = hq.example
    }
    remote {
      auth = pubkey
      id = "C=XX, CN=branch"
    }
    children {
      lan {
        local_ts = 10.1.0.0/16
        remote_ts = 10.2.0.0/16, 10.3.0.0/16
        start_action = start
        dpd_action = restart
      }
    }
  }
}
`

async function inFile<T>(text: string, use: (path: string) => Promise<T>): Promise<T> {
  await using dir = await createTempDir()
  const path = join(dir.path, 'swanctl.conf')
  await writeFile(path, text)
  return await use(path)
}

const options = { peer: 'bob', role: 'initiator' } as const

describe('importConnection', () => {
  it('makes an entry that the agent takes of a connection that works', async () => {
    const imported = await inFile(WORKING, path => importConnection(path, options))
    expect(imported).to.deep.equal({
      name: 'hq-to-branch-qkd',
      peer: 'bob',
      role: 'initiator',
      local: { id: 'hq.example', addresses: ['192.0.2.1'] },
      remote: { id: 'C=XX, CN=branch', addresses: ['192.0.2.2', '198.51.100.2'] },
      auth: 'pubkey',
      proposals: ['aes256-sha256-x25519'],
      children: [
        {
          name: 'lan',
          localTs: ['10.1.0.0/16'],
          remoteTs: ['10.2.0.0/16', '10.3.0.0/16'],
          settings: { dpd_action: 'restart' },
        },
      ],
      settings: { rekey_time: '3h' },
    })
    const config = {
      saeProfile: 'x.json',
      listen: { host: '::', port: 0 },
      peers: [{ saeId: 'bob', agent: { host: 'b', port: 7 } }],
      connections: [imported],
    }
    const loaded = await inFile(JSON.stringify(config), loadIpsecAgentConfig)
    expect(loaded.connections[0]).to.deep.include({ name: 'hq-to-branch-qkd', mode: 'ppk' })
  })

  for (const [what, from, to, message] of [
    ['a gateway that may be anywhere', '192.0.2.2, 198.51.100.2', '%any', /remote_addrs/],
    ['a gateway without a name', 'id = hq.example', '', /has no id/],
    ['other ways to authenticate', 'auth = pubkey', 'auth = eap-tls', /eap-tls and pubkey/],
    ['a second round', 'remote {', 'remote-2 {\n}\nremote {', /2 rounds/],
    ['no traffic', 'local_ts', 'x', /local_ts/],
    ['no child', 'children {', 'x {', /no children/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const error = await inFile(WORKING.replace(from, to), path => importConnection(path, options)).catch(e => e)
      expect(error).to.include({ code: 'ERR_QKD_CONFIG' }).and.property('message').match(message)
    })
  }

  it('asks for a name where there are several', async () => {
    const two = `${WORKING}connections { other { } }`
    const error = await inFile(two, path => importConnection(path, options)).catch(e => e)
    expect(error.message).to.match(/HQ_to\.Branch, other/)
    const one = await inFile(two, path => importConnection(path, { ...options, connection: 'HQ_to.Branch' }))
    expect(one).to.include({ name: 'hq-to-branch-qkd' })
  })
})

describe('pairSnippet', () => {
  const connection: IpsecConnectionConfig = {
    name: 'to-b',
    peer: 'bob',
    mode: 'ppk',
    role: 'initiator',
    local: { id: 'a', addresses: ['192.0.2.1'] },
    remote: { id: 'C=XX, CN=b', addresses: ['192.0.2.2'] },
    auth: 'psk',
    proposals: ['aes256-sha256-x25519'],
    children: [
      { name: 'net', localTs: ['10.1.0.0/16'], remoteTs: ['::/0'], espProposals: ['aes256gcm16'], settings: {} },
    ],
    rotation: { everySeconds: 3_600 },
    settings: { dpd_delay: '5s' },
  }

  const parsed = async (text: string) => {
    const { sections } = (await inFile(text, readSettings)).sections.get('connections')!
    return sections.get('to-b')!
  }

  it('says what the agent loads at either end, as swanctl.conf', async () => {
    const { local, remote } = pairSnippet(connection)
    const [here, there] = [await parsed(local), await parsed(remote)]
    expect(Object.fromEntries(here.values)).to.include({
      version: '2',
      local_addrs: '192.0.2.1',
      ppk_required: 'yes',
      dpd_delay: '5s',
    })
    expect(here.values.has('ppk_id')).to.equal(false)
    expect(local).to.contain('# ppk_id = KEY_ID@to-b.qkd')
    expect(Object.fromEntries(there.values)).to.include({ local_addrs: '192.0.2.2', ppk_id: '*@to-b.qkd' })
    expect(there.sections.get('local')!.values.get('id')).to.equal('C=XX, CN=b')
    const net = there.sections.get('children')!.sections.get('net')!
    expect(Object.fromEntries(net.values)).to.include({
      local_ts: '::/0',
      remote_ts: '10.1.0.0/16',
      start_action: 'none',
    })
  })

  it('names no PPK for a connection whose pre-shared key is rotated', () => {
    expect(JSON.stringify(pairSnippet({ ...connection, mode: 'psk' }))).to.not.contain('ppk')
  })
})

describe('formatSettings', () => {
  it('quotes what would be read otherwise', async () => {
    const values = { a: 'x # y', b: '', c: ' z', d: 'say "hi" \\', e: 'l1\nl2', f: '}', g: 'a b', h: ['1', '2'] }
    const text = formatSettings(values).join('\n')
    const read = await inFile(text, readSettings)
    expect(Object.fromEntries(read.values)).to.deep.equal({ ...values, h: '1, 2' })
    expect(text).to.contain('g = a b\nh = 1, 2')
  })
})

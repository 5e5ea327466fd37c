import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadIpsecAgentConfig } from '../../../integrations/strongswan/load-agent-config.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const minimal = {
  saeProfile: 'alice.json',
  listen: { host: '127.0.0.1', port: 7200 },
  peers: [{ saeId: 'bob', agent: { host: 'b.example', port: 7200 } }],
  connections: [
    {
      name: 'site-b',
      peer: 'bob',
      role: 'initiator',
      local: { id: 'a', addresses: ['192.0.2.1'] },
      remote: { id: 'b', addresses: ['192.0.2.2'] },
      secretFile: 'secret',
      children: [{ name: 'net', localTs: ['10.1.0.0/16'], remoteTs: ['10.2.0.0/16'] }],
    },
  ],
}
type Minimal = typeof minimal

async function load(change: (config: Minimal) => unknown) {
  await using dir = await createTempDir()
  const path = join(dir.path, 'agent.json')
  const config = structuredClone(minimal)
  await writeFile(path, JSON.stringify(change(config) ?? config))
  return { config: await loadIpsecAgentConfig(path), dir: dir.path }
}

describe('loadIpsecAgentConfig', () => {
  it('fills in every default, and makes paths absolute', async () => {
    const { config, dir } = await load(() => undefined)
    expect(config).to.deep.include({
      saeProfile: join(dir, 'alice.json'),
      viciSocket: '/run/charon.vici',
      stateDir: '/var/lib/qkdkit/ipsec',
      spoolDir: '/run/qkdkit/updown',
      controlSocket: '/run/qkdkit/ipsec.sock',
      reconcileSeconds: 5,
    })
    expect(config.connections[0]).to.deep.include({
      mode: 'ppk',
      auth: 'psk',
      secretFile: join(dir, 'secret'),
      rotation: { everySeconds: 3_600 },
      settings: {},
    })
    expect(config.connections[0]?.children[0]?.espProposals).to.deep.equal(['aes256gcm16-x25519'])
  })

  const cases: [what: string, change: (config: Minimal) => unknown, text: RegExp][] = [
    [
      'a peer that nobody knows',
      c => ({ ...c, connections: [{ ...c.connections[0], peer: 'eve' }] }),
      /\/connections\/0\/peer: "eve" is not listed/,
    ],
    [
      'an initiator that does not know where to connect',
      c => ({ ...c, peers: [{ saeId: 'bob' }] }),
      /\/connections\/0\/role: the initiator connects to the agent of "bob"/,
    ],
    [
      'two connections of one name',
      c => void c.connections.push(c.connections[0]!),
      /\/connections\/1\/name: "site-b" stands/,
    ],
    ['a peer that stands twice', c => void c.peers.push(c.peers[0]!), /\/peers\/1\/saeId: "bob" stands/],
    [
      'a vendor that is to respond',
      c => ({ ...c, connections: [{ ...c.connections[0], mode: 'vendor' }] }),
      /a vendor connection responds/,
    ],
    [
      'a static secret beside the agreed one',
      c => ({ ...c, connections: [{ ...c.connections[0], mode: 'psk' }] }),
      /\/connections\/0\/secretFile: goes with/,
    ],
    [
      'a hard expiry before any rotation',
      c => ({ ...c, connections: [{ ...c.connections[0], hardExpirySeconds: 60 }] }),
      /hardExpirySeconds: must be more than rotation.everySeconds \(3600\)/,
    ],
    [
      'a setting that is the agent’s own',
      c => ({ ...c, connections: [{ ...c.connections[0], settings: { ppk_required: 'no' } }] }),
      /\/connections\/0\/settings/,
    ],
    [
      'a child that would start by itself',
      c => ({
        ...c,
        connections: [
          {
            ...c.connections[0],
            children: [{ ...c.connections[0]!.children[0], settings: { start_action: 'start' } }],
          },
        ],
      }),
      /\/connections\/0\/children\/0\/settings/,
    ],
    [
      'a name in capitals',
      c => ({ ...c, connections: [{ ...c.connections[0], name: 'SiteB' }] }),
      /\/connections\/0\/name.*lower-case/,
    ],
  ]
  for (const [what, change, text] of cases) {
    it(`refuses ${what}, and says where and what to do`, async () => {
      const error = await rejectsWith(load(change), 'ERR_QKD_CONFIG')
      expect(error.message).to.match(text)
    })
  }
})

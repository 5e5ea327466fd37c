import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { examine } from '../../../integrations/strongswan/doctor/examine.ts'
import type { Finding } from '../../../integrations/strongswan/doctor/finding.ts'
import { readSettings, type SettingsSection, valueAt } from '../../../integrations/strongswan/doctor/settings-file.ts'
import { updownScript } from '../../../integrations/strongswan/hook/updown-script.ts'
import { loadIpsecAgentConfig } from '../../../integrations/strongswan/load-agent-config.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'

const plain = ({ values, sections }: SettingsSection): Record<string, unknown> => ({
  ...Object.fromEntries(values),
  ...Object.fromEntries([...sections].map(([name, section]) => [name, plain(section)])),
})

async function read(files: Record<string, string>): Promise<Record<string, unknown>> {
  await using dir = await createTempDir()
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(dir.path, name, '..'), { recursive: true })
    await writeFile(join(dir.path, name), text)
  }
  return plain(await readSettings(join(dir.path, 'main.conf')))
}

describe('readSettings', () => {
  it('reads sections, values, comments, quotes and one-line sections', async () => {
    const text = `# comment
a { # another
  b = yes # a third
  c="two words # no comment\\n\\"x\\""
  d {e=1}
  f = %any, 10.0.0.0/8
}
a { b = no }
g : a, h { i = }
j
{
  k = "a
b"
}`
    expect(await read({ 'main.conf': text })).to.deep.equal({
      a: { b: 'no', c: 'two words # no comment\n"x"', d: { e: '1' }, f: '%any, 10.0.0.0/8' },
      g: { i: '' },
      j: { k: 'a\nb' },
    })
  })

  it('follows includes, in sections too, and merges what they say', async () => {
    const files = {
      'main.conf':
        'charon {\n  plugins {\n    include d/plugins/*.conf\n  }\n}\ninclude d/*.conf\ninclude none/*.conf\n',
      'd/log.conf': 'charon {\n filelog { x { ike = 2 } } }\n',
      'd/plugins/vici.conf': 'vici { socket = unix:///a }',
      'd/plugins/vici.conf.bak': 'vici { socket = unix:///b }',
      'd/z.conf': 'charon { filelog { x { cfg = 1 } } }',
    }
    expect(await read(files)).to.deep.equal({
      charon: { plugins: { vici: { socket: 'unix:///a' } }, filelog: { x: { ike: '2', cfg: '1' } } },
    })
  })

  for (const [what, text] of [
    ['a section without an end', 'a {\n b = 1\n'],
    ['a brace too many', 'a { }\n}'],
    ['a name alone', 'a {\n  b\n}'],
    ['a value without a name', '= 1'],
    ['a file that includes itself', 'include main.conf'],
    ['sections without end', 'a {'.repeat(100)],
  ]) {
    it(`refuses ${what}`, async () => {
      const error = await read({ 'main.conf': text! }).catch((reason: Error) => reason)
      expect(error)
        .to.include({ code: 'ERR_QKD_CONFIG' })
        .and.property('message')
        .match(/main\.conf/)
    })
  }

  it('finds a value by its path', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'x.conf')
    await writeFile(path, 'a { b { c = 1 } }')
    const root = await readSettings(path)
    expect([valueAt(root, 'a.b.c'), valueAt(root, 'a.c.b'), valueAt(root, 'c')]).to.deep.equal([
      '1',
      undefined,
      undefined,
    ])
  })
})

/** A gateway on paper: no charon runs, everything else is as the test says. */
async function createGateway({ connection = {}, child = {}, strongswan = '', swanctl = '', starter = '' } = {}) {
  const dir = await createTempDir()
  const path = (name: string) => join(dir.path, name)
  await writeFile(path('hook'), updownScript({ spoolDir: path('spool') }), { mode: 0o755 })
  await writeFile(path('secret'), 'x', { mode: 0o600 })
  const config = {
    saeProfile: 'sae.json',
    viciSocket: 'vici',
    listen: { host: '127.0.0.1', port: 0 },
    stateDir: 'state',
    spoolDir: 'spool',
    controlSocket: 'control',
    peers: [{ saeId: 'bob', agent: { host: '127.0.0.1', port: 1 } }],
    connections: [
      {
        name: 'to-b',
        peer: 'bob',
        role: 'initiator',
        local: { id: 'a', addresses: ['192.0.2.1'] },
        remote: { id: 'b', addresses: ['192.0.2.2'] },
        secretFile: 'secret',
        children: [
          {
            name: 'net',
            localTs: ['10.1.0.0/16'],
            remoteTs: ['10.2.0.0/16'],
            settings: { updown: path('hook') },
            ...child,
          },
        ],
        ...connection,
      },
    ],
  }
  await writeFile(path('agent.json'), JSON.stringify(config))
  await writeFile(path('strongswan.conf'), strongswan)
  await writeFile(path('swanctl.conf'), swanctl)
  await writeFile(path('ipsec.conf'), starter)
  const look = async (options: { cert?: string; now?: () => number } = {}) =>
    examine({
      config: await loadIpsecAgentConfig(path('agent.json')),
      strongswanConf: path('strongswan.conf'),
      swanctlConf: path('swanctl.conf'),
      ipsecConf: path('ipsec.conf'),
      kmsProblem: 'no KMS on paper',
      ...options,
    })
  return { path, look, [Symbol.asyncDispose]: dir[Symbol.asyncDispose] }
}

const of = (findings: readonly Finding[], check: string) => findings.filter(finding => finding.check === check)

describe('examine', () => {
  it('finds nothing wrong with files that are right, and says what it can not see', async () => {
    await using gateway = await createGateway({ strongswan: 'charon {\n make_before_break = yes\n}' })
    const findings = await gateway.look()
    const verdicts = Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict]))
    expect(verdicts).to.include({
      'log levels': 'ok',
      make_before_break: 'ok',
      'swanctl.conf': 'ok',
      updown: 'ok',
      'secret files': 'ok',
      connections: 'ok',
      'vici socket': 'fault',
      KMS: 'fault',
      agent: 'unknown',
    })
    expect(of(findings, 'vici socket')[0]!.mend).to.match(/start charon/)
    for (const { verdict, mend, check } of findings) if (verdict !== 'ok') expect(mend, check).to.be.a('string')
  })

  for (const [where, files] of [
    ['a file', { strongswan: 'charon {\n filelog {\n x {\n path = /var/log/x\n time_add_ms = 9\n cfg = 4\n} } }' }],
    ['the journal of charon-systemd', { strongswan: 'charon-systemd {\n journal {\n default = 4\n} }' }],
    ['syslog', { strongswan: 'charon {\n syslog {\n daemon {\n ike = 5\n} } }' }],
    ['strongswan-starter', { starter: 'config setup\n  charondebug="cfg 1, ike 4"\n' }],
  ] as const) {
    it(`refuses a log level at which keys are logged: ${where}`, async () => {
      await using gateway = await createGateway(files)
      const found = of(await gateway.look(), 'log levels').filter(({ verdict }) => verdict === 'fault')
      expect(found).to.have.length(where === 'a file' ? 2 : 1)
      expect(found.at(-1)).to.include({ mend: 'set it to 3 or less' })
    })
  }

  it("finds the admin's connections that get in the way, and a start_action that would break before it makes", async () => {
    const swanctl = `connections {
  to-b {
    remote_addrs = 192.0.2.2
    children { net { start_action = start } }
  }
  other {
    remote_addrs = %any
    children { net { start_action = trap } }
  }
  elsewhere { remote_addrs = 192.0.2.9 }
}`
    await using gateway = await createGateway({ swanctl })
    const findings = await gateway.look()
    expect(of(findings, 'swanctl.conf').map(({ text }) => text.split(' ')[0])).to.deep.equal([
      'connections.to-b',
      'connections.other',
    ])
    expect(of(findings, 'start_action')).to.have.length(1)
  })

  it("finds an admin's secret that would stand in for the one that is rotated", async () => {
    const swanctl = 'secrets { ike-1 { id = b } ike-2 { id = c } ike-3 { secret = x } eap-1 { id = b } }'
    await using gateway = await createGateway({ swanctl, connection: { mode: 'psk', secretFile: undefined } })
    expect(of(await gateway.look(), 'secrets').map(({ text }) => text.split(' ')[0])).to.deep.equal([
      'secrets.ike-1',
      'secrets.ike-3',
    ])
  })

  it('finds a hook that is missing, that is none, that starts Node, or that writes elsewhere', async () => {
    for (const [text, verdict] of [
      [undefined, 'fault'],
      ['#!/bin/sh\n', 'warning'],
      ['#!/usr/bin/env node\n', 'fault'],
      [updownScript({ spoolDir: '/elsewhere' }), 'fault'],
    ] as const) {
      await using gateway = await createGateway()
      await writeFile(gateway.path('hook'), text ?? '', { mode: 0o755 })
      await using without = await createGateway({ child: { settings: {} } })
      const looked = text === undefined ? await without.look() : await gateway.look()
      expect(of(looked, 'updown')[0], text).to.include({ verdict: text === undefined ? 'warning' : verdict })
    }
  })

  it('finds a clock at which the certificate of the host is not valid', async () => {
    await using gateway = await createGateway()
    const { cert } = createTestAuthority().issue('alice')
    const at = async (years: number) => {
      const now = () => Date.now() + years * 365 * 24 * 3_600_000
      return of(await gateway.look({ cert, now }), 'clock').find(({ text }) => text.includes('certificate'))?.verdict
    }
    // Certificates of tests are short-lived: the end is near.
    expect(await Promise.all([-50, 0, 50].map(at))).to.deep.equal(['fault', 'warning', 'fault'])
  })
})

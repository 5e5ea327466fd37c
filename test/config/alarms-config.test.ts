import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadSiteConfig } from '../../lib/config.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { siteFile, writeSite } from './site-fixture.ts'

/** Loads a site with these alarms and operators; gives the configuration, or what is wrong with it. */
async function load(fields: Record<string, unknown>) {
  await using dir = await createTempDir()
  await writeFile(join(dir.path, 'secret'), 'f00d'.repeat(16), { mode: 0o600 })
  await writeFile(join(dir.path, 'short'), 'short', { mode: 0o600 })
  await writeFile(join(dir.path, 'open'), 'f00d'.repeat(16))
  await chmod(join(dir.path, 'open'), 0o644)
  await writeFile(join(dir.path, 'ca.pem'), '-----BEGIN CERTIFICATE-----')
  const path = await writeSite(dir.path, siteFile(fields))
  return await loadSiteConfig(path).then(
    ({ config }) => ({ config, dir: dir.path, wrong: '' }),
    (error: Error) => ({ config: undefined, dir: dir.path, wrong: error.message }),
  )
}

describe('alarms and operators of a site configuration', () => {
  it('are read with their files, names and absolute paths', async () => {
    const { config, dir, wrong } = await load({
      '/alarms': {
        file: 'alarms.json',
        conditions: { 'link-down': { off: true }, 'link-qber-high': { raise: 0.05, clear: 0.04 } },
        sinks: [
          { kind: 'webhook', url: 'https://hooks.example/qkd', secretFile: 'secret' },
          { kind: 'syslog', transport: 'udp', host: 'log.example', port: 514, name: 'log' },
          { kind: 'syslog', transport: 'unix', path: 'log.sock', facility: 4 },
          { kind: 'command', argv: ['/usr/bin/logger', '--tag', 'qkd'], timeoutMs: 500 },
        ],
      },
      '/operators': { socket: 'op.sock', people: [{ name: 'olga', roles: ['operator'], commonName: 'ops' }] },
    })
    expect(wrong).to.equal('')
    const { alarms, operators } = config!
    expect(alarms!.file).to.equal(join(dir, 'alarms.json'))
    expect(alarms!.conditions!['link-qber-high']).to.deep.equal({ raise: 0.05, clear: 0.04 })
    expect(alarms!.sinks!.map(({ name, kind }) => `${name} ${kind}`)).to.deep.equal([
      'webhook-1 webhook',
      'log syslog',
      'syslog-3 syslog',
      'command-4 command',
    ])
    expect(alarms!.sinks![0]).to.deep.include({ secret: Buffer.from('f00d'.repeat(16)) })
    expect(alarms!.sinks![2]).to.include({ path: join(dir, 'log.sock'), facility: 4 })
    expect(operators).to.include({ socket: join(dir, 'op.sock'), socketMode: '0600' })
    expect(operators!.socketRoles).to.have.length(4)
  })

  for (const [what, sink, wrong] of [
    ['a webhook without TLS', { kind: 'webhook', url: 'http://hooks.example' }, '/alarms/sinks/0/url'],
    ['a webhook without its URL', { kind: 'webhook' }, 'field "url" is missing; webhook needs it'],
    ['a secret that others may read', { kind: 'webhook', url: 'https://x', secretFile: 'open' }, 'chmod 600'],
    ['a secret that can be guessed', { kind: 'webhook', url: 'https://x', secretFile: 'short' }, '16 characters'],
    ['a file that is not there', { kind: 'webhook', url: 'https://x', ca: 'none.pem' }, 'no such file'],
    ['syslog on no transport', { kind: 'syslog', host: 'x', port: 514 }, 'field "transport" is missing'],
    [
      'syslog by TLS without an authority',
      { kind: 'syslog', transport: 'tls', host: 'x', port: 6514 },
      'field "ca" is missing; syslog tls needs it',
    ],
    [
      'a field of another kind',
      { kind: 'command', argv: ['/bin/true'], url: 'https://x' },
      '/alarms/sinks/0/url: does not go with command',
    ],
    ['a program that a path must find', { kind: 'command', argv: ['logger'] }, 'must be an absolute path'],
    ['a command of nothing', { kind: 'command', argv: [] }, '/alarms/sinks/0/argv'],
  ] as const) {
    it(`refuse ${what}`, async () => {
      expect((await load({ '/alarms': { sinks: [sink] } })).wrong).to.include(wrong)
    })
  }

  it('refuse thresholds that cross, two sinks of one name, unknown conditions and roles, and nobody’s certificate', async () => {
    const crossed = await load({ '/alarms': { conditions: { 'clock-skew': { raise: 5, clear: 5 } } } })
    expect(crossed.wrong).to.include('/alarms/conditions/clock-skew/clear: must be below raise')
    const sink = { kind: 'command', argv: ['/bin/true'], name: 'x' }
    expect((await load({ '/alarms': { sinks: [sink, sink] } })).wrong).to.include('another sink is called "x" too')
    expect((await load({ '/alarms': { conditions: { rain: {} } } })).wrong).to.include('rain')
    const people = (person: object) => load({ '/operators': { people: [person] } })
    expect((await people({ name: 'x', roles: ['king'], commonName: 'x' })).wrong).to.include(
      '/operators/people/0/roles/0',
    )
    expect((await people({ name: 'x', roles: ['operator'] })).wrong).to.include('/operators/people/0')
    expect((await people({ name: 'x', roles: [], commonName: 'x', uri: 'y' })).wrong).to.include('/operators/people/0')
  })
})

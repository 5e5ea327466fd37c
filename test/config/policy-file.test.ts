import { expect } from 'chai'
import { loadPolicyFile, parsePolicy } from '../../lib/config/policy-file.ts'
import { ConfigError } from '../../lib/errors.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'

const sound = `
groups:
  backup: { saes: ['backup-*', vault], rate: { bitsPerSecond: 1000000 } }
defaults: { levels: [quantum, hybrid], level: quantum, priority: 3 }
reserves: [{ priority: 7, share: 0.2 }]
rules:
  - name: backups at night
    match:
      master: ['@backup']
      time: { days: [sat, sun], from: '22:00', to: '06:00', utcOffset: '+02:00' }
    priority: 1
  - name: no backups by day
    match: { master: ['@backup'] }
    deny: true
otherwise: allow
`

function faultsOf(text: string): string {
  try {
    parsePolicy('policy.yaml', text)
  } catch (error) {
    expect(error).to.be.instanceOf(ConfigError)
    return (error as Error).message
  }
  throw new Error('expected a refusal')
}

describe('parsePolicy', () => {
  it('reads YAML and JSON alike', () => {
    const { file } = parsePolicy('policy.yaml', sound)
    expect(file.rules.map(({ name }) => name)).to.deep.equal(['backups at night', 'no backups by day'])
    expect(parsePolicy('policy.json', JSON.stringify(file)).file).to.deep.equal(file)
  })

  it('names line, path and the field that was meant', () => {
    expect(faultsOf(sound.replace('deny: true', 'denny: true'))).to.equal(
      'policy.yaml:12:5: /rules/1: field "denny" is not known; did you mean "deny"?',
    )
    expect(faultsOf(sound.replace("['@backup']\n      time", "['@bakup']\n      time"))).to.equal(
      'policy.yaml:9:16: /rules/0/match/master/0: no group is named "bakup"; did you mean "@backup"?',
    )
  })

  it('names every fault at once', () => {
    const text = sound.replace('priority: 1', 'priority: 11').replace('otherwise: allow', 'otherwise: perhaps')
    expect(faultsOf(text).split('\n')).to.have.length(2)
  })

  for (const [title, change, message] of [
    ['a level that may not be had', ['level: quantum', 'level: expanded'], /"expanded" is not one of the levels/],
    [
      'sizes the wrong way round',
      ['priority: 1', 'minKeySizeBits: 512\n    maxKeySizeBits: 256'],
      /smallest key \(512\)/,
    ],
    ['a name that stands twice', ['no backups by day', 'backups at night'], /rule 1 has this name too/],
    ['reserves of a whole pool', ['share: 0.2 }', 'share: 0.6 }, { priority: 8, share: 0.6 }'], /1.20 of a pool/],
    ['a field twice', ['deny: true', 'deny: true\n    deny: false'], /policy.yaml:\d+:\d+: Map keys must be unique/],
    ['an alias', ["master: ['@backup']\n      time", 'master: &a [x]\n      slave: *a\n      time'], /aliases/],
    ['a time without quotes that is no text', ["from: '22:00'", 'from: 22'], /must be string/],
  ] as const) {
    it(`refuses ${title}`, () => {
      expect(faultsOf(sound.replace(change[0], change[1]))).to.match(message)
    })
  }

  it('takes a lower level from a rule that names both hosts alone', () => {
    const lowering = (match: string) => `
rules:
  - { name: low, match: ${match}, levels: [quantum, expanded], level: quantum, whenLow: { response: expand } }
otherwise: deny
`
    expect(parsePolicy('p', lowering('{ master: [alice], slave: [bob] }')).file.rules).to.have.length(1)
    expect(faultsOf(lowering("{ master: ['*'], slave: [bob] }"))).to.include('must name its masters')
    expect(faultsOf(lowering('{ master: [alice] }'))).to.include('must name its slaves')
    expect(faultsOf(lowering('{ master: [alice], slave: [bob] }').replace(', expanded', ''))).to.include(
      'add it to "levels"',
    )
    const pq = lowering('{ master: [alice], slave: [bob] }')
      .replaceAll('expand', 'post-quantum')
      .replace('quantumed', 'quantum')
    expect(parsePolicy('p', pq).file.rules).to.have.length(1)
    expect(faultsOf(pq.replace('level:', 'trustClasses: [direct], level:'))).to.include('add it to "trustClasses"')
  })

  it('refuses a level whose only class is not taken', () => {
    const text = (classes: string) => `
rules:
  - { name: r, levels: [quantum, post-quantum], trustClasses: [${classes}] }
otherwise: deny
`
    expect(faultsOf(text('direct')))
      .to.include('policy.yaml:3:')
      .and.to.include('add it to "trustClasses"')
    expect(parsePolicy('p', text('direct, post-quantum')).file.rules).to.have.length(1)
  })

  it('takes a rate for lowered keys, a budget for seeds and a kind of hybrid, and refuses them where they mean nothing', () => {
    const text = (whenLow: string, more = '') => `
rules:
  - { name: r, match: { master: [a], slave: [b] }, levels: [quantum, expanded, hybrid], hybrid: kdf, whenLow: ${whenLow} }
${more}
otherwise: deny
`
    const rate = 'rate: { bitsPerSecond: 256 }'
    const { file } = parsePolicy('p', text(`{ response: expand, ${rate} }`, 'cellsPerSeed: 998'))
    expect(file.rules[0]).to.deep.include({ hybrid: 'kdf' })
    expect(file.cellsPerSeed).to.equal(998)
    expect(faultsOf(text(`{ response: wait, ${rate} }`))).to.include('lowers no level')
    expect(faultsOf(text('{ response: wait }', 'cellsPerSeed: 999'))).to.include('/cellsPerSeed')
    expect(faultsOf(text('{ response: wait }').replace('kdf', 'sum'))).to.include('/rules/0/hybrid')
  })

  it('refuses a text that is not YAML, with its place', () => {
    expect(faultsOf('rules: [\n  {name: x\n')).to.match(/^policy.yaml:\d+:\d+: /)
    expect(faultsOf('')).to.include('must be object')
  })
})

describe('loadPolicyFile', () => {
  it('names a file that is not there', async () => {
    const error = await rejectsWith(loadPolicyFile('/nowhere/policy.yaml'), 'ERR_QKD_CONFIG')
    expect(error.message).to.include('/nowhere/policy.yaml')
  })
})

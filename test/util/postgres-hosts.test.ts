import { expect } from 'chai'
import { hasPassword, postgresServers, withoutPassword } from '../../lib/util/postgres-hosts.ts'

describe('postgresServers', () => {
  it('gives each server of a list its own URL', () => {
    expect(postgresServers('postgres://qkd@db-1:5432,db-2:5433/pools?sslmode=require')).to.deep.equal([
      'postgres://qkd@db-1:5432/pools?sslmode=require',
      'postgres://qkd@db-2:5433/pools?sslmode=require',
    ])
    expect(postgresServers('postgresql://qkd:secret@db-1/pools')).to.deep.equal(['postgresql://qkd:secret@db-1/pools'])
  })

  it('takes sockets apart, with their ports', () => {
    const [first, second] = postgresServers('postgres://qkd@localhost/pools?host=%2Frun%2Fa,%2Frun%2Fb&port=5432,5433')
    expect(new URL(first!).searchParams.get('host')).to.equal('/run/a')
    expect(new URL(second!).searchParams.get('host')).to.equal('/run/b')
    expect(new URL(second!).searchParams.get('port')).to.equal('5433')
  })

  it('refuses what is no URL of a database', () => {
    for (const url of ['mysql://db/pools', 'db-1', '']) expect(() => postgresServers(url)).to.throw(/postgres:\/\//)
  })
})

describe('a password that is not encoded', () => {
  for (const url of [
    'postgres://qkd:12/34@db/pools',
    'postgres://qkd:12?34@db/pools',
    'postgres://qkd:1#2@db/pools/a@b',
  ]) {
    it(`is refused or left out, never told: ${url}`, () => {
      let said: string
      try {
        said = postgresServers(url).map(withoutPassword).join()
      } catch (error) {
        said = (error as Error).message
      }
      expect(said).not.to.match(/12|34|1#2/)
    })
  }
})

describe('hasPassword', () => {
  it('finds one before the host and among the parameters', () => {
    expect(hasPassword('postgres://qkd:secret@db/pools')).to.equal(true)
    expect(hasPassword('postgres://qkd@db/pools?password=secret')).to.equal(true)
    for (const url of ['postgres://qkd@db:5432/pools', 'postgres://db/pools?user=a', 'postgres://qkd:@db/pools'])
      expect(hasPassword(url), url).to.equal(false)
  })
})

describe('withoutPassword', () => {
  it('leaves nothing of it', () => {
    expect(withoutPassword('postgres://qkd:secret@db/pools')).to.equal('postgres://qkd@db/pools')
    expect(withoutPassword('postgres://qkd:sec:r@t@db/pools@x')).to.equal('postgres://qkd@db/pools@x')
    expect(withoutPassword('postgres://qkd@db/pools?a=b&password=secret&c=d')).to.equal(
      'postgres://qkd@db/pools?a=b&password=...&c=d',
    )
  })
})

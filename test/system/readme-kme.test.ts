import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { runQkd, startQkd } from '../bin/run-qkd.ts'
import { stop } from '../bin/served-sites.ts'
import { createForeignKmePair } from '../helpers/foreign-kme.ts'
import { freePorts } from '../helpers/site-process.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { until } from '../helpers/until.ts'

/** The commands of README's section, as lists of words. */
async function readCommands(): Promise<string[][]> {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const block = /## I have a KME[\s\S]*?```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const lines = block.replaceAll('\\\n', ' ').split('\n')
  return lines.filter(line => line.startsWith('qkd ')).map(line => line.trim().split(/\s+/).slice(1))
}

describe('"I have a KME" in README.md', function () {
  this.timeout(90_000)

  it('leads from the doctor to a session over the keys of a foreign KME, as it stands', async () => {
    await using dir = await createTempDir()
    const authority = createTestAuthority()
    const credentials = [authority.issue('NULLA-QKD-7F-A'), authority.issue('NULLA-QKD-7F-B')] as const
    await using kmes = await createForeignKmePair(credentials, [['alice'], ['bob']])
    for (const name of ['alice', 'bob']) {
      const { cert, key } = authority.issue(name)
      await writeFile(join(dir.path, `${name}.crt`), cert)
      await writeFile(join(dir.path, `${name}.key`), key, { mode: 0o600 })
    }
    await writeFile(join(dir.path, 'kme-ca.crt'), authority.ca)
    const server = createServer((_, response) => response.end('served at site B'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const [exit, entry] = await freePorts(2)
    const places: readonly [string, string][] = [
      ['https://kme-a.example:8443', kmes.kmes[0].url],
      ['https://kme-b.example:8443', kmes.kmes[1].url],
      ['0.0.0.0:7443', `127.0.0.1:${exit}`],
      ['bob.example:7443', `127.0.0.1:${exit}`],
      ['127.0.0.1:8080', `127.0.0.1:${(server.address() as { port: number }).port}`],
      ['127.0.0.1:8081', `127.0.0.1:${entry}`],
    ]
    const place = (word: string) => places.find(([from]) => from === word)?.[1] ?? word
    const [doctor, ...tunnels] = (await readCommands()).map(words => words.map(place))
    expect(doctor?.slice(0, 2)).to.deep.equal(['kme', 'doctor'])
    expect(tunnels).to.have.length(2)

    const examined = await runQkd(doctor!, { cwd: dir.path })
    expect(examined.exitCode, examined.stderr + examined.stdout).to.equal(0)
    expect(examined.stdout).to.include('profile: etsi')
    expect(kmes.issuedCount).to.equal(0)

    const running: ChildProcess[] = tunnels.map(words => startQkd(words, { cwd: dir.path }))
    try {
      await until(() => Promise.all([exit!, entry!].map(listens)).then(all => all.every(Boolean)), 'both tunnels', {
        timeoutMs: 30_000,
      })
      const before = kmes.fetchedCount
      const answer = await fetch(`http://127.0.0.1:${entry}/`)
      expect(await answer.text()).to.equal('served at site B')
      expect(kmes.fetchedCount).to.be.above(before)
    } finally {
      await Promise.all(running.map(stop))
      server.closeAllConnections()
      server.close()
    }
  })
})

/** True where somebody takes connections. */
function listens(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

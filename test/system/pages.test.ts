import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { requireCharon } from '../helpers/charon-pair.ts'
import { requireKerberos } from '../helpers/kdc-realm.ts'
import { runPage } from '../helpers/page-runner.ts'
import { pageSteps, shownFault } from '../helpers/page-steps.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { readSource, top } from '../structure/tree.ts'

describe('what a reader copies from docs/', function () {
  this.timeout(300_000)

  it('leads to a TLS session under keys of a KME (start-tls.md)', async function () {
    peerProgram(this, 'curl', 'curl')
    await runPage(readSource('docs/start-tls.md'))
  })

  it('leads to an IPsec tunnel whose key rotates (start-ipsec.md)', async function () {
    requireCharon(this)
    try {
      await runPage(readSource('docs/start-ipsec.md'))
    } finally {
      await promisify(execFile)(join(top, 'examples/strongswan/two-gateways.sh'), ['remove']).catch(() => {})
    }
  })

  it('leads to a trust between two realms (start-kerberos.md)', async function () {
    requireKerberos(this)
    await runPage(readSource('docs/start-kerberos.md'))
  })

  it('leads to three sites, a network and its console (start-network.md)', async function () {
    peerProgram(this, 'curl', 'curl')
    await runPage(readSource('docs/start-network.md'), async () => {
      // What the page of the console is fed with, at the address that the reader opens.
      const { body } = await fetch('http://127.0.0.1:9017/events')
      let read = ''
      for await (const chunk of body!) {
        read += Buffer.from(chunk).toString()
        if (read.includes('\n\n')) break
      }
      for (const part of ['site-a', 'site-b', 'site-c', 'a-b', 'b-c']) expect(read).to.include(`"${part}"`)
    })
  })
})

describe('runPage', () => {
  const page = (...blocks: string[]) => ({ path: 'a.md', text: blocks.join('\n\n') })
  const run = (script: string) => `\`\`\`sh\n${script}\n\`\`\``
  const shows = (text: string) => `\`\`\`text\n${text}\n\`\`\``

  it('goes on in the directory where the block before ended, and ends what stays in a terminal', async () => {
    let pid = 0
    const serve = `In a terminal of its own:\n\n${run('pwd; echo $$ > pid; exec sleep 600')}`
    await runPage(page(run('mkdir b\ncd b'), serve, shows('…/b')), async ({ directory }) => {
      pid = Number(await readFile(join(directory, 'pid'), 'utf8'))
      process.kill(pid, 0)
    })
    expect(() => process.kill(pid, 0)).to.throw('ESRCH')
  })

  it('fails where a command does, and where something else is printed, with line and output', async () => {
    expect(await rejectsWith(runPage(page(run('echo one\nfalse\necho two'))))).to.match(
      /^a.md:1: ended with 1:\none\n$/,
    )
    expect(await rejectsWith(runPage(page(run('echo one'), shows('two'))))).to.include(
      'a.md:5: "two" is not in what was',
    )
  })
})

describe('pageSteps', () => {
  it('takes blocks in order, with those that stay in a terminal of their own, and leaves installing out', () => {
    const page = [
      '# A\n\n```sh\none\n```\n\nIn a terminal of its own:\n\n```sh\ntwo\n```',
      '1. It says\n\n   ```text\n   three\n   ```\n\n## Install\n\n```sh\nfour\n```\n\n## B\n\n```json\n{}\n```',
    ].join('\n\n')
    expect(pageSteps(page)).to.deep.equal([
      { kind: 'run', text: 'one\n', line: 3 },
      { kind: 'serve', text: 'two\n', line: 9 },
      { kind: 'shows', text: 'three\n', line: 15 },
    ])
  })
})

describe('shownFault', () => {
  it('finds the line that was not printed, and takes any number and key_ID for another', () => {
    const printed = 'key 07b377a6-8436-4713-9eaa-181b20464cea of 256 bits\nat 127.0.0.1:80 in 5 ms\n'
    const shown = 'key aaaaaaaa-8436-4713-9eaa-181b20464cea of 512 bits\n…\nat 127.0.0.1:80 …'
    expect(shownFault(shown, printed)).to.equal(undefined)
    expect(shownFault('at 127.0.0.1:81 in 5 ms', printed)).to.equal('at 127.0.0.1:81 in 5 ms')
    expect(shownFault('bits of key', printed)).to.equal('bits of key')
  })
})

async function rejectsWith(running: Promise<void>): Promise<string> {
  try {
    await running
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('It did not fail')
}

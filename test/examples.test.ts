import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { top } from './structure/tree.ts'

/** What each example prints, in order. An example without an entry fails. */
const outputs: Readonly<Record<string, readonly RegExp[]>> = {
  'generate-network.ts': [/^ {2}"nodes": \[$/m, /^ {2}"links": \[$/m, /^ {2}"demands": \[$/m],
  'https.ts': [/^Hello, alice$/m],
  'same-key.ts': [
    /^Alice has \[SecretKey 256 bits\] and tells Bob [0-9a-f-]{36}$/m,
    /^Bob has the same: true$/m,
    /^A second time: ERR_QKD_KEY_NOT_FOUND$/m,
  ],
  'tls-echo.ts': [/masterSaeId: 'alice'/, /slaveSaeId: 'bob'/, /level: 'quantum'/, /^Hello, Bob$/m],
}

describe('examples', () => {
  const files = readdirSync(join(top, 'examples')).filter(name => name.endsWith('.ts'))

  for (const file of files) {
    it(`${file} runs alone and prints what it shows`, async () => {
      const child = spawn(process.execPath, ['--import', 'tsx', join('examples', file)], {
        cwd: top,
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 15_000,
      })
      const exit = new Promise(resolve => child.once('exit', (code, signal) => resolve(code ?? signal)))
      const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), exit])
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' })
      const expected = outputs[file]
      expect(expected, `say here what examples/${file} prints`).to.not.equal(undefined)
      let at = 0
      for (const line of expected!) {
        const match = line.exec(stdout.slice(at))
        expect(match, `${line} in ${stdout}`).to.not.equal(null)
        at += match!.index + match![0].length
      }
    })
  }
})
